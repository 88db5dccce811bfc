package kafka

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/sasl"
)

// Client talks to one cluster. Safe for concurrent use.
type Client struct {
	cfg       Config
	log       zerolog.Logger
	addr      net.Addr
	sasl      sasl.Mechanism
	conns     *conns
	transport *kafkago.Transport
	combiner  *combiner
	calls     sync.Pool // that have ended; not the program's, as channels belong to the bubble of a test in virtual time

	known  atomic.Pointer[leadership] // by kafka-go's last copy of the metadata that was seen
	closed atomic.Bool
}

// New makes a Client; it dials nothing.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	cfg = cfg.withDefaults()
	mechanism, err := cfg.SASL.login()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	cs := newConns(cfg.Dial, cfg.TLS)
	client := &Client{
		cfg:   cfg,
		log:   cfg.Log,
		addr:  kafkago.TCP(cfg.Brokers...),
		sasl:  mechanism,
		conns: cs,
		transport: &kafkago.Transport{
			Dial:           cs.dial,
			DialTimeout:    dialTimeout,
			MetadataTTL:    cfg.MetadataAge,
			IdleTimeout:    idleTimeout,
			MetadataTopics: slices.Clone(cfg.Topics),
			ClientID:       cfg.ClientID,
			SASL:           mechanism,
		},
	}
	client.combiner = newCombiner(client)
	return client, nil
}

// idleTimeout is longer than the time between two looks of a member that has nothing to do, lest each of them connect anew, and
// shorter than after what brokers, and what lies between, close an idle connection: 4 to 10 min.
const idleTimeout = 2 * time.Minute

// Close drops the connections. Everything made from the Client must have ended before.
func (c *Client) Close() {
	c.closed.Store(true)
	c.transport.CloseIdleConnections()
	// A request given up keeps its connection, and a goroutine, until the broker answers it or its deadline passes.
	c.conns.close()
	c.combiner.close()
}

// send makes one request, once. kafka-go waits for ever without a deadline, so each has one.
func (c *Client) send(ctx context.Context, req protocol.Message) (protocol.Message, error) {
	return c.sendWithin(ctx, c.cfg.Timeout, req)
}

// sendWithin is send with a limit of the request's own.
func (c *Client) sendWithin(ctx context.Context, limit time.Duration, req protocol.Message) (protocol.Message, error) {
	if c.closed.Load() {
		return nil, ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	res, err := c.transport.RoundTrip(ctx, c.addr, req)
	if r, ok := res.(reply); ok {
		res = r.Message
	}
	return res, clean(err)
}
