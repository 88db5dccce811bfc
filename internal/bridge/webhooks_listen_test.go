package bridge_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"distributor-bridge/internal/bridge"
)

// failing is a listener that fails for good when it is told to.
type failing struct {
	*pipeListener
	fail chan struct{}
}

func (l *failing) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.fail:
		return nil, errors.New("the descriptor is gone")
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// A listener of webhooks that fails does not end the bridge: it listens anew, as often as it takes, and stops in time meanwhile.
func TestListenerFails(t *testing.T) {
	t.Parallel()
	hinted(t, func(t *testing.T, w *hintWorld) {
		first := &failing{newPipeListener(), make(chan struct{})}
		last := &failing{newPipeListener(), make(chan struct{})}
		var listened atomic.Int64
		m := w.start(w.listens, func(cfg *bridge.Config) {
			cfg.WebhookListen = func(context.Context, string, string) (net.Listener, error) {
				switch listened.Add(1) {
				case 1:
					return first, nil
				case 4:
					return last, nil
				}
				return nil, errors.New("the address is in use")
			}
		})
		time.Sleep(time.Minute)
		close(first.fail)
		time.Sleep(time.Minute)
		if !strings.Contains(w.log.String(), "the descriptor is gone") || !strings.Contains(w.log.String(), "the address is in use") {
			t.Error("the log does not say what is wrong")
		}
		w.client.Transport = &http.Transport{DialContext: last.dial}
		if status := w.hint(hintToken, uuid.NewString(), "PAID"); status != http.StatusNoContent {
			t.Errorf("after it has listened anew a hint is answered with %d", status)
		}
		w.client.CloseIdleConnections()
		close(last.fail)
		time.Sleep(10 * time.Minute)
		if n := listened.Load(); n < 10 || n > 40 {
			t.Errorf("it has listened %d times", n)
		}
		began := time.Now()
		m.stop()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("stopping took %s", took)
		}
	})
}

// Whoever takes webhooks from a network without TLS is told so.
func TestListenWithoutTLS(t *testing.T) {
	t.Parallel()
	for listen, warned := range map[string]bool{
		"hints.example.org:80": true, ":80": true, "[::]:80": true,
		"127.0.0.1:80": false, "[::1]:80": false, "localhost:80": false,
	} {
		hinted(t, func(t *testing.T, w *hintWorld) {
			m := w.start(w.listens, func(cfg *bridge.Config) { cfg.Webhooks.Listen = listen })
			time.Sleep(5 * time.Second)
			m.stop()
			if is := strings.Contains(w.log.String(), "without TLS"); is != warned {
				t.Errorf("%s: warned %v, want %v", listen, is, warned)
			}
		})
	}
}
