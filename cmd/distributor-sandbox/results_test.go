package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/schemas"
)

// checkColumns holds each line of what a command says to 80 columns, without colours, as there is no terminal.
func checkColumns(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > columns || strings.Contains(line, "\x1b") {
			t.Errorf("wider than %d columns, or coloured where there is no terminal: %q", columns, line)
		}
	}
}

// played gives the brokers of a stage on which all samples have been played.
func played(t *testing.T) string {
	t.Helper()
	s, err := openStage(t.Context(), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	d, err := newDemo(s, &people{out: io.Discard, began: time.Now()}, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if broken := d.play(t.Context()); broken != "" {
		t.Fatal(broken)
	}
	return strings.Join(s.broker.Addrs(), ",")
}

// What the bridge has published is shown, each in a line, and no payload of a dead letter.
func TestResults(t *testing.T) {
	t.Parallel()
	brokers := played(t)
	show := func(args ...string) string {
		var stdout, stderr bytes.Buffer
		if err := run(t.Context(), append([]string{"results", "--brokers", brokers}, args...), nil, &stdout, &stderr); err != nil {
			t.Errorf("%v: %v", args, err)
		}
		if stderr.Len() > 0 {
			t.Errorf("on standard error: %s", &stderr)
		}
		for _, secret := range personalValues(t, sampleEvents(t, "")) {
			if shows(stdout.String(), secret) {
				t.Errorf("personal data is shown: %q", secret)
			}
		}
		return stdout.String()
	}
	both := show("--dead")
	checkColumns(t, both)
	for _, want := range []string{
		`(?m)^20\d\d-\d\d-\d\d \(UTC\)$`,
		`(?m)^\d\d:\d\d:\d\d customer\.registered       customer-1001 +customer…verified$`,
		`(?m)^\d\d:\d\d:\d\d investment\.status_changed order-5001        DELIVERED order-5001-paid$`,
		`(?m)^\d\d:\d\d:\d\d event\.waiting +order-5003 +investor_missing orde…-paid$`,
		`(?m)^\d\d:\d\d:\d\d dead invalid     /data/bank…iban format custome…verified customers/\d@\d+$`,
		`(?m)^\d\d:\d\d:\d\d dead refused     redemption 400 units +redemption-7002 +orders/\d@\d+$`,
		`(?m)^\d\d results, 2 dead letters$`,
	} {
		if !regexp.MustCompile(want).MatchString(both) {
			t.Errorf("%s is missing in\n%s", want, both)
		}
	}
	results := show()
	if strings.Contains(results, " dead refused") || !regexp.MustCompile(`(?m)^\d\d results \(--dead shows`).MatchString(results) {
		t.Errorf("without --dead:\n%s", results)
	}
	checkResultsJSON(t, show("--dead", "--json"), both)
}

func checkResultsJSON(t *testing.T, text, people string) {
	t.Helper()
	kinds, last := map[string]int{}, time.Time{}
	for line := range strings.Lines(text) {
		var n struct {
			news
			Results int `json:"results"`
			Letters int `json:"dead_letters"`
		}
		if err := json.Unmarshal([]byte(line), &n); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		kinds[n.Kind]++
		switch {
		case n.Kind == "summary" && (n.Results != kinds[newsResult] || n.Letters != 2):
			t.Errorf("summary %s of %v", line, kinds)
		case n.At.Before(last):
			t.Errorf("%s comes after what was later", line)
		case n.Kind == newsResult && (n.ID == "" || n.EventID == "" || n.Type == "" || n.Subject == "" || n.CustomerID == ""),
			n.Kind == newsDead && (n.Reason == "" || n.EventID == "" || len(n.Fields) == 0 || n.Where == ""):
			t.Errorf("something is missing in %s", line)
		}
		last = n.At
	}
	if kinds["summary"] != 1 || kinds[newsDead] != 2 || kinds[newsResult]+4 != strings.Count(people, "\n") { // date, 2 letters, sum
		t.Errorf("lines: %v, for people:\n%s", kinds, people)
	}
}

// shelf is a broker with the topics of results and dead letters, and nothing in them.
type shelf struct {
	t             *testing.T
	client        *kafka.Client
	producer      *kafka.Producer
	results, dead string
	args          []string
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	brokers := broker.ForTest(t)
	client, err := kafka.New(kafka.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	s := &shelf{t: t, client: client, results: broker.Name(t, "results"), dead: broker.Name(t, "dead")}
	if _, err := client.CreateTopics(t.Context(), []kafka.TopicSpec{
		{Name: s.results, Partitions: 2, Replication: 1}, {Name: s.dead, Partitions: 2, Replication: 1},
	}); err != nil {
		t.Fatal(err)
	}
	s.producer = client.Producer(kafka.ProducerConfig{})
	t.Cleanup(func() {
		_ = s.producer.Close(context.WithoutCancel(t.Context())) // all is acknowledged
		client.Close()
	})
	s.args = []string{
		"results", "--brokers", strings.Join(brokers, ","), "--results-topic", s.results, "--dead-letters-topic", s.dead,
	}
	return s
}

func (s *shelf) put(r kafka.Record) {
	s.t.Helper()
	if _, err := s.producer.Produce(s.t.Context(), r); err != nil {
		s.t.Fatal(err)
	}
}

// credited is a result for an order.
func (s *shelf) credited(order string, partition int) kafka.Record {
	s.t.Helper()
	e, err := newKit(s.t, "").contract.NewResult(schemas.Result{
		Name: "credit.succeeded", Subject: "order/" + order, Time: time.Now(), Cause: schemas.Cause{Source: "/s", ID: order + "-paid"},
		Data: schemas.CreditProgress{CustomerID: "c", OrderID: order, InvestmentID: "i", TaskID: "t"},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	value, headers := e.Binary()
	return kafka.Record{Topic: s.results, Partition: partition, Key: []byte("c"), Value: value, Headers: headers}
}

// What comes while it follows is shown as it comes; a signal is its usual end.
func TestResultsFollow(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(s.credited("order-1", 0))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan error, 1) // one send
	go func() {                  // ends with ctx
		ended <- run(ctx, append(s.args, "--follow", "--dead"), nil, w, io.Discard)
		_ = w.Close()
	}()
	out := bufio.NewScanner(r)
	await := func(what string) {
		t.Helper()
		for out.Scan() {
			if strings.Contains(out.Text(), what) {
				return
			}
		}
		t.Fatalf("it ended without %q", what)
	}
	await("order-1-paid")
	s.put(s.credited("order-2", 1))
	await("order-2-paid")
	s.put(kafka.Record{Topic: s.dead, Partition: 1, Value: []byte("Erika"), Headers: []kafka.Header{
		{Key: "dlq_reason", Value: []byte("expired")}, {Key: "dlq_event_id", Value: []byte("e-1")},
	}})
	await("dead expired")
	cancel()
	await("2 results, 1 dead letter")
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

// Records may hold anything: what is no result is told as such, and nothing that a terminal obeys comes through.
func TestResultsOfStrangers(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(kafka.Record{Topic: s.results, Value: []byte(`{"forename": "Erika"}`)})
	long := s.credited("order-"+strings.Repeat("9", 100), 1)
	s.put(long)
	s.put(kafka.Record{Topic: s.dead, Value: []byte("Erika"), Headers: []kafka.Header{
		{Key: "dlq_reason", Value: []byte("\x1b[2Jinvalid\n")}, {Key: "dlq_fields", Value: []byte(strings.Repeat("/data/ä format,", 40))},
	}})
	var stdout bytes.Buffer
	if err := run(t.Context(), append(s.args, "--dead"), nil, &stdout, io.Discard); err != nil {
		t.Fatal(err)
	}
	checkColumns(t, stdout.String())
	for _, want := range []string{"no result, at ", "order-99…9999", "dead ?[2Ji…alid?", "1 result, 1 dead letter"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &stdout)
		}
	}
	if strings.Contains(stdout.String(), "Erika") {
		t.Errorf("a payload is shown:\n%s", &stdout)
	}
}

func TestResultsTopicMissing(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	missing := broker.Name(t, "missing")
	err := run(t.Context(), append(s.args, "--results-topic", missing), nil, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "no such topic: "+missing) {
		t.Errorf("error %v", err)
	}
	var stdout bytes.Buffer
	if err := run(t.Context(), append(s.args, "--dead"), nil, &stdout, io.Discard); err != nil ||
		stdout.String() != "no result, no dead letter: is the bridge running, and were events sent?\n" {
		t.Errorf("of nothing it says %q, %v", &stdout, err)
	}
}

func TestResultsInColour(t *testing.T) {
	t.Parallel()
	var plain, coloured bytes.Buffer
	n := news{Kind: newsResult, name: "customer.kyc_changed", Subject: "customer/c-1", Detail: "SUCCESS", EventID: "e-1"}
	(&newsLines{out: &plain}).news(n)
	(&newsLines{out: &coloured, style: style{on: true}}).news(n)
	bare := regexp.MustCompile(`\x1b\[\d+m`).ReplaceAllString(coloured.String(), "")
	if bare != plain.String() || bare == coloured.String() {
		t.Errorf("colours are more than colours: %q, plain %q", &coloured, &plain)
	}
}
