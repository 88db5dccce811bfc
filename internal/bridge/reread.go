package bridge

import (
	"crypto/tls"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"distributor-bridge/internal/config"
)

// reread is how often a file is looked at while the bridge runs.
const reread = 5 * time.Second

// secretFile is a secret that may change in its file.
type secretFile struct {
	file string // empty: it cannot change
	log  zerolog.Logger

	mu     sync.Mutex // guards what follows
	value  string
	looked time.Time
}

// secretFrom gives a secret that was read already, from file unless that is empty.
func secretFrom(value config.Secret, file string, log zerolog.Logger) *secretFile {
	return &secretFile{file: file, value: string(value), looked: time.Now(), log: log}
}

// get gives the secret as it is now, or was a few seconds ago. One that cannot be read stays what it was.
func (s *secretFile) get() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == "" || time.Since(s.looked) < reread {
		return s.value
	}
	s.looked = time.Now()
	value, err := config.ReadSecret(s.file)
	if err != nil {
		s.log.Warn().Err(err).Msg("webhooks: a secret cannot be read again: it stays what it was")
		return s.value
	}
	s.value = string(value)
	return s.value
}

// keyPair is a certificate that may change in its files.
type keyPair struct {
	certFile, keyFile string
	log               zerolog.Logger

	mu      sync.Mutex // guards what follows
	cert    *tls.Certificate
	changed time.Time // of the certificate's file
	looked  time.Time
}

// get gives the certificate as it is now, or was a few seconds ago. One that cannot be read stays what it was.
func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cert != nil && time.Since(k.looked) < reread {
		return k.cert, nil
	}
	k.looked = time.Now()
	info, err := os.Stat(k.certFile)
	if err == nil && k.cert != nil && info.ModTime().Equal(k.changed) {
		return k.cert, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(k.certFile, k.keyFile)
	}
	switch {
	case err == nil:
		k.cert, k.changed = &pair, info.ModTime()
	case k.cert == nil:
		return nil, err
	default:
		k.log.Warn().Err(err).Msg("webhooks: the certificate cannot be read again: it stays what it was")
	}
	return k.cert, nil
}
