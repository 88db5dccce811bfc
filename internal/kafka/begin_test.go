package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

// TestBegin: whoever does not wait is told of each end once, in the order of the log, of what is refused too.
func TestBegin(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 2, map[string]string{"max.message.bytes": "4000"})
	p := producer(t, c, kafka.ProducerConfig{})
	const many = 200
	type end struct {
		of  int
		err error
	}
	ends := make(chan end, many+1)
	var want []string
	for i := range many {
		r := text(name, 0, fmt.Sprint(i))
		if i%50 == 49 {
			r.Value = append(r.Value, make([]byte, 5000)...)
		} else {
			want = append(want, string(r.Value))
		}
		if err := p.Begin(t.Context(), func(err error) { ends <- end{i, err} }, r); err != nil {
			t.Fatal(err)
		}
	}
	var written []string
	told := map[int]bool{}
	for range many {
		e := <-ends
		if told[e.of] {
			t.Errorf("%d is told of twice", e.of)
		}
		told[e.of] = true
		switch refused := e.of%50 == 49; {
		case refused && !errors.Is(e.err, kafka.ErrTooLarge), !refused && e.err != nil:
			t.Errorf("%d: %v", e.of, e.err)
		case !refused:
			written = append(written, fmt.Sprint(e.of))
		}
	}
	if !slices.Equal(written, want) {
		t.Errorf("told of %v, in another order than they were begun", written)
	}
	holds(t, c, name, 0, want...)

	never := func(error) { t.Error("told, although Begin has said no") }
	for what, records := range map[string][]kafka.Record{
		"of two partitions": {text(name, 0, "a"), text(name, 1, "a")}, "none": {}, "without topic": {text("", 0, "a")},
	} {
		if err := p.Begin(t.Context(), never, records...); err == nil {
			t.Errorf("records %s are taken", what)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Begin(t.Context(), never, text(name, 0, "late")); !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestBeginGivenUp: what is given up by its caller is not written if it was not under way, and what Close gives up is told.
func TestBeginGivenUp(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	v := &valve{}
	c := v.client(t, brokers)
	name := topic(t, c, 1, nil)
	p := c.Producer(kafka.ProducerConfig{})
	warm(t, p, name, 0)
	release := v.hold("")
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan error, 3)
	begin := func(ctx context.Context, value string) {
		t.Helper()
		if err := p.Begin(ctx, func(err error) { told <- err }, text(name, 0, value)); err != nil {
			t.Fatal(err)
		}
	}
	begin(ctx, "under way")
	eventually(t, "it is under way", func() bool { return v.holds() > 0 })
	begin(ctx, "given up")
	cancel()
	select {
	case err := <-told:
		t.Errorf("told before the broker has answered: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	release()
	if err := <-told; err != nil {
		t.Errorf("under way: %v", err)
	}
	if err := <-told; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	holds(t, c, name, 0, "under way")

	release = v.hold("")
	defer release()
	before := v.holds()
	begin(t.Context(), "lost")
	eventually(t, "it is under way", func() bool { return v.holds() > before })
	closing, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := p.Close(closing); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	if err := <-told; !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("given up by Close: %v", err)
	}
}
