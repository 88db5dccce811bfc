package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	kafkago "github.com/segmentio/kafka-go"
)

// right is something that a broker may or may not permit, in the words of kafka-acls.sh.
type right struct{ operation, resource, name string }

func onTopic(operation, topic string) right { return right{operation, "topic", topic} }
func onGroup(operation, group string) right { return right{operation, "group", group} }

// denied says of an error that something is not permitted what it is, and how to permit it. Other errors stay what they are.
func (c *Client) denied(err error, r right) error {
	var answer codeError
	var told deniedError
	if !errors.As(err, &answer) || errors.As(err, &told) || !answer.is(kafkago.TopicAuthorizationFailed,
		kafkago.GroupAuthorizationFailed, kafkago.TransactionalIDAuthorizationFailed, kafkago.ClusterAuthorizationFailed) {
		return err
	}
	return deniedError{err, r, c.cfg.SASL.User}
}

// deniedError is an answer that something is not permitted.
type deniedError struct {
	error
	right right
	user  string
}

func (e deniedError) Unwrap() error { return e.error }

// Error ends with the command that permits it.
func (e deniedError) Error() string {
	user := Quoted("User:" + cmp.Or(e.user, "NAME"))
	command := []string{"kafka-acls.sh --add --allow-principal " + user, "--operation " + e.right.operation}
	name := e.right.name
	switch e.right.resource {
	case "cluster":
		command = append(command, "--cluster")
	case "transactional-id": // the next partition's differs in the number at its end
		name = strings.TrimRight(name, "0123456789")
		command = append(command, "--transactional-id "+name, "--resource-pattern-type prefixed")
	default:
		command = append(command, "--"+e.right.resource+" "+name)
	}
	return fmt.Sprintf("%v: allow it with %s", e.error, strings.Join(command, " "))
}

// Quoted keeps a shell from reading more into a word than it says.
func Quoted(word string) string {
	if !slices.ContainsFunc([]byte(word), func(b byte) bool { return !strings.ContainsRune(plainCharacters, rune(b)) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

const plainCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-"
