package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/schemas"
)

func contextAfter(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}

// target is a broker with topics for emit.
type target struct {
	t                       *testing.T
	client                  *kafka.Client
	brokers                 string
	customers, order, depot string
	contract                *schemas.Contract
}

func newTarget(t *testing.T) *target {
	t.Helper()
	brokers := broker.ForTest(t)
	client, err := kafka.New(kafka.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	tg := &target{
		t: t, client: client, brokers: strings.Join(brokers, ","), contract: newKit(t, "").contract,
		customers: broker.Name(t, "customers"), order: broker.Name(t, "order"), depot: broker.Name(t, "depot"),
	}
	var specs []kafka.TopicSpec
	for _, topic := range []string{tg.customers, tg.order, tg.depot} {
		specs = append(specs, kafka.TopicSpec{Name: topic, Partitions: 3, Replication: 1})
	}
	if _, err := client.CreateTopics(t.Context(), specs); err != nil {
		t.Fatal(err)
	}
	return tg
}

// emit runs the command; it gives its output.
func (tg *target) emit(args ...string) (string, error) {
	tg.t.Helper()
	args = append([]string{
		"emit", "--topic", "customer=" + tg.customers, "--topic", "order=" + tg.order + ",position=" + tg.depot,
	}, args...)
	var stdout, stderr bytes.Buffer
	err := run(tg.t.Context(), args, []string{"KAFKA_BROKERS=" + tg.brokers}, &stdout, &stderr)
	if stderr.Len() > 0 {
		tg.t.Errorf("on standard error: %s", &stderr)
	}
	return stdout.String(), err
}

// records are all records of a topic.
func (tg *target) records(topic string) []kafka.Record {
	tg.t.Helper()
	ends, err := tg.client.EndOffset(tg.t.Context(), topic)
	if err != nil {
		tg.t.Fatal(err)
	}
	var all []kafka.Record
	for p, end := range ends {
		if err := tg.client.Read(tg.t.Context(), topic, p, 0, end, func(r kafka.Record) error {
			all = append(all, r)
			return nil
		}); err != nil {
			tg.t.Fatal(err)
		}
	}
	return all
}

func (tg *target) decode(r kafka.Record) (schemas.Event, error) {
	return tg.contract.Decode(r.Value, r.Headers)
}

func TestEmitSamples(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"binary", "structured"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			tg := newTarget(t)
			out, err := tg.emit("--rate", "0", "--mode", mode, "--suffix", "s")
			if err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile(`(?m)^14 events sent in `).MatchString(out) {
				t.Errorf("it says %s", out)
			}
			checkColumns(t, out)
			if !strings.HasSuffix(out, "distributor-sandbox results --dead\n") {
				t.Errorf("it does not say how to go on: %s", out)
			}
			invalid, sent := 0, map[string]int{}
			for _, topic := range []string{tg.customers, tg.order, tg.depot} {
				for _, r := range tg.records(topic) {
					e, err := tg.decode(r)
					if err != nil {
						t.Fatal(err)
					}
					if tg.contract.Validate(e) != nil {
						invalid++
					}
					if string(r.Key) != e.CustomerID || !strings.HasSuffix(e.CustomerID, "-s") {
						t.Errorf("key %q of an event of %q", r.Key, e.CustomerID)
					}
					if got := r.Headers[len(r.Headers)-1]; strings.Contains(string(got.Value), "cloudevents") != (mode == "structured") {
						t.Errorf("%s is %s", got.Key, got.Value)
					}
					family, _, _ := strings.Cut(e.Name, ".")
					sent[topic+" "+family]++
				}
			}
			if sent[tg.customers+" customer"] != 6 || sent[tg.order+" order"] != 5 || sent[tg.depot+" position"] != 3 || len(sent) != 3 {
				t.Errorf("sent %v", sent)
			}
			if invalid != 1 {
				t.Errorf("%d events are invalid, want the one that is so on purpose", invalid)
			}
		})
	}
}

func TestEmitFile(t *testing.T) {
	t.Parallel()
	valid, err := os.ReadFile("../../schemas/examples/order.paid/valid-all.json")
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := os.ReadFile("../../schemas/examples/order.paid/invalid-units-zero.json")
	if err != nil {
		t.Fatal(err)
	}
	one := strings.ReplaceAll(string(valid), "\n", " ") + "\n"
	second := strconv.Itoa(1 + strings.Count(string(valid), "\n"))
	for name, c := range map[string]struct {
		file string
		args []string
		sent int
		says string // the error
	}{
		"one event over many lines":           {file: string(valid), sent: 1},
		"lines":                               {file: strings.Repeat(strings.ReplaceAll(string(valid), "\n", " ")+"\n", 700), sent: 700},
		"no event":                            {file: " \n", says: "FILE: there is no event in it$"},
		"the second is invalid: none is sent": {file: string(valid) + string(wrong), says: "FILE:SECOND: invalid event: /data/units minimum\nnothing was sent$"},
		"… unless unchecked":                  {file: string(valid) + string(wrong), args: []string{"--unchecked"}, sent: 2},
		"not JSON":                            {file: string(valid) + "Erika", says: "FILE:SECOND: not JSON\nnothing was sent$"},
		"no CloudEvent":                       {file: `{"name": "Erika"}`, says: "FILE:1: invalid event: .*/id required"},
		"all that is bad is told": {
			file: one + "{\"a\": \n" + one + "Erika {}\n\n" + strings.ReplaceAll(string(wrong), "\n", " ") + "\n" + one,
			says: "^FILE:2: not JSON\nFILE:4: not JSON\nFILE:6: invalid event: /data/units minimum\nnothing was sent$",
		},
		"the first 20 are told": {
			file: strings.Repeat("{}\n", 25), says: "FILE:20: [^\n]*\nand 5 more\nnothing was sent$",
		},
		"another prefix": {
			file: one, args: []string{"--prefix", "com.example."},
			says: `FILE:1: type "distributor.order.paid" does not begin with --prefix, "com.example."`,
		},
		"another type": {
			file: strings.Replace(one, "order.paid", "order.payed", 1),
			says: `FILE:1: type "distributor.order.payed": after --prefix, "distributor.", want one of .*order.paid`,
		},
		"another type, unchecked": {
			file: strings.Replace(one, "order.paid", "order.payed", 1), args: []string{"--unchecked"}, sent: 1,
		},

		"no CloudEvent, unchecked": {file: `{"name": "Erika"}`, args: []string{"--unchecked"}, sent: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tg := newTarget(t)
			file := filepath.Join(t.TempDir(), "events")
			if err := os.WriteFile(file, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := tg.emit(append([]string{"--file", file}, c.args...)...)
			c.says = strings.NewReplacer("FILE", regexp.QuoteMeta(file), "SECOND", second).Replace(c.says)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !regexp.MustCompile(c.says).MatchString(err.Error())) {
				t.Errorf("error %v, want %q", err, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "Erika") {
				t.Errorf("the error tells a value: %v", err)
			}
			if sent := len(tg.records(tg.order)) + len(tg.records(tg.customers)); sent != c.sent {
				t.Errorf("%d events sent, want %d", sent, c.sent)
			}
		})
	}
}

func TestEmitStream(t *testing.T) {
	t.Parallel()
	tg := newTarget(t)
	out, err := tg.emit("--stream", "--rate", "0", "--count", "1300")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out, "1300 events sent") {
		t.Errorf("it says %s", out)
	}
	sent := len(tg.records(tg.order)) + len(tg.records(tg.customers))
	if sent != 1300 {
		t.Errorf("%d events sent", sent)
	}

	began := time.Now()
	if _, err := tg.emit("--stream", "--rate", "50", "--duration", "400ms", "--suffix", "rated"); err != nil {
		t.Fatal(err)
	}
	more := len(tg.records(tg.order)) + len(tg.records(tg.customers)) - sent
	if more < 10 || more > 21 {
		t.Errorf("%d events in 400 ms at 50 a second (took %s)", more, time.Since(began))
	}
}

func TestEmitTopicMissing(t *testing.T) {
	t.Parallel()
	tg := newTarget(t)
	missing := broker.Name(t, "missing")
	_, err := tg.emit("--topic", "order.paid="+missing)
	if err == nil || !strings.Contains(err.Error(), "no such topic: "+missing) {
		t.Errorf("error %v", err)
	}
	if sent := len(tg.records(tg.customers)); sent > 0 {
		t.Errorf("%d events were sent all the same", sent)
	}
}
