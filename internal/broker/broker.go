// Package broker provides Kafka brokers for development and tests: one in process (twmb/franz-go's kfake), one in
// process without sockets for testing/synctest bubbles, and a real Apache Kafka as a child process. All listen on
// 127.0.0.1 only. It is never linked into the bridge.
package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Config says what broker Start makes. Its zero value is one broker in memory on a free port.
type Config struct {
	// Brokers is how many brokers the cluster has. Default: 1.
	Brokers int
	// Ports are the ports to listen on, one a broker. Default: free ones.
	Ports []int
	// DataDir keeps everything in a folder, from where the next start takes it. Default: memory only.
	DataDir string
	// Topics are created at start if they do not exist, with Partitions partitions each.
	Topics []string
	// Partitions of Topics. Default: 1.
	Partitions int
	// MinSession is the shortest session timeout that group members may ask for. Default: 100 ms, so that tests of lost
	// members are fast; Kafka's is 6 s.
	MinSession time.Duration
	// Options go to kfake as they are.
	Options []kfake.Opt
}

// Broker is a running in-process cluster.
type Broker struct {
	cluster *kfake.Cluster
	dial    func(context.Context, string, string) (net.Conn, error)
}

// Start runs a cluster in this process until Close. Topics are never made by mere use.
func Start(cfg Config) (*Broker, error) {
	cluster, err := kfake.NewCluster(cfg.options()...)
	if err != nil {
		return nil, fmt.Errorf("start in-process broker: %w", err)
	}
	return &Broker{cluster: cluster, dial: (&net.Dialer{}).DialContext}, nil
}

// Pipe is Start without sockets: connections are net.Pipes, made by Dial only. All of it may live in a
// testing/synctest bubble, where blocked network reads of real sockets would stop the virtual clock.
func Pipe(cfg Config) (*Broker, error) {
	if len(cfg.Ports) > 0 || cfg.DataDir != "" {
		return nil, errors.New("start in-process broker: pipes have neither ports nor a data folder")
	}
	pipes := newPipes()
	cluster, err := kfake.NewCluster(append(cfg.options(), kfake.ListenFn(pipes.listen))...)
	if err != nil {
		return nil, fmt.Errorf("start in-process broker: %w", err)
	}
	return &Broker{cluster: cluster, dial: pipes.dial}, nil
}

func (c Config) options() []kfake.Opt {
	if c.Brokers == 0 {
		c.Brokers = max(1, len(c.Ports))
	}
	if c.Partitions == 0 {
		c.Partitions = 1
	}
	if c.MinSession == 0 {
		c.MinSession = 100 * time.Millisecond
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(c.Brokers),
		// As a broker's configuration, which kfake tells those who ask for it; by its own option it would tell 6 s. Kafka's most
		// is 30 min.
		kfake.BrokerConfigs(map[string]string{
			"group.min.session.timeout.ms": strconv.FormatInt(c.MinSession.Milliseconds(), 10),
			"group.max.session.timeout.ms": "1800000",
			// kfake would delete by age what is only to be compacted, which Kafka does not: state would be gone after 7 days.
			"log.retention.ms": "-1",
		}),
	}
	if len(c.Ports) > 0 {
		opts = append(opts, kfake.Ports(c.Ports...))
	}
	if c.DataDir != "" {
		opts = append(opts, kfake.DataDir(c.DataDir))
	}
	if len(c.Topics) > 0 {
		opts = append(opts, kfake.SeedTopics(int32(c.Partitions), c.Topics...))
	}
	return append(opts, c.Options...)
}

// Addrs are host:port of the brokers.
func (b *Broker) Addrs() []string { return b.cluster.ListenAddrs() }

// Dial opens a connection to one of Addrs; the only way for Pipe's.
func (b *Broker) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return b.dial(ctx, network, address)
}

// Cluster is the fake itself: faults (Fault, ControlKey), compaction (Compact), moves of leaders and coordinators.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Close ends the cluster; with a DataDir everything acknowledged is kept.
func (b *Broker) Close() { b.cluster.Close() }
