package bridge_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"distributor-bridge/internal/bridge"
)

// keyPair writes a certificate for hints.example.org and its key into a folder, and gives the certificate.
func keyPair(t *testing.T, dir string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "hints"}, DNSNames: []string{"hints.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: raw}, "tls.key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// A certificate is changed in its file while the bridge runs; a broken one changes nothing.
func TestWebhookTLS(t *testing.T) {
	t.Parallel()
	hinted(t, func(t *testing.T, w *hintWorld) {
		dir := t.TempDir()
		trusting := func(cert *x509.Certificate) {
			pool := x509.NewCertPool()
			pool.AddCert(cert)
			w.client.CloseIdleConnections()
			w.client.Transport = &http.Transport{DialContext: w.door.dial, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
		}
		taken := func(when string) {
			t.Helper()
			if status := w.hintAt("https://hints.example.org", hintToken, uuid.NewString(), "PAID"); status != http.StatusNoContent {
				t.Errorf("%s: answer %d", when, status)
			}
		}
		trusting(keyPair(t, dir))
		m := w.start(w.listens, func(cfg *bridge.Config) {
			cfg.Webhooks.CertFile, cfg.Webhooks.KeyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
		})
		time.Sleep(time.Minute)
		taken("at first")
		trusting(keyPair(t, dir))
		time.Sleep(time.Minute)
		taken("with another certificate")
		if err := os.WriteFile(filepath.Join(dir, "tls.crt"), []byte("broken"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.client.CloseIdleConnections()
		taken("with a broken one in the file")
		if strings.Contains(w.log.String(), "without TLS") {
			t.Error("the log says that there is no TLS")
		}
		w.client.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://hints.example.org/webhooks/investments", strings.NewReader(mark))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+hintToken)
		if a, err := w.client.Do(r); err == nil { // the server's answer to who forgets TLS
			a.Body.Close()
		}
		time.Sleep(time.Second)
		if log := w.log.String(); !strings.Contains(log, "TLS handshake error from a client") || strings.Contains(log, hintToken) {
			t.Errorf("the log does not tell of a request without TLS, or tells too much:\n%s", w.log.tail())
		}
		m.stop()
		w.client.CloseIdleConnections()
	})
}
