package bridge

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"distributor-bridge/internal/config"
)

// soon is how long before its end a certificate is warned of.
const soon = 30 * day

// namedFile is a file of the configuration.
type namedFile struct{ key, path string }

func (c *Config) secretFiles() []namedFile {
	return []namedFile{
		{"kafka.sasl.password_file", c.Kafka.SASL.PasswordFile}, {"api.client_secret_file", c.API.ClientSecretFile},
		{"webhooks.token_file", c.Webhooks.TokenFile}, {"webhooks.client_secret_file", c.Webhooks.ClientSecretFile},
		{"traces.headers_file", c.Traces.HeadersFile},
	}
}

// aboutFile says whether a key names a file or a folder.
func aboutFile(key string) bool {
	return strings.HasSuffix(key, "_file") || strings.HasSuffix(key, "_root")
}

// files looks at all files that are named.
func (k *checkup) files(f *findings) {
	c := k.cfg
	for _, s := range c.secretFiles() {
		if s.path != "" && isThere(f, s) {
			lookAtSecret(f, s)
		}
	}
	for _, key := range []string{"kafka.sasl.password", "api.client_secret", "webhooks.token", "webhooks.client_secret", "traces.headers"} {
		if k.file != "" && strings.HasPrefix(k.origins[key], k.file+":") && tooOpen(f, namedFile{key, k.file}) {
			break
		}
	}
	t := c.Kafka.TLS
	for _, ca := range []namedFile{{"kafka.tls.ca_file", t.CAFile}, {"traces.ca_file", c.Traces.CAFile}} {
		if ca.path != "" {
			authorities(f, ca)
		}
	}
	keyPairFiles(f, namedFile{"kafka.tls.cert_file", t.CertFile}, namedFile{"kafka.tls.key_file", t.KeyFile})
	keyPairFiles(f, namedFile{"webhooks.cert_file", c.Webhooks.CertFile}, namedFile{"webhooks.key_file", c.Webhooks.KeyFile})
	k.webhooks(f)
	documentRoot(f, c.Documents.FileRoot)
}

// isThere says whether a file can be read, and why not.
func isThere(f *findings, n namedFile) bool {
	file, err := os.Open(n.path)
	if err == nil {
		defer file.Close()
		var info fs.FileInfo
		if info, err = file.Stat(); err == nil && info.IsDir() {
			f.wrong(n.key, "name the file in it", "%s is a folder", n.path)
			return false
		}
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, fs.ErrNotExist) && f.offline:
		f.notHere(n)
	case errors.Is(err, fs.ErrNotExist):
		f.wrong(n.key, "put it there, or correct the path", "%s does not exist", n.path)
	case errors.Is(err, fs.ErrPermission):
		f.wrong(n.key, "let the user that runs the bridge read it", "%s may not be read", n.path)
	default:
		f.wrong(n.key, "correct the path", "%s cannot be read (%v)", n.path, errors.Unwrap(err))
	}
	return false
}

func (f *findings) notHere(n namedFile) {
	f.leftOut(n.key, "not looked at: offline, and %s is not here", n.path)
}

func lookAtSecret(f *findings, n namedFile) {
	if _, err := config.ReadSecret(n.path); err != nil {
		f.wrong(n.key, "write the secret into it", "%s: %v", n.path, err)
		return
	}
	if !tooOpen(f, n) {
		f.good(n.key, "%s holds a secret", n.path)
	}
}

// tooOpen warns of a file with a secret that others can read. One that belongs to another user than ours is read by its group:
// that is how Kubernetes mounts secrets for a user that is not root.
func tooOpen(f *findings, n namedFile) bool {
	info, err := os.Stat(n.path)
	if err != nil {
		return false
	}
	mode := info.Mode().Perm()
	stat, known := info.Sys().(*syscall.Stat_t)
	ours := known && int(stat.Uid) == os.Getuid()
	switch {
	case mode&0o007 != 0:
		f.warn(n.key, "chmod o-rwx "+n.path, "%s can be read by every user of this machine (mode %04o)", n.path, mode)
	case ours && mode&0o070 != 0:
		f.warn(n.key, "chmod 600 "+n.path, "%s can be read by its group (mode %04o)", n.path, mode)
	default:
		return false
	}
	return true
}

func authorities(f *findings, n namedFile) {
	if !isThere(f, n) {
		return
	}
	certs, err := certificates(n.path)
	if err != nil {
		f.wrong(n.key, "give certificates as PEM, each from BEGIN CERTIFICATE to END CERTIFICATE", "%s: %v", n.path, err)
		return
	}
	now, usable := time.Now(), 0
	var last time.Time
	for _, cert := range certs {
		if now.Before(cert.NotAfter) {
			usable++
		}
		if cert.NotAfter.After(last) {
			last = cert.NotAfter
		}
	}
	switch {
	case usable == 0:
		f.wrong(n.key, "get the authority's new certificate", "%s: its certificates have expired, the last on %s", n.path, date(last))
	case last.Sub(now) < soon:
		f.warn(n.key, "get the authority's new certificate", "%s: its certificates expire, the last on %s", n.path, date(last))
	default:
		f.good(n.key, "%s holds %s, good until %s", n.path, counted(len(certs), "certificate", "certificates"), date(last))
	}
}

// keyPairFiles looks at a certificate and its key; at nothing if neither is named.
func keyPairFiles(f *findings, cert, key namedFile) {
	switch {
	case cert.path == "" && key.path == "":
		return
	case cert.path == "":
		f.wrong(cert.key, "name the certificate's file, or take the key out", "is not given, but %s is", key.key)
		return
	case key.path == "":
		f.wrong(key.key, "name the key's file, or take the certificate out", "is not given, but %s is", cert.key)
		return
	}
	certThere, keyThere := isThere(f, cert), isThere(f, key)
	if !certThere || !keyThere {
		return
	}
	certs, err := certificates(cert.path)
	if err != nil {
		f.wrong(cert.key, "give the certificate as PEM, and those of the authorities between after it", "%s: %v", cert.path, err)
		return
	}
	if err := fits(cert.path, key.path); err != nil {
		if strings.Contains(err.Error(), "not whole") {
			f.wrong(cert.key, "write it anew: one of those after the first is cut off", "%s: %v", cert.path, err)
			return
		}
		if strings.Contains(err.Error(), "does not match") {
			f.wrong(key.key, "take the key with which the certificate was asked for",
				"%s does not fit the certificate %s", key.path, cert.path)
			return
		}
		f.wrong(key.key, "give the private key as PEM, without a password", "%s holds no private key that can be used", key.path)
		return
	}
	tooOpen(f, key)
	now, until := time.Now(), certs[0].NotAfter
	switch {
	case now.After(until):
		f.wrong(cert.key, "have it renewed", "%s has expired on %s", cert.path, date(until))
	case now.Before(certs[0].NotBefore):
		f.wrong(cert.key, "set this machine's clock, or wait", "%s is good from %s only", cert.path, date(certs[0].NotBefore))
	case until.Sub(now) < soon:
		f.warn(cert.key, "have it renewed", "%s expires on %s", cert.path, date(until))
	default:
		f.good(cert.key, "%s and its key fit, good until %s", cert.path, date(until))
	}
}

var errNoCertificate = errors.New("no certificate is in it")

// certificates reads a file of certificates, PEM.
func certificates(path string) ([]*x509.Certificate, error) {
	rest, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("a certificate in it is broken")
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errNoCertificate
	}
	return certs, nil
}

// webhooks warns of hints that strangers could read or send.
func (k *checkup) webhooks(f *findings) {
	w := k.cfg.Webhooks
	if w.Listen == "" {
		return
	}
	if w.CertFile == "" && remote(w.Listen) {
		f.warn("webhooks.listen", "give webhooks.cert_file and key_file, or let an ingress end TLS in front of it",
			"%s takes hints without TLS: tokens can be read on their way", w.Listen)
	}
}

func documentRoot(f *findings, root string) {
	const key = "documents.file_root"
	if root == "" {
		return
	}
	info, err := os.Stat(root)
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.offline:
		f.notHere(namedFile{key, root})
		return
	case errors.Is(err, fs.ErrNotExist):
		f.wrong(key, "mount it, or correct the path", "%s does not exist: every event with a file link would be rejected", root)
		return
	case err == nil && !info.IsDir():
		f.wrong(key, "name the folder that it is in", "%s is no folder", root)
		return
	}
	if err == nil {
		_, err = os.ReadDir(root)
	}
	if err != nil {
		f.wrong(key, "let the user that runs the bridge read it", "%s may not be read", filepath.Clean(root))
		return
	}
	f.good(key, "%s can be read", root)
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }
