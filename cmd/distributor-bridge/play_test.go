package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/config"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// campaign is the one that the sandbox sells in scripts.
var campaign = sandbox.Campaign{
	CampaignID: "0f6f3c6e-6a0c-4d0c-9b1e-2f3a4b5c6d7e", ProductID: "7d9b2a10-3c4d-4e5f-8a9b-0c1d2e3f4a5b",
}

// play is "play API STEP…": it runs a bridge with config.yaml, against a sandbox or what is left of one (API is up, down, or
// broken or lost: creating an investment answers nothing, and has not or has happened), until all steps have been done, and stops it. A step is a file with an
// event in structured mode, which is emitted; or "result:EVENT:TYPE" or "dead:EVENT", which waits until the event has a
// result of that type, or a dead letter; or "held:EVENT" or "behind:", until it is held, or anything behind another.
func play(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: play API STEP…")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server := httptest.NewServer(api(ts, args[0]))
	defer server.Close()
	cfg := bridge.Default()
	environ := []string{
		"DISTRIBUTOR_KAFKA_BROKERS=" + ts.Getenv("BROKERS"), "DISTRIBUTOR_TOPICS_PREFIX=" + ts.Getenv("PREFIX"),
		"DISTRIBUTOR_API_BASE_URL=" + server.URL + "/api/external",
	}
	ts.Check(config.Load(&cfg, ts.MkAbs("config.yaml"), environ, envPrefix))
	cfg.Ops.Listen = ""
	cfg.Group.Name = ts.Getenv("PREFIX") + "group"
	if args[0] == "down" {
		server.Close()
	}
	e := newEmitter(ts, cfg)
	defer e.close()
	b, err := bridge.New(cfg)
	ts.Check(err)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- b.Run(running) }()
	for _, step := range args[1:] {
		e.do(ctx, step)
	}
	stop()
	ts.Check(<-ended)
}

// newAPI makes the sandbox of a script.
func newAPI() (*sandbox.Server, error) {
	return sandbox.New(sandbox.Config{ClientID: "me", ClientSecret: "hunter2", Campaigns: []sandbox.Campaign{campaign}, Seed: 1})
}

// apiKey is where a script's sandbox is kept.
type apiKey struct{}

// api serves the script's sandbox.
func api(ts *testscript.TestScript, how string) http.Handler {
	next := ts.Value(apiKey{}).(*sandbox.Server).Handler()
	if how != "broken" && how != "lost" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/investments/") {
			if how == "lost" {
				next.ServeHTTP(httptest.NewRecorder(), r)
			}
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusCreated)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// emitter emits events and waits for what comes of them.
type emitter struct {
	ts       *testscript.TestScript
	cfg      bridge.Config
	client   *kafka.Client
	producer *kafka.Producer
}

func newEmitter(ts *testscript.TestScript, cfg bridge.Config) *emitter {
	client, err := kafka.New(kafka.Config{Brokers: cfg.Kafka.Brokers})
	ts.Check(err)
	_, err = client.CreateTopics(context.Background(), append(bridge.TopicSpecs(cfg),
		kafka.TopicSpec{Name: cfg.Topics.Upstream[0], Partitions: 1, Replication: 1}))
	ts.Check(err)
	return &emitter{ts, cfg, client, client.Producer(kafka.ProducerConfig{})}
}

func (e *emitter) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := e.producer.Close(ctx); err != nil {
		e.ts.Logf("%v", err)
	}
	e.client.Close()
}

func (e *emitter) do(ctx context.Context, step string) {
	what, wanted, waits := strings.Cut(step, ":")
	if !waits {
		text := e.ts.ReadFile(filepath.FromSlash(step))
		_, err := e.producer.Produce(ctx, kafka.Record{
			Topic: e.cfg.Topics.Upstream[0], Value: []byte(text),
			Headers: []kafka.Header{
				{Key: "content-type", Value: []byte("application/cloudevents+json")}, {Key: "note", Value: []byte("of Erika")},
			},
		})
		e.ts.Check(err)
		return
	}
	names := e.cfg.Topics.Names()
	event, typ, _ := strings.Cut(wanted, ":")
	find := map[string]func() bool{
		"result": func() bool {
			return e.any(ctx, names.Results, func(h map[string]string) bool {
				return h["ce_causationid"] == event && h["ce_type"] == schemas.DefaultPrefix+typ
			})
		},
		"dead": func() bool {
			return e.any(ctx, names.DeadLetters, func(h map[string]string) bool { return h["dlq_event_id"] == event })
		},
		"held": func() bool {
			return e.any(ctx, names.State, func(h map[string]string) bool {
				return strings.Contains(h[""], `"id":"`+event+`"`) && strings.Contains(h[""], `"held":`)
			})
		},
		"behind": func() bool {
			return e.any(ctx, names.State, func(h map[string]string) bool {
				return strings.Contains(h[""], `"behind":[`)
			})
		},
	}[what]
	if find == nil {
		e.ts.Fatalf("no step %q", step)
	}
	for !find() {
		select {
		case <-ctx.Done():
			e.ts.Fatalf("%s: never", step)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// any says whether a topic has a record that fits, told by its headers, and its value under "".
func (e *emitter) any(ctx context.Context, topic string, fits func(map[string]string) bool) bool {
	ends, err := e.client.EndOffset(ctx, topic)
	e.ts.Check(err)
	found := errors.New("found")
	for partition, end := range ends {
		err := e.client.Read(ctx, topic, partition, 0, end, func(r kafka.Record) error {
			told := map[string]string{"": string(r.Value)}
			for _, h := range r.Headers {
				told[h.Key] = string(h.Value)
			}
			if fits(told) {
				return found
			}
			return nil
		})
		if errors.Is(err, found) {
			return true
		}
		e.ts.Check(err)
	}
	return false
}

// made is "made VARIABLE": the provider's ID of the investment that was made last.
func made(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: made VARIABLE")
	}
	for _, effect := range ts.Value(apiKey{}).(*sandbox.Server).Ledger() {
		if effect.Operation == "create_investment" {
			ts.Setenv(args[0], effect.ObjectID)
		}
	}
}

// hidden is "hidden": the script's last output holds no personal data of the scripts' customers.
func hidden(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: hidden")
	}
	for _, stream := range []string{"stdout", "stderr"} {
		text := ts.ReadFile(stream)
		for _, secret := range []string{"Erika", "Muster", "DE89", "COBADEFF", "1984-08-12", "hunter2", "+49"} {
			if strings.Contains(text, secret) {
				ts.Fatalf("%s holds %q:\n%s", stream, secret, text)
			}
		}
	}
}
