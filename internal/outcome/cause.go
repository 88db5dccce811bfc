package outcome

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
)

// What breaks a connection, in words of our own.
var (
	errTimeout = errors.New("timeout")
	errCut     = errors.New("connection cut off")
	errDNS     = errors.New("host name not resolved")
	errTLS     = errors.New("TLS handshake refused")
	errOther   = errors.New("connection broken")
)

// Cause gives what a network error says, in words of our own: the texts of net/http and of its like quote answers,
// certificates, links and addresses. The API's client and the fetcher of documents make verdicts with it.
func Cause(err error) error {
	var (
		timeout interface{ Timeout() bool }
		dns     *net.DNSError
		errno   syscall.Errno
		cert    *tls.CertificateVerificationError
		alert   tls.AlertError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.As(err, &dns):
		return errDNS
	case errors.As(err, &cert), errors.As(err, &alert), errors.As(err, &record):
		return errTLS
	case errors.As(err, &errno):
		return errno
	case errors.As(err, &timeout) && timeout.Timeout():
		return errTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return errCut
	}
	return errOther
}
