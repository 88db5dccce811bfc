package main

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/broker"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){program: main})
}

// TestScripts runs the program as an operator does. Scripts find a Kafka at $BROKERS, and a prefix for topics of their own
// in $PREFIX.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "paused": paused, "ends": ends, "play": play, "made": made, "hidden": hidden,
			"topic": topic, "serves": serves, "unmarked": unmarked,
		},
		Setup: func(env *testscript.Env) error {
			brokers := broker.ForTest(env.T().(testing.TB))
			env.Setenv("BROKERS", strings.Join(brokers, ","))
			env.Setenv("PREFIX", broker.Name(env.T().(testing.TB), "")+".")
			var err error
			env.Values[apiKey{}], err = newAPI()
			return err
		},
	})
}

// paused is "paused PARTITION TYPE": state says that a type has paused.
func paused(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: paused PARTITION TYPE")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	client := connect(ts)
	defer client.Close()
	ts.Check(client.ProduceSync(context.Background(), &kgo.Record{
		Topic: ts.Getenv("PREFIX") + "state", Partition: int32(n), Key: []byte("control"),
		Value: []byte(`{"v":1,"seen":-1,"paused":{"` + args[1] +
			`":{"id":"p-1","since":"2026-01-15T09:30:00Z","ended":60,"rejected":50,"owner":"host-1"}}}`),
	}).FirstErr())
}

// ends is "ends N N N": how many records the inbox's partitions hold, all of them commands.
func ends(ts *testscript.TestScript, neg bool, args []string) {
	client := connect(ts)
	defer client.Close()
	for n, want := range args {
		req := kmsg.NewPtrListOffsetsRequest()
		topic, partition := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
		topic.Topic, partition.Partition, partition.Timestamp = ts.Getenv("PREFIX")+"inbox", int32(n), -1
		topic.Partitions = append(topic.Partitions, partition)
		req.Topics = append(req.Topics, topic)
		answer, err := req.RequestWith(context.Background(), client)
		ts.Check(err)
		end := answer.Topics[0].Partitions[0].Offset
		if got := strconv.FormatInt(end, 10); neg || got != want {
			ts.Fatalf("partition %d of the inbox holds %s records, want %s", n, got, want)
		}
	}
}

func connect(ts *testscript.TestScript) *kgo.Client {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(ts.Getenv("BROKERS"), ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ts.Check(err)
	return client
}

// exits is "exits CODE COMMAND ARGS…": exec that fails with that code and no other.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS…")
	}
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("%s: %v, want exit status %s", strings.Join(args[1:], " "), err, args[0])
	}
}
