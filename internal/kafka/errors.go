package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

// What a caller decides on. They are found with errors.Is; the text around them says which partition, code or size.
var (
	// ErrLost: the group has gone on without this member (codes 22, 25, 27). What was to be committed is dropped: the
	// next owner repeats it. Never retried.
	ErrLost = errors.New("group membership lost")
	// ErrFenced: a newer owner has taken this transactional ID (codes 47, 90), or it cannot be told any more whether a
	// write of ours is in the log. Nothing more is written by this Producer.
	ErrFenced = errors.New("fenced")
	// ErrTooLarge: a record, or the records of one call for one partition, are larger than the topic or the producer takes.
	ErrTooLarge = errors.New("too large")
	// ErrOutOfRange: the offset is below the log's start or above its end.
	ErrOutOfRange = errors.New("offset out of range")
	// ErrNoTopic: the topic or the partition does not exist, or may not be seen.
	ErrNoTopic = errors.New("no such topic or partition")
	// ErrDenied: the broker's access rules, or the credentials, do not permit it.
	ErrDenied = errors.New("not permitted")
	// ErrClosed: used after Close.
	ErrClosed = errors.New("closed")
)

// code turns a response's error code into an error; nil for 0.
func code(c int16) error {
	if c == 0 {
		return nil
	}
	return codeError(c)
}

// codeError is a broker's answer. It is found by errors.Is both as kafka-go's code and as one of the errors above.
type codeError int16

func (e codeError) Error() string {
	k := kafkago.Error(e)
	if w := words[k]; w != "" {
		return fmt.Sprintf("%s [%d]", w, int16(e))
	}
	return fmt.Sprintf("%s [%d]", strings.ToLower(k.Title()), int16(e))
}

func (e codeError) Is(target error) bool {
	switch target {
	case ErrLost:
		return e.is(kafkago.IllegalGeneration, kafkago.UnknownMemberId, kafkago.RebalanceInProgress)
	case ErrFenced:
		return e.is(kafkago.InvalidProducerEpoch, kafkago.ProducerFenced)
	case ErrTooLarge:
		return e.is(kafkago.MessageSizeTooLarge, kafkago.RecordListTooLarge)
	case ErrOutOfRange:
		return e.is(kafkago.OffsetOutOfRange)
	case ErrNoTopic:
		return e.is(kafkago.UnknownTopicOrPartition)
	case ErrDenied:
		return e.is(kafkago.TopicAuthorizationFailed, kafkago.GroupAuthorizationFailed, kafkago.ClusterAuthorizationFailed,
			kafkago.TransactionalIDAuthorizationFailed, kafkago.SASLAuthenticationFailed, kafkago.UnsupportedSASLMechanism)
	}
	return target == kafkago.Error(e)
}

func (e codeError) is(codes ...kafkago.Error) bool {
	for _, c := range codes {
		if kafkago.Error(e) == c {
			return true
		}
	}
	return false
}

// words are for the codes whose own text does not tell an operator what to do.
var words = map[kafkago.Error]string{
	kafkago.InvalidSessionTimeout:              "the session timeout is outside the broker's group.min/max.session.timeout.ms",
	kafkago.TopicAuthorizationFailed:           "access to the topic is not permitted",
	kafkago.GroupAuthorizationFailed:           "access to the consumer group is not permitted",
	kafkago.ClusterAuthorizationFailed:         "access to the cluster is not permitted",
	kafkago.TransactionalIDAuthorizationFailed: "access to the transactional ID is not permitted",
	kafkago.UnsupportedSASLMechanism:           "this SASL mechanism is switched off on this listener",
	kafkago.SASLAuthenticationFailed:           "wrong user or password",
}

// clean turns an error of kafka-go into one of this package's.
func clean(err error) error {
	var k kafkago.Error
	var f *fetch.Error // a topic, partition or leader is not in kafka-go's copy of the metadata, or there are several leaders
	switch {
	case err == nil:
		return nil
	case errors.As(err, &k):
		return codeError(k)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &f):
		return fmt.Errorf("%w: %w", errStale, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("connection closed by the broker (if always: TLS, SASL or credentials do not fit this listener): %w", err)
	}
	return err
}

// errStale: the library's copy of the metadata does not fit the request; it is renewed within a second.
var errStale = errors.New("metadata is being renewed")

// errEmpty: an answer without what was asked for.
var errEmpty = errors.New("empty answer")

// temporary: the same request may succeed a little later. What has no code (lost connections, timeouts) is temporary.
func temporary(err error) bool {
	for _, never := range []error{ErrLost, ErrFenced, ErrTooLarge, ErrOutOfRange, ErrDenied, ErrClosed} {
		if errors.Is(err, never) {
			return false
		}
	}
	var f final
	var c codeError
	switch {
	case errors.As(err, &f):
		return false
	case !errors.As(err, &c):
		return true
	}
	return kafkago.Error(c).Temporary() || c.is(
		kafkago.Unknown, kafkago.UnknownTopicOrPartition, kafkago.NotLeaderForPartition, kafkago.LeaderNotAvailable,
		kafkago.RequestTimedOut, kafkago.BrokerNotAvailable, kafkago.ReplicaNotAvailable, kafkago.NetworkException,
		kafkago.GroupLoadInProgress, kafkago.GroupCoordinatorNotAvailable, kafkago.NotCoordinatorForGroup,
		kafkago.NotEnoughReplicas, kafkago.NotEnoughReplicasAfterAppend, kafkago.NotController,
		kafkago.ConcurrentTransactions, kafkago.KafkaStorageError, kafkago.FencedLeaderEpoch, kafkago.UnknownLeaderEpoch,
		kafkago.OffsetNotAvailable, kafkago.ThrottlingQuotaExceeded, kafkago.UnknownTopicID,
	)
}
