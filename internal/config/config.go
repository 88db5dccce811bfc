// Package config fills a configuration struct from a YAML file and from environment variables, strictly.
//
// What it guarantees:
//
//   - A key of the file or a variable with the prefix that the struct does not know is a problem, as are a key given twice,
//     a value of the wrong type and a key without a value. Nothing is guessed: text that looks like a number, a date or true
//     has to be quoted, a duration has to have a unit.
//   - All problems are told at once, those of the file, of the environment and of the struct's own Validate, each with where
//     it stands: "config.yaml:12: kafka.brokerz: unknown key, did you mean kafka.brokers?".
//   - No value of a Secret is in any of them.
//   - What is given nowhere stays as it was in the struct: that is how defaults are made.
//
// Keys come from the struct's tags: `koanf:"name"`, "-" for a field that cannot be configured; every exported field has
// one. Sections are structs; values are text, true or false, numbers, durations ("10s", "30d"), Secrets, lists of these
// and maps from names to sections. The variable for kafka.client_id is PREFIX_KAFKA_CLIENT_ID; lists are separated by
// commas there, and maps can be given in the file only. The environment wins over the file.
//
// It knows nothing of what is configured.
package config

import (
	"fmt"
	"os"
	"reflect"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
)

// Validator is a configuration that can tell what is wrong with it: all of it, as Problems.Err does.
type Validator interface {
	Validate() error
}

// Load fills target, a pointer to a struct, from the YAML file and then from those variables of environ ("NAME=value")
// that begin with prefix. An empty file name is none. Then it reads the files that the *_file keys of Secrets name, and
// calls target's Validate if it has one. The error joins a Located problem for each thing that is wrong; target then holds what
// is right, for those who look for more that is wrong, and is of no other use.
func Load(target any, file string, environ []string, prefix string) error {
	_, err := Read(target, file, environ, prefix)
	return err
}

// Origins tells by key where a value is given: "config.yaml:12", or the name of a variable. Keys that have their defaults are
// not among them.
type Origins map[string]string

// Read is Load that also tells where each value comes from.
func Read(target any, file string, environ []string, prefix string) (Origins, error) {
	s, err := schemaOf(target, prefix)
	if err != nil {
		return nil, err
	}
	l := &loader{schema: s, file: file, prefix: prefix, origins: Origins{}}
	k := koanf.New(".")
	if file != "" {
		text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		if err := k.Load(rawbytes.Provider(text), l); err != nil {
			return nil, err
		}
	}
	fromEnv := env.Provider(".", env.Opt{
		Prefix:        prefix,
		TransformFunc: l.variable,
		EnvironFunc:   func() []string { return environ },
	})
	if err := k.Load(fromEnv, nil); err != nil {
		return nil, fmt.Errorf("read environment: %w", err)
	}
	// Every value has its field's type already, so that nothing is left to convert. Lists and maps replace a default.
	err = k.UnmarshalWithConf("", target, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{ZeroFields: true}})
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	l.readSecrets(reflect.ValueOf(target).Elem())
	if v, ok := target.(Validator); ok {
		l.addAll(v.Validate())
	}
	return l.origins, l.err()
}

// Keys gives the full names of all keys that Load knows for target, in the order of its fields. Below a map's name, which
// is shown as *, are the keys of each of its sections.
func Keys(target any) ([]string, error) {
	s, err := schemaOf(target, "")
	if err != nil {
		return nil, err
	}
	return s.leaves("", nil), nil
}

// loader collects what is found while it reads. It is koanf's parser of the file, and the transformer of its variables.
type loader struct {
	schema   *schema
	file     string
	prefix   string
	origins  Origins
	problems []placed
	said     map[string]bool // keys of which a problem has been told already
}

// placed is a problem with the line in which it stands.
type placed struct {
	line int // of the file; 0 elsewhere
	Located
}

// readSecrets fills each Secret that has none from the file that its *_file key names.
func (l *loader) readSecrets(target reflect.Value) {
	for _, pair := range l.schema.secrets {
		secret, file := target.FieldByIndex(pair.secret), target.FieldByIndex(pair.file)
		if file.String() == "" {
			continue
		}
		if secret.String() != "" {
			l.add(pair.fileKey, "%s is given as well: give one of them", pair.key)
			continue
		}
		text, err := ReadSecret(file.String())
		if err != nil {
			l.add(pair.fileKey, "%v", err)
			continue
		}
		secret.SetString(string(text))
	}
}
