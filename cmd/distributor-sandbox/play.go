package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/schemas"
)

// demo plays the samples on a stage, and follows what comes of them. It belongs to one goroutine.
type demo struct {
	stage    *stage
	show     display
	limit    time.Duration // for what a sample brings
	contract *schemas.Contract

	chapters []*chapter
	byID     map[string]*chapter // by event ID, without repeats
	steps    map[string]step     // by idempotency key
	owners   map[string]*chapter // by ID of an object at the API: whose event made it
	results  map[string]bool     // IDs of results that have been seen
	taken    int                 // records read back
	calls    int                 // the last call seen
	effects  int                 // how many effects have been seen
	problems []string
}

// chapter is a sample, and what has come of it so far.
type chapter struct {
	number int
	sample
	topic string

	calls     int
	published int             // results
	seen      map[string]bool // results, as expect tells them: "type" and "type detail"; and "get OPERATION"
	letter    string          // its dead letter, as expect tells it
}

// step is what an idempotency key stands for.
type step struct {
	chapter *chapter
	name    string
}

// stepNames are the steps of all handlers: with an event's identity each gives a key, so that a call tells its event.
var stepNames = []string{
	"document/identity_proof", "document/structure_proof", "document/legitimation_protocol",
	"document/signed/0", "document/signed/1",
	"investor", "identification", "persons", "patch", "wallet", "investment", "credit", "redemption", "transfer",
}

func newDemo(s *stage, show display, limit time.Duration) (*demo, error) {
	contract, err := newContract()
	if err != nil {
		return nil, err
	}
	k := &kit{contract: contract, began: time.Now().Add(-time.Hour)}
	samples, err := k.samples()
	if err != nil {
		return nil, err
	}
	d := &demo{
		stage: s, show: show, limit: limit, contract: contract,
		byID: map[string]*chapter{}, steps: map[string]step{}, owners: map[string]*chapter{}, results: map[string]bool{},
	}
	where := defaultRoutes()
	for i, sample := range samples {
		ch := &chapter{number: i + 1, sample: sample, topic: where[sample.event.Name], seen: map[string]bool{}}
		d.chapters = append(d.chapters, ch)
		if sample.repeat {
			continue
		}
		d.byID[sample.event.ID] = ch
		for _, name := range stepNames {
			key := attempt.Key(attempt.Event{Source: sample.event.Source, ID: sample.event.ID}, name, 0)
			d.steps[key.String()] = step{ch, name}
		}
	}
	return d, nil
}

// play sends each sample once all of the one before has come. It says what broke it off, or "".
func (d *demo) play(ctx context.Context) (broken string) {
	reading, end := context.WithCancel(ctx)
	records, read := d.read(reading)
	defer func() {
		end()
		for range records {
		}
		if err := read(); err != nil && broken == "" && ctx.Err() == nil {
			broken = err.Error()
		}
	}()
	for _, ch := range d.chapters {
		d.show.event(ch)
		if _, err := d.stage.upstream.producer.Produce(ctx, d.stage.upstream.record(ch.topic, ch.event)); err != nil {
			return fmt.Sprintf("send %s: %v", ch.event.ID, err)
		}
		if err := d.await(ctx, ch, records); err != nil {
			return fmt.Sprintf("%d %s: %v", ch.number, ch.event.ID, err)
		}
		if ch.repeat {
			d.show.repeated(ch)
		}
	}
	if err := d.stage.stopBridge(); err != nil {
		return fmt.Sprintf("the bridge ended: %v", err)
	}
	return d.drain(ctx, records)
}

// await takes what happens until all that the chapter is to bring is there.
func (d *demo) await(ctx context.Context, ch *chapter, records <-chan kafka.Record) error {
	limit := time.NewTimer(d.limit)
	defer limit.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		d.lookAtCalls()
		missing := d.missing(ch)
		if len(missing) == 0 {
			return nil
		}
		select {
		case r, ok := <-records:
			if !ok {
				return errUnreadable
			}
			d.take(r)
		case err := <-d.stage.bridge:
			return fmt.Errorf("the bridge ended: %w", err)
		case <-look.C:
		case <-limit.C:
			return fmt.Errorf("after %s there is still no %s", d.limit, strings.Join(missing, ", no "))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// missing is what the chapter is still to bring.
func (d *demo) missing(ch *chapter) []string {
	var missing []string
	lacks := func(of *chapter, wanted []string) {
		for _, w := range wanted {
			if !of.seen[w] {
				missing = append(missing, w)
			}
		}
	}
	lacks(ch, ch.results)
	if ch.frees != "" {
		lacks(d.byID[ch.frees], d.byID[ch.frees].later)
	}
	if ch.dead != "" && ch.letter == "" {
		missing = append(missing, "dead letter")
	}
	if ch.repeat && !d.stage.wasRepeated(ch.event.ID) {
		missing = append(missing, "repeat recognised")
	}
	return missing
}

// read delivers results and dead letters as they are published, until ctx ends; then it closes the channel.
func (d *demo) read(ctx context.Context) (records <-chan kafka.Record, failed func() error) {
	out := make(chan kafka.Record, 256) // so that fetching seldom waits for the display
	var failure error
	go func() {
		defer close(out)
		f := d.stage.client.Fetcher(kafka.FetcherConfig{MaxWait: 100 * time.Millisecond})
		defer f.Close()
		for _, tp := range d.published() {
			f.Set(tp, 0)
		}
		for {
			fetched, err := f.Poll(ctx)
			if err != nil {
				return // the end of ctx
			}
			for _, got := range fetched {
				if got.Err != nil {
					failure = fmt.Errorf("read %s: %w", got.TopicPartition, got.Err)
					return
				}
				for _, r := range got.Records {
					select {
					case out <- r:
					case <-ctx.Done():
						return
					}
				}
			}
		}
	}()
	return out, func() error { return failure } // to be asked once the channel is closed
}

func (d *demo) published() []kafka.TopicPartition {
	names := d.stage.cfg.Topics.Names()
	var all []kafka.TopicPartition
	for _, topic := range []string{names.Results, names.DeadLetters} {
		for p := range d.stage.cfg.Topics.Partitions {
			all = append(all, kafka.TopicPartition{Topic: topic, Partition: p})
		}
	}
	return all
}

// drain takes what was published after the last sample had brought what it was to bring: nothing more comes now.
func (d *demo) drain(ctx context.Context, records <-chan kafka.Record) (broken string) {
	ctx, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	names := d.stage.cfg.Topics.Names()
	left := -d.taken
	for _, topic := range []string{names.Results, names.DeadLetters} {
		ends, err := d.stage.client.EndOffset(ctx, topic)
		if err != nil {
			return err.Error()
		}
		for _, end := range ends {
			left += int(end)
		}
	}
	for ; left > 0; left-- {
		select {
		case r, ok := <-records:
			if !ok {
				return errUnreadable.Error()
			}
			d.take(r)
		case <-ctx.Done():
			return "results cannot be read to their end"
		}
	}
	d.lookAtCalls()
	return ""
}

var (
	errNoEvent    = errors.New("it tells of no sample")
	errUnreadable = errors.New("results cannot be read any more")
)

// take notes a result or a dead letter.
func (d *demo) take(r kafka.Record) {
	d.lookAtCalls() // what it is about was called before
	d.taken++
	if r.Topic == d.stage.cfg.Topics.Names().DeadLetters {
		d.takeDead(r)
		return
	}
	e, err := d.contract.Decode(r.Value, r.Headers)
	if err == nil {
		err = d.contract.ValidateResult(e)
	}
	ch := d.byID[e.CausationID]
	if err == nil && ch == nil {
		err = errNoEvent
	}
	if err != nil {
		d.problem("a result in %s: %v", r.TopicPartition(), err)
		return
	}
	if d.results[e.ID] {
		return // published again, with the same ID: a consumer leaves it out
	}
	d.results[e.ID] = true
	told := detail(e)
	ch.published++
	ch.seen[e.Name], ch.seen[strings.TrimSpace(e.Name+" "+told)] = true, true
	if !ch.expects(e.Name) {
		d.problem("%s: %s was not expected", ch.event.ID, e.Name)
	}
	d.show.result(ch, e, told)
}

// expects says whether a result of that type may come of the chapter at all.
func (ch *chapter) expects(name string) bool {
	return slices.ContainsFunc(slices.Concat(ch.results, ch.later), func(want string) bool {
		typ, _, _ := strings.Cut(want, " ")
		return typ == name
	})
}

// detail gives the word of a result that says most: a status, a kind or a reason.
func detail(e schemas.Event) string {
	var d struct {
		Status    any    `json:"status"` // a number in event.rejected
		KYCStatus string `json:"kyc_status"`
		Kind      string `json:"kind"`
		Reason    string `json:"reason"`
	}
	if json.Unmarshal(e.Data, &d) != nil {
		return ""
	}
	status, _ := d.Status.(string)
	for _, word := range []string{d.Reason, d.KYCStatus, d.Kind, status} {
		if word != "" {
			return word
		}
	}
	return ""
}

func (d *demo) problem(format string, args ...any) {
	d.problems = append(d.problems, fmt.Sprintf(format, args...))
}
