package bridge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"distributor-bridge/internal/broker"
)

// A certificate that is followed by others is not used while one of these is half written: the brokers, or the provider, would refuse
// what they cannot lead back to an authority that they trust.
func TestHalfAChain(t *testing.T) {
	t.Parallel()
	authority, err := broker.NewAuthority("between")
	if err != nil {
		t.Fatal(err)
	}
	leaf, key, err := authority.Issue("bridge")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	put := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	chain := append(leaf, authority.PEM...)
	certFile, keyFile := put("tls.crt", chain), put("tls.key", key)
	ours, err := TLS{CertFile: certFile, KeyFile: keyFile}.renewed(zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	theirs := keyPair("webhooks", certFile, keyFile, zerolog.Nop())
	theirs.every = time.Nanosecond
	look := func() (our, their int) {
		return len(ours.get().Certificates[0].Certificate), len(theirs.get().Certificate)
	}
	for _, content := range [][]byte{chain, chain[:len(chain)-100], chain} {
		put("tls.crt", content)
		if our, their := look(); our != 2 || their != 2 {
			t.Errorf("of %d bytes: chains of %d and %d certificates are used", len(content), our, their)
		}
	}
}

// A token or secret of webhooks that is too short, such as one that is half written, does not take the place of what is good.
func TestShortToken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	const long, other = "a-token-of-16-and-more", "another-token-of-16-and-more"
	token := strong(secret("webhooks.token_file", long, path, time.Nanosecond, zerolog.Nop()), strings.Fields)
	for _, c := range []struct{ written, used string }{
		{long, long}, {long[:15], long}, {other + "\n" + long[:5], long}, {other + "\n" + long + "\n", other + "\n" + long}, {other, other},
	} {
		if err := os.WriteFile(path, []byte(c.written), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := token.get(); got != c.used {
			t.Errorf("with %q in the file %q is used", c.written, got)
		}
	}
}
