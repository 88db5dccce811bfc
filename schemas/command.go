package schemas

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Commands are CloudEvents of the bridge's own, which its operators' tools write into the inbox, so that they are done in
// order with all else: the type says what is to be done, id and source which command it is, time when it was given, and the
// data who gave it (by) and why. What a command is about is named so exactly that it does nothing once that has changed.
// Upstream may not emit any: Validate accepts none.

// Names of command types, without prefix. commandPrefix is reserved: no event may have a name that begins so.
const (
	TypeCommandResume  = commandPrefix + "resume"
	TypeCommandResolve = commandPrefix + "resolve"
	TypeCommandDiscard = commandPrefix + "discard"

	commandPrefix = "command."
)

var commandTypes = []string{TypeCommandResume, TypeCommandResolve, TypeCommandDiscard}

// CommandTypes gives the names of all command types, without prefix.
func CommandTypes() []string { return slices.Clone(commandTypes) }

// CommandKey is the inbox key of commands that are about no customer; they go to every partition. No customer's ID is like
// it, so they have a lane of their own. A command about something of a customer has the customer's key.
const CommandKey = "/commands"

// ErrCommand is the error of an event whose type is a command's: only the bridge's own tools give commands.
var ErrCommand = errors.New("an event must not be a command")

// CommandResume is the data of command.resume: events of a type go on, which had paused since too many were rejected.
type CommandResume struct {
	By     string   `json:"by"`     // who gave the command
	Why    string   `json:"why"`    // in the operator's words
	Type   string   `json:"type"`   // the event type, without prefix
	Pauses []string `json:"pauses"` // the IDs of the pauses that end
}

// CommandResolve is the data of command.resolve: somebody has found out whether a call happened that nobody knew of.
type CommandResolve struct {
	By         string   `json:"by"`
	Why        string   `json:"why"`
	CustomerID string   `json:"customer_id"`
	Object     string   `json:"object"`              // within the customer, as state has it: order/ID, positions …
	Event      EventRef `json:"event"`               // that is held, or has caused the follow-up which is
	FollowUp   string   `json:"follow_up,omitempty"` // empty: the event itself is held
	Step       string   `json:"step"`
	Reason     string   `json:"reason"`                // why it is unknown, as it is held
	Generation int      `json:"generation,omitempty"`  // of the step's key
	Happened   bool     `json:"happened"`              // else it is made again, under a new key
	ProviderID string   `json:"provider_id,omitempty"` // of what the call made; required if it happened
}

// CommandDiscard is the data of command.discard: a held event is given up.
type CommandDiscard struct {
	By         string   `json:"by"`
	Why        string   `json:"why"`
	CustomerID string   `json:"customer_id"`
	Object     string   `json:"object"`
	Event      EventRef `json:"event"`
	FollowUp   string   `json:"follow_up,omitempty"`
}

// HeaderType is the header of a record in binary mode that tells its type.
const HeaderType = headerPrefix + attrType

// IsCommandType says whether a type in full, with prefix, is that of a command, known or not.
func (c *Contract) IsCommandType(full []byte) bool {
	name, ours := bytes.CutPrefix(full, c.bytes)
	return ours && bytes.HasPrefix(name, []byte(commandPrefix))
}

// IsCommand says whether a name, without prefix, is that of a command, known or not.
func IsCommand(name string) bool { return strings.HasPrefix(name, commandPrefix) }

// NewCommand builds a command with an ID of its own, given now. The data is the Go type of name.
func (c *Contract) NewCommand(name, source string, data any) (Event, error) {
	if !slices.Contains(commandTypes, name) || dataTypes[name] != reflect.TypeOf(data) {
		return Event{}, fmt.Errorf("build command %q: %T is not its data", name, data)
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return Event{}, fmt.Errorf("build command %s: %w", name, err)
	}
	raw, _, err := marshal(data)
	if err != nil {
		return Event{}, fmt.Errorf("build command %s: %w", name, err)
	}
	e := Event{
		ID: id.String(), Source: source, Type: c.FullType(name), Name: name, Time: time.Now().UTC().Truncate(time.Millisecond),
		DataContentType: mediaJSON, Data: raw,
	}
	if err := c.ValidateCommand(e); err != nil {
		return Event{}, fmt.Errorf("build command %s: %w", name, err)
	}
	return e, nil
}

// ValidateCommand judges a command as Validate judges an event: ErrUnknownType is that of a command which this bridge does
// not know, as a newer one's.
func (c *Contract) ValidateCommand(e Event) error {
	if !slices.Contains(commandTypes, e.Name) {
		return ErrUnknownType
	}
	return c.validate(e, e.Name)
}
