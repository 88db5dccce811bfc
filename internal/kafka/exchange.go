package kafka

import (
	"io"

	"github.com/segmentio/kafka-go/protocol"
)

// exchange is a request that goes to a broker by itself, around what kafka-go's Transport does with the type inside.
type exchange struct {
	request  protocol.Message
	clientID string
	version  int16 // of the request; negotiated, set by Required
}

func (e *exchange) ApiKey() protocol.ApiKey { return e.request.ApiKey() }

func (e *exchange) Required(versions map[protocol.ApiKey]int16) bool {
	e.version = versions[e.ApiKey()]
	return true
}

func (e *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	m, err := protocol.RoundTrip(rw, e.version, 1, e.clientID, e.request)
	return reply{m}, err
}

// reply hides an answer's type from the Transport, which takes each metadata answer for one to its own question.
type reply struct{ protocol.Message }

// groupExchange is an exchange with the coordinator of a group.
type groupExchange struct {
	exchange
	group string
}

func (e *groupExchange) Group() string { return e.group }

// swapped gives the error code of a Heartbeat or LeaveGroup answer: kafka-go reads the error (2 bytes) before the
// throttle time (4 bytes), in all the versions in which brokers send them the other way round.
func swapped(throttle int32) error { return code(int16(throttle)) }

var (
	_ protocol.RawExchanger = (*exchange)(nil)
	_ protocol.RawExchanger = (*groupExchange)(nil)
	_ protocol.GroupMessage = (*groupExchange)(nil)
)
