package replay

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// Letter is a dead letter: what its headers tell, and the record as it was.
type Letter struct {
	Place Place     // in the topic of dead letters
	Time  time.Time // when it was written

	Source, ID string // the event's identity; empty if the record was no CloudEvent
	Type       string // without the prefix, if it has the configured one
	Customer   string // empty if the record does not tell one
	Subject    string // within the customer; empty if the record does not tell one
	Emitted    time.Time

	Reason      outcome.Reason
	Class       outcome.Class
	Step        string
	Follow      string   // the follow-up that was given up, as "credit"; empty: the event itself
	Status      int      // HTTP; 0 if there was no answer
	Fields      []string // names, or JSON Pointers with a keyword
	Attempts    int
	FirstFailed time.Time
	Failed      time.Time
	Replays     int
	Version     string // of the bridge that gave it up
	LeftOut     string // what of the record is missing, since it was too large: producer.PayloadLeftOut, AllLeftOut

	Read     Place // where the record was read: in the inbox, or of one that intake refused, upstream
	Upstream Place // where upstream has it

	// Closed says why the letter needs nobody any more; empty: it is open.
	Closed Closed

	// Event is the record as the contract reads it; zero if it cannot. Its data is personal.
	Event schemas.Event
	// Key, Value and Headers are the record's as they were, without the letter's own headers. They may be personal; Value
	// and Event.Data are missing unless the Query asked for payloads.
	Key, Value []byte
	Headers    []kafka.Header

	wanted wish  // what of the data the judgement needs
	first  int64 // the offset in the inbox under which the event came first; -1 if it never was there
}

// fromInbox says whether the engine gave the record up, not intake.
func (l *Letter) fromInbox() bool { return l.Read != l.Upstream }

// Name is what an operator calls the letter by: the event's ID; of a record without one, where the letter is: "3@17" is
// partition 3, offset 17 of the topic of dead letters.
func (l *Letter) Name() string {
	return cmp.Or(l.ID, fmt.Sprintf("%d@%d", l.Place.Partition, l.Place.Offset))
}

// identity tells letters of one event; those of no event have none in common.
func (l *Letter) identity() string {
	if l.ID == "" {
		return l.Place.String()
	}
	return l.Source + "\x00" + l.ID
}

// newer says whether l was written after o, which is of the same event.
func (l *Letter) newer(o *Letter) bool {
	return cmp.Or(l.Failed.Compare(o.Failed), l.Time.Compare(o.Time), cmp.Compare(l.Place.Offset, o.Place.Offset)) > 0
}

// letterOf reads a record of the dead letters. It takes any: what is missing stays empty.
func letterOf(contract *schemas.Contract, r kafka.Record) Letter {
	l := Letter{Place: Place{r.Topic, r.Partition, r.Offset}, Time: r.Time.UTC(), Key: r.Key, Value: r.Value}
	told := map[string]string{}
	for _, h := range r.Headers {
		told[h.Key] = string(h.Value)
		if !strings.HasPrefix(h.Key, "dlq_") {
			l.Headers = append(l.Headers, h)
		}
	}
	number := func(key string) int { n, _ := strconv.Atoi(told[key]); return n }
	moment := func(key string) time.Time { t, _ := time.Parse(time.RFC3339Nano, told[key]); return t.UTC() }
	place := func(topic, partition, offset string) Place {
		n, _ := strconv.ParseInt(told[offset], 10, 64)
		return Place{told[topic], number(partition), n}
	}
	l.Source, l.ID, l.Type = told[producer.HeaderEventSource], told[producer.HeaderEventID], told[producer.HeaderEventType]
	l.Reason, l.Class = outcome.Reason(told[producer.HeaderReason]), outcome.Class(told[producer.HeaderClass])
	l.Step, l.Follow = told[producer.HeaderStep], told[producer.HeaderFollow]
	l.Status, l.Attempts = number(producer.HeaderStatus), number(producer.HeaderAttempts)
	if fields := told[producer.HeaderFields]; fields != "" {
		l.Fields = strings.Split(fields, ",")
	}
	l.FirstFailed, l.Failed = moment(producer.HeaderFirstFailed), moment(producer.HeaderFailed)
	l.Replays, l.Version, l.LeftOut = number(producer.HeaderReplays), told[producer.HeaderVersion], told[producer.HeaderPayload]
	l.Read = place(producer.HeaderTopic, producer.HeaderPartition, producer.HeaderOffset)
	l.Upstream = l.Read
	if told[producer.HeaderSourceTopic] != "" {
		l.Upstream = place(producer.HeaderSourceTopic, producer.HeaderSourcePartition, producer.HeaderSourceOffset)
		l.Customer = string(r.Key) // the inbox's key
	}
	l.look(contract)
	return l
}

// look takes from the record what its headers do not tell.
func (l *Letter) look(contract *schemas.Contract) {
	if e, err := contract.Decode(l.Value, l.Headers); err == nil {
		l.Event = e
		l.Customer, l.Subject, l.Emitted = cmp.Or(l.Customer, e.CustomerID), contract.Subject(e), e.Time
		l.Source, l.ID, l.Type = cmp.Or(l.Source, e.Source), cmp.Or(l.ID, e.ID), cmp.Or(l.Type, e.Type)
		l.wanted = wishOf(e)
	}
	l.Type = strings.TrimPrefix(l.Type, contract.FullType(""))
}

// forget drops what may be large, and is personal.
func (l *Letter) forget() {
	l.Value, l.Event.Data = nil, nil
	l.Headers = slices.Clip(l.Headers)
}
