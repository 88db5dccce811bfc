package bridge

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"distributor-bridge/internal/config"
)

// reread is how often the files of a listener are looked at: strangers decide how often it is asked for them.
const reread = 5 * time.Second

// renewed is what is made of files that may change while the bridge runs: a secret, a certificate with its key. They change one
// after the other, or half: as long as nothing can be made of them, it stays what it was.
type renewed[T any] struct {
	key   string // of the configuration, for the log
	files []file // none: it never changes
	every time.Duration
	parse func(contents [][]byte) (T, error)
	log   zerolog.Logger

	mu     sync.Mutex // guards what follows
	value  T
	seen   [][]byte // what value was made of
	failed string   // why nothing could be made of the files, as it was told
	looked time.Time
}

// file is named by the operator, under a key of the configuration.
type file struct{ key, path string }

// get gives it as the files are now, or were a short while ago.
func (r *renewed[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.files) == 0 || r.every > 0 && time.Since(r.looked) < r.every {
		return r.value
	}
	r.looked = time.Now()
	if err := r.look(); err != nil && err.Error() != r.failed {
		r.failed = err.Error()
		r.log.Warn().Err(err).Str("key", r.key).Msg("what is in the files cannot be used: the old goes on being used until it can")
	}
	return r.value
}

// look reads the files, and makes something of them if they have changed.
func (r *renewed[T]) look() error {
	contents := make([][]byte, len(r.files))
	for i, file := range r.files {
		var err error
		if contents[i], err = file.read(); err != nil {
			return err
		}
	}
	if slices.EqualFunc(contents, r.seen, bytes.Equal) {
		r.failed = ""
		return nil
	}
	value, err := r.parse(contents)
	if err != nil {
		return err
	}
	first := r.seen == nil && r.failed == ""
	r.value, r.seen, r.failed = value, contents, ""
	if !first {
		r.log.Info().Str("key", r.key).Msg("the files have changed: what is in them is used from now on")
	}
	return nil
}

// mostFile is far more than any secret, certificate or bundle of them has.
const mostFile = 4 << 20

func (f file) read() ([]byte, error) {
	opened, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.key, err)
	}
	defer opened.Close()
	content, err := io.ReadAll(io.LimitReader(opened, mostFile+1))
	if err == nil && len(content) > mostFile {
		err = fmt.Errorf("%s has more than %d bytes", f.path, mostFile)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.key, err)
	}
	return content, nil
}

// secret is one that was read already, from the file at path unless that is empty.
func secret(key string, value config.Secret, path string, every time.Duration, log zerolog.Logger) *renewed[string] {
	r := &renewed[string]{
		key: key, every: every, log: log, value: string(value), looked: time.Now(),
		parse: func(contents [][]byte) (string, error) {
			secret, err := config.ParseSecret(contents[0])
			if err != nil {
				return "", fmt.Errorf("%s: %w", path, err)
			}
			return string(secret), nil
		},
	}
	if path != "" {
		r.files = []file{{key, path}}
	}
	return r
}

// keyPair is the certificate of a listener. The files were found good.
func keyPair(key, certFile, keyFile string, log zerolog.Logger) *renewed[*tls.Certificate] {
	return &renewed[*tls.Certificate]{
		key: key + ".cert_file", every: reread, log: log,
		files: []file{{key + ".cert_file", certFile}, {key + ".key_file", keyFile}},
		parse: func(contents [][]byte) (*tls.Certificate, error) {
			pair, err := pairOf(contents[0], contents[1])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", certFile, err)
			}
			return &pair, nil
		},
	}
}

// renewed gives what connections to the brokers are encrypted with. An error says which of the files cannot be used.
func (t TLS) renewed(log zerolog.Logger) (*renewed[*tls.Config], error) {
	r := &renewed[*tls.Config]{key: "kafka.tls", log: log, parse: t.parse, value: &tls.Config{MinVersion: tls.VersionTLS12}}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, errors.New("tls.cert_file: it and key_file are given together, or not at all")
	}
	for _, f := range []file{{"tls.ca_file", t.CAFile}, {"tls.cert_file", t.CertFile}, {"tls.key_file", t.KeyFile}} {
		if f.path != "" {
			r.files = append(r.files, f)
		}
	}
	if len(r.files) == 0 {
		return r, nil
	}
	defer func() { r.looked = time.Now() }()
	return r, r.look()
}

// parse takes what is in the files that are given, in the order of TLS's fields.
func (t TLS) parse(contents [][]byte) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	var errs []error
	if t.CAFile != "" {
		var err error
		if cfg.RootCAs, err = authorityPool(contents[0]); err != nil {
			errs = append(errs, fmt.Errorf("tls.ca_file: %s: %w", t.CAFile, err))
		}
		contents = contents[1:]
	}
	if t.CertFile != "" {
		pair, err := pairOf(contents[0], contents[1])
		if err != nil {
			errs = append(errs, fmt.Errorf("tls.cert_file: %w", err))
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, errors.Join(errs...)
}

// authorityPool trusts all certificates that are in a file. One that is cut off, while it is being written, is an error.
func authorityPool(text []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	n := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		pool.AddCert(cert)
		n++
	}
	if err := whole(text, n); err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errors.New("no certificate in it")
	}
	return pool, nil
}

// pairOf takes a certificate, those of the authorities between after it, and its key. One of them that is cut off is an error:
// tls.X509KeyPair would do without it.
func pairOf(cert, key []byte) (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err == nil {
		err = whole(cert, len(pair.Certificate))
	}
	return pair, err
}

// fits says why a certificate and its key cannot be used.
func fits(certFile, keyFile string) error {
	cert, err := os.ReadFile(certFile) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	key, err := os.ReadFile(keyFile) //nolint:gosec // as above
	if err != nil {
		return err
	}
	_, err = pairOf(cert, key)
	return err
}

// whole says whether a file has more certificates than the n that could be read of it: one is being written.
func whole(text []byte, n int) error {
	if begun := bytes.Count(text, []byte("-----BEGIN CERTIFICATE-----")); begun > n {
		return fmt.Errorf("%d certificates, of which %d are not whole", begun, begun-n)
	}
	return nil
}
