package main

import (
	"context"
	"net/http/httptest"
	"regexp"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/sandbox"
)

// topic is "topic NAME [COUNT]": a topic of upstream's with one partition, in which so many records are that are no events.
func topic(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: topic NAME [COUNT]")
	}
	ctx := context.Background()
	client, err := kafka.New(kafka.Config{Brokers: []string{ts.Getenv("BROKERS")}})
	ts.Check(err)
	defer client.Close()
	_, err = client.CreateTopics(ctx, []kafka.TopicSpec{{Name: args[0], Partitions: 1, Replication: 1}})
	ts.Check(err)
	if len(args) < 2 {
		return
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	producer := client.Producer(kafka.ProducerConfig{})
	for range n {
		_, err := producer.Produce(ctx, kafka.Record{Topic: args[0], Value: []byte("no event")})
		ts.Check(err)
	}
	ts.Check(producer.Close(ctx))
}

// serves is "serves ARGS…": runs the program while the script's sandbox serves the API that its configuration names.
func serves(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: serves ARGS…")
	}
	server := httptest.NewServer(ts.Value(apiKey{}).(*sandbox.Server).Handler())
	defer server.Close()
	before := ts.Getenv("DISTRIBUTOR_API_BASE_URL")
	ts.Setenv("DISTRIBUTOR_API_BASE_URL", server.URL+"/api/external")
	defer ts.Setenv("DISTRIBUTOR_API_BASE_URL", before)
	ts.Check(ts.Exec(program, args...))
}

var remarks = regexp.MustCompile(`(?m) +# .*$`)

// unmarked is "unmarked FILE FILE": the files are alike but for the remarks in them.
func unmarked(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: unmarked FILE FILE")
	}
	a, b := remarks.ReplaceAllString(ts.ReadFile(args[0]), ""), remarks.ReplaceAllString(ts.ReadFile(args[1]), "")
	if a != b || a == "" {
		ts.Fatalf("%s and %s differ:\n%s\n%s", args[0], args[1], a, b)
	}
}
