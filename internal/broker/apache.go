package broker

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ApacheConfig says how to run a real Apache Kafka.
type ApacheConfig struct {
	// Libs is the folder with its jars (apache-kafka/pom.xml). Required.
	Libs string
	// Dir takes its settings, its log and its data; what is there already is used. Required.
	Dir string
	// Java is the program. Default: java, from the PATH; 17 or newer.
	Java string
	// Security lets only known users in, over TLS, and has them do only what they are allowed. Default: everybody may do all.
	Security *Security
	// Properties are added to server.properties, one "name=value" each.
	Properties []string
}

// ApacheBroker is a real Apache Kafka (KRaft, one node, 512 MB) as a child process, on 127.0.0.1. Not safe for
// concurrent use, except Addrs.
type ApacheBroker struct {
	cfg  ApacheConfig
	addr string
	cmd  *exec.Cmd     // the running process
	done chan struct{} // closed when cmd has ended
	end  error         // why it ended; set before done is closed
}

// Apache starts a broker on free ports and waits until it answers, which takes some seconds, or ctx ends.
func Apache(ctx context.Context, cfg ApacheConfig) (*ApacheBroker, error) {
	if cfg.Libs == "" || cfg.Dir == "" {
		return nil, errors.New("start Apache Kafka: libs and dir are required")
	}
	if cfg.Java == "" {
		cfg.Java = "java"
	}
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("start Apache Kafka: %w", err)
	}
	client, controller, err := freePorts()
	if err != nil {
		return nil, fmt.Errorf("start Apache Kafka: %w", err)
	}
	b := &ApacheBroker{cfg: cfg, addr: fmt.Sprintf("127.0.0.1:%d", client)}
	if err := os.WriteFile(b.settings(), b.properties(controller), 0o600); err != nil {
		return nil, fmt.Errorf("start Apache Kafka: %w", err)
	}
	args := []string{"kafka.tools.StorageTool", "format", "-t", clusterID(), "-c", b.settings(), "--ignore-formatted"}
	if cfg.Security != nil {
		args = append(args, cfg.Security.format()...)
	}
	format := b.java(ctx, args...)
	if out, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("format Apache Kafka's data folder: %w: %s", err, out)
	}
	if err := b.start(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// Addrs are host:port of the broker.
func (b *ApacheBroker) Addrs() []string { return []string{b.addr} }

// Kill ends the process at once (SIGKILL), as a crash would.
func (b *ApacheBroker) Kill() { b.signal(syscall.SIGKILL) }

// Restart starts the broker again, on the same ports with the same data, after a Kill or by ending it in order.
func (b *ApacheBroker) Restart(ctx context.Context) error {
	b.Close()
	return b.start(ctx)
}

// Close ends the process in order, and after 20 s at once. What it has stored stays in Dir.
func (b *ApacheBroker) Close() {
	process := b.cmd.Process
	late := time.AfterFunc(20*time.Second, func() { _ = process.Kill() })
	defer late.Stop()
	b.signal(syscall.SIGTERM)
}

func (b *ApacheBroker) signal(sig syscall.Signal) {
	_ = b.cmd.Process.Signal(sig) // an error only if it has ended
	<-b.done
}

// Secure changes what the broker shows and whom it trusts, from the next Restart on. Users stay what they are.
func (b *ApacheBroker) Secure(s *Security) { b.cfg.Security = s }

// Admin connects as the administrator, who may do everything.
func (b *ApacheBroker) Admin() (*Admin, error) {
	options, err := b.options()
	if err != nil {
		return nil, err
	}
	return NewAdmin(b.Addrs(), options...)
}

func (b *ApacheBroker) options() ([]kgo.Opt, error) {
	if b.cfg.Security == nil {
		return nil, nil
	}
	return b.cfg.Security.options()
}

func (b *ApacheBroker) start(ctx context.Context) error {
	if b.cfg.Security != nil {
		if err := b.cfg.Security.write(b.cfg.Dir); err != nil {
			return fmt.Errorf("start Apache Kafka: %w", err)
		}
	}
	log, err := os.OpenFile(filepath.Join(b.cfg.Dir, "broker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start Apache Kafka: %w", err)
	}
	defer log.Close()
	b.cmd = b.java(context.WithoutCancel(ctx), "kafka.Kafka", b.settings())
	b.cmd.Stdout, b.cmd.Stderr = log, log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true,            // Ctrl-C is for us, who end it when nobody needs it any more
		Pdeathsig: syscall.SIGKILL, // it does not outlive us
	}
	if err := b.cmd.Start(); err != nil {
		return fmt.Errorf("start Apache Kafka: %w", err)
	}
	done := make(chan struct{})
	b.done = done
	go func() {
		b.end = b.cmd.Wait()
		close(done)
	}()
	if err := b.answers(ctx); err != nil {
		b.Kill()
		return fmt.Errorf("start Apache Kafka (see %s): %w", log.Name(), err)
	}
	return nil
}

// answers waits until the broker does.
func (b *ApacheBroker) answers(ctx context.Context) error {
	options, err := b.options()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(b.addr))...)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		try, cancel := context.WithTimeout(ctx, time.Second)
		err := client.Ping(try)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-b.done:
			return fmt.Errorf("it has ended: %w", b.end)
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (b *ApacheBroker) java(ctx context.Context, args ...string) *exec.Cmd {
	args = append([]string{"-Xmx512m", "-cp", filepath.Join(b.cfg.Libs, "*")}, args...)
	cmd := exec.CommandContext(ctx, b.cfg.Java, args...)
	cmd.Dir = b.cfg.Dir
	return cmd
}

func (b *ApacheBroker) settings() string { return filepath.Join(b.cfg.Dir, "server.properties") }

// properties are Kafka's defaults but for what one node needs, and what would make tests wait: the pause before a group's
// first generation, and how long the controller takes a killed broker for alive, and its next start for a second one.
func (b *ApacheBroker) properties(controllerPort int) []byte {
	protocol := "PLAINTEXT"
	if b.cfg.Security != nil {
		protocol = "SASL_SSL"
	}
	text := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=%[4]s://%[1]s,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=%[4]s://%[1]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=%[4]s:%[4]s,CONTROLLER:PLAINTEXT
log.dirs=%[3]s
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
`, b.addr, controllerPort, filepath.Join(b.cfg.Dir, "data"), protocol)
	if b.cfg.Security != nil {
		text += b.cfg.Security.properties(b.cfg.Dir)
	}
	for _, p := range b.cfg.Properties {
		text += p + "\n"
	}
	return []byte(text)
}

// freePorts gives two that nobody listens on now. Both are held until both are known.
func freePorts() (a, b int, err error) {
	one, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, err
	}
	defer one.Close()
	two, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, err
	}
	defer two.Close()
	return one.Addr().(*net.TCPAddr).Port, two.Addr().(*net.TCPAddr).Port, nil
}

// clusterID makes one as Kafka does: 16 random bytes in URL-safe base64.
func clusterID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	id[0] &= 0x7f           // no leading dash, which would be taken for an option
	return base64.RawURLEncoding.EncodeToString(id[:])
}
