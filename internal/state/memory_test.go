package state

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

var noon = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

func work(offset int64) attempt.Work {
	return attempt.Work{Event: attempt.Event{Source: "/s", ID: fmt.Sprint(offset), Time: noon}, Offset: offset}
}

func ended() *attempt.Outcome {
	return &attempt.Outcome{Verdict: outcome.Done, Time: noon, Results: []attempt.Result{
		{Type: "order.created", Subject: "order/1", Data: json.RawMessage(`{"a":1}`)},
	}}
}

// memoryModel is memory as it would be without records at rest.
type memoryModel struct {
	memory    *memory
	records   map[ref]*Record
	committed int64
	next      int64
}

func (m *memoryModel) write(t *rapid.T) {
	at := ref{rapid.SampledFrom([]string{"a", "b"}).Draw(t, "customer"), rapid.SampledFrom([]string{"customer", "order/1", "order/2", "order/10"}).Draw(t, "key")}
	r := NewRecord()
	if have := m.records[at]; have != nil {
		r = have.share()
	}
	m.next++
	switch rapid.SampledFrom([]string{"begin", "end", "hold", "open", "behind", "elsewhere"}).Draw(t, "how") {
	case "begin":
		r.Put(work(m.next))
	case "end":
		r.Work, r.Behind, r.Seen, r.Last = nil, nil, m.next, ended()
		r.Remember(fmt.Sprint(m.next))
	case "hold":
		w := work(m.next)
		w.Held = outcome.Waiting
		r.Put(w)
		r.Seen, r.Last = m.next, nil
	case "open":
		r.Order = &attempt.Order{Digest: "d", InvestmentID: "i", CreditTask: "t", CreditStatus: rapid.SampledFrom([]string{
			attempt.TaskProcessing, attempt.TaskSucceeded,
		}).Draw(t, "status")}
	case "behind":
		r.Behind, r.Seen, r.Last = append(r.Behind, m.next), m.next, nil
	case "elsewhere":
		r.Order = &attempt.Order{Digest: "d", InvestmentID: "i"}
	}
	if r.Last != nil && r.Seen < m.committed && rapid.Bool().Draw(t, "restore") {
		r.Last = nil
	}
	m.records[at] = r
	if rapid.IntRange(0, 3).Draw(t, "restored") > 0 {
		m.memory.set(at.customer, at.key, r)
		return
	}
	value, err := r.encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	read, err := decode(value)
	if err != nil {
		t.Fatal(err)
	}
	m.memory.restored(at.customer, at.key, read, value)
}

func (m *memoryModel) remove(t *rapid.T) {
	if len(m.records) == 0 {
		return
	}
	at := rapid.SampledFrom(slices.SortedFunc(maps.Keys(m.records), func(a, b ref) int {
		return slices.Compare([]string{a.customer, a.key}, []string{b.customer, b.key})
	})).Draw(t, "at")
	delete(m.records, at)
	m.memory.remove(at.customer, at.key)
}

func (m *memoryModel) commit(t *rapid.T) {
	m.committed = rapid.Int64Range(m.committed, m.next+1).Draw(t, "offset")
	m.memory.commit(m.committed)
}

// check looks at all without touching it, or touches it as well.
func (m *memoryModel) check(t *rapid.T) {
	if m.memory.records != len(m.records) {
		t.Fatalf("%d records, want %d", m.memory.records, len(m.records))
	}
	for _, id := range []string{"a", "b"} {
		var keys []string
		live := map[string]*Record{}
		for _, e := range m.memory.live(id) {
			live[e.Key] = e.Record
		}
		for at, r := range m.records {
			if at.customer != id {
				continue
			}
			keys = append(keys, at.key)
			if busy := len(r.Work)+len(r.Behind) > 0 || r.Open(); busy && live[at.key] == nil {
				t.Fatalf("%s is not live: %+v", at.key, r)
			}
		}
		slices.Sort(keys)
		if got := m.memory.keys(id); !slices.Equal(got, keys) {
			t.Fatalf("keys %v, want %v", got, keys)
		}
	}
}

func (m *memoryModel) get(t *rapid.T) {
	for at, want := range m.records {
		got := m.memory.get(at.customer, at.key)
		if got == nil {
			t.Fatalf("%v is gone", at)
		}
		seen, known := *got, *want
		if want.Last != nil && want.Seen < m.committed && got.Last == nil {
			known.Last = nil
		}
		if text(t, &seen) != text(t, &known) {
			t.Fatalf("%v is\n%s\nwant\n%s", at, text(t, &seen), text(t, &known))
		}
	}
	if m.memory.get("a", "nothing") != nil || m.memory.get("nobody", "customer") != nil {
		t.Fatal("something is known of nothing")
	}
}

func text(t *rapid.T, r *Record) string {
	value, err := r.encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

// Whatever is at rest, memory gives what was written: but for outcomes whose offset is committed.
func TestMemoryModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &memoryModel{memory: newMemory(0), records: map[ref]*Record{}}
		t.Repeat(map[string]func(*rapid.T){
			"write":  m.write,
			"write2": m.write,
			"remove": m.remove,
			"commit": m.commit,
			"tidy":   func(*rapid.T) { m.memory.tidy() },
			"get":    m.get,
			"":       m.check,
		})
		m.get(t)
	})
}

// What is quiet is at rest after tidy, and nothing is listed for ever.
func TestTidy(t *testing.T) {
	t.Parallel()
	m := newMemory(0)
	r := NewRecord()
	r.Seen, r.Last = 5, ended()
	m.set("a", "order/1", r)
	m.commit(5)
	if m.tidy(); m.get("a", "order/1").Last == nil {
		t.Error("an outcome is gone whose offset is not committed")
	}
	m.commit(6)
	if m.tidy(); len(m.live("a")) != 0 || len(m.used) != 0 {
		t.Errorf("live %v, used %v after the commit", m.live("a"), m.used)
	}
	if got := m.get("a", "order/1"); got.Last != nil || got.Seen != 5 {
		t.Errorf("restored from rest as %+v", got)
	}
	again := m.get("a", "order/1").share()
	again.Put(work(7))
	m.set("a", "order/1", again)
	for range stay {
		if m.tidy(); len(m.live("a")) != 1 {
			t.Error("a record that was wanted again is at rest at once")
		}
	}
	if m.tidy(); len(m.live("a")) != 1 || len(m.used) != 0 {
		t.Errorf("live %v, used %v with open work", m.live("a"), m.used)
	}
	if got := m.get("a", "order/1"); !reflect.DeepEqual(got.Work, again.Work) {
		t.Errorf("work %+v", got.Work)
	}
}

// A record never changes under whoever has got it, be it laid to rest or kept without its outcome.
func TestTidyLeavesRecordsAlone(t *testing.T) {
	t.Parallel()
	m := newMemory(0)
	var got [2]*Record
	for i, key := range []string{"order/rests", "order/stays"} {
		r := NewRecord()
		r.Seen, r.Last = 5, ended()
		if key == "order/stays" {
			r.Put(work(4))
		}
		m.set("a", key, r)
		got[i] = m.get("a", key)
	}
	m.commit(6)
	m.tidy()
	if live := m.live("a"); len(live) != 1 || live[0].Key != "order/stays" || live[0].Record.Last != nil || len(m.used) != 0 {
		t.Errorf("live %v, used %v", live, m.used)
	}
	for i, r := range got {
		if !reflect.DeepEqual(r.Last, ended()) {
			t.Errorf("record %d was changed: %+v", i, r)
		}
	}
}

// load fills a memory with what as many events leave behind, each customer's 500, as if all were committed.
func load(objects int, leave func(i int) (key string, o attempt.Object)) *memory {
	m := newMemory(0)
	for i := range objects {
		id := fmt.Sprintf("customer-%d", i/500)
		c := m.get(id, "customer")
		if c == nil {
			c = NewRecord()
			c.Customer = &attempt.Customer{InvestorID: "5f0c3a52-97d2-4b0e-8a55-6b1d4e0c7f21", KYC: attempt.KYCSuccess, KYCSince: noon}
		}
		c = c.share()
		customer := *c.Customer
		customer.More = 1
		c.Customer = &customer
		r := NewRecord()
		var key string
		key, r.Object = leave(i)
		r.Remember(fmt.Sprintf("%016x", i))
		r.Seen, r.Last = int64(i), ended()
		m.set(id, "customer", c)
		m.set(id, key, r)
		if i%5000 == 0 {
			m.commit(int64(i))
			m.tidy()
		}
	}
	m.commit(int64(objects))
	for range stay + 1 {
		m.tidy()
	}
	return m
}

func wallet(i int) (string, attempt.Object) {
	address := fmt.Sprintf("0x%040x", i)
	return "wallet/" + address, attempt.Object{Wallet: &attempt.Wallet{ID: fmt.Sprintf("5f0c3a52-97d2-4b0e-8a55-%012x", i), Address: address}}
}

func order(i int) (string, attempt.Object) {
	return fmt.Sprintf("order/%d", i), attempt.Object{Order: &attempt.Order{
		Digest: fmt.Sprintf("%032x", i), Event: fmt.Sprintf("%016x", i), InvestmentID: fmt.Sprintf("5f0c3a52-97d2-4b0e-8a55-%012x", i),
		WalletID: "5f0c3a52-97d2-4b0e-8a55-6b1d4e0c7f21", Status: "PAID", Since: noon, Credit: true,
		CreditTask: fmt.Sprintf("6f0c3a52-97d2-4b0e-8a55-%012x", i), CreditStatus: attempt.TaskSucceeded,
	}}
}

// bytesPerObject measures the memory that is in use, with all that the runtime rounds up.
func bytesPerObject(objects int, leave func(i int) (string, attempt.Object)) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := load(objects, leave)
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / float64(objects)
	runtime.KeepAlive(m)
	return each
}

// No test runs beside this one: it is not parallel.
func TestMemoryPerObject(t *testing.T) {
	if got := bytesPerObject(20_000, wallet); got > 300 {
		t.Errorf("%.0f bytes a wallet at rest, at most 300 are promised", got)
	}
	if got := bytesPerObject(20_000, order); got > 500 {
		t.Errorf("%.0f bytes an order at rest, at most 500 are expected", got)
	}
}

func BenchmarkMemoryPerObject(b *testing.B) {
	for name, leave := range map[string]func(int) (string, attempt.Object){"wallet": wallet, "order": order} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(bytesPerObject(200_000, leave), "bytes/object")
			}
		})
	}
}
