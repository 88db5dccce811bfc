package documents

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// Config says where documents may come from. The zero value allows inline content only.
type Config struct {
	// AllowedHosts are the hosts that links may lead to, as host or host:port: default port 443, default none. Others are
	// rejected as outcome.DocumentRefusedLink.
	AllowedHosts []string
	// FileRoot is the directory beneath which files may be read: default none, so that every file link is refused. It
	// has to exist.
	FileRoot string
	// MaxBytes limits a document's size: default 25 MiB.
	MaxBytes int64
	// Timeouts limit the stages of a fetch.
	Timeouts Timeouts

	// Log is told when a host goes down, and when it is back.
	Log zerolog.Logger
	// RootCAs are trusted instead of the system's, if set.
	RootCAs *x509.CertPool
	// AllowPrivate allows links to private and loopback addresses: for tests only.
	AllowPrivate bool
	// Dial makes the connections, if set, without the guard against private addresses: for tests only, and only together
	// with AllowPrivate.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Timeouts limit the stages of a fetch. Zero stands for the default.
type Timeouts struct {
	Dial      time.Duration // to connect, DNS included: default 3 s
	TLS       time.Duration // for the handshake: default 3 s
	FirstByte time.Duration // from the request sent to the answer's header: default 10 s
	// Fetch is from Open to the last byte: default 15 s. It should be below the API's limit of a call, so that a slow
	// document is not taken for a slow API.
	Fetch time.Duration
}

// Validate names everything that is wrong, at once.
func (cfg Config) Validate() error {
	var errs []error
	for i, h := range cfg.AllowedHosts {
		u, err := url.Parse("https://" + h)
		if err != nil || u.Hostname() == "" || u.Host != h || strings.HasSuffix(h, ":") {
			errs = append(errs, fmt.Errorf("allowed_hosts[%d]: neither host nor host:port", i))
		}
	}
	if cfg.FileRoot != "" {
		if info, err := os.Stat(cfg.FileRoot); err != nil || !info.IsDir() {
			errs = append(errs, errors.New("file_root: no such directory"))
		}
	}
	if cfg.Dial != nil && !cfg.AllowPrivate {
		errs = append(errs, errors.New("dial: only together with allow_private"))
	}
	t := cfg.Timeouts
	if cfg.MaxBytes < 0 || min(t.Dial, t.TLS, t.FirstByte, t.Fetch) < 0 {
		errs = append(errs, errors.New("max_bytes, timeouts: one of them is negative"))
	}
	return errors.Join(errs...)
}

func (cfg Config) withDefaults() Config {
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 25<<20)
	t := &cfg.Timeouts
	t.Dial = cmp.Or(t.Dial, 3*time.Second)
	t.TLS = cmp.Or(t.TLS, 3*time.Second)
	t.FirstByte = cmp.Or(t.FirstByte, 10*time.Second)
	t.Fetch = cmp.Or(t.Fetch, 15*time.Second)
	return cfg
}

// withPort gives host:port in lower case, from host or host:port.
func withPort(host string) string {
	u := url.URL{Host: strings.ToLower(host)}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443"))
}
