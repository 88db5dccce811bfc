package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Secret is text that must not be seen: a password, a client secret. Whatever prints it shows a placeholder: all verbs of
// fmt, JSON, YAML, zerolog. string(s) is the secret itself.
//
// A struct with a Secret under the key "x" may have a string under "x_file": Load then takes the secret from that file, with
// ReadSecret.
type Secret string

const redacted = "[redacted]"

// Format shows a placeholder for every verb; nothing for an empty secret, so that a missing one can be told.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// String gives the placeholder, or nothing for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// MarshalText gives the same as String: for JSON, and for zerolog, which uses it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML gives the same as String.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// ReadSecret reads a secret from a file, without the white space around it. An empty file is an error, as is one with more
// than 64 KiB, which is surely another file.
func ReadSecret(file string) (Secret, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if info.Size() > 64<<10 {
		return "", errors.New("the file is too large to be a secret")
	}
	text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return "", err
	}
	return ParseSecret(text)
}

// ParseSecret takes what is in a secret's file.
func ParseSecret(text []byte) (Secret, error) {
	s := Secret(strings.TrimSpace(string(text)))
	if s == "" {
		return "", errors.New("the file is empty")
	}
	return s, nil
}
