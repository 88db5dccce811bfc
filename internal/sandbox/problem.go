package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// reply is an operation's answer: a status and a body to be written as JSON.
type reply struct {
	status int
	body   any
}

type object = map[string]any

func created(body any) reply { return reply{status: http.StatusCreated, body: body} }

func found(body any) reply { return reply{status: http.StatusOK, body: body} }

// refused is a 400 on one field.
func refused(field, format string, args ...any) reply {
	return reply{status: http.StatusBadRequest, body: object{field: []string{fmt.Sprintf(format, args...)}}}
}

// refusedIn is a 400 on a field of a part.
func refusedIn(part, field, message string) reply {
	return reply{status: http.StatusBadRequest, body: object{part: object{field: []string{message}}}}
}

// detail is a refusal that is about no field.
func detail(status int, format string, args ...any) reply {
	return reply{status: status, body: object{"detail": fmt.Sprintf(format, args...)}}
}

func notFound() reply { return detail(http.StatusNotFound, "Not found.") }

// fieldErrors is a tree of messages in the shape of the body that they are about.
type fieldErrors struct {
	messages []string
	children map[string]*fieldErrors
}

func (f *fieldErrors) add(path []string, message string) {
	if len(path) == 0 {
		for _, m := range f.messages {
			if m == message {
				return
			}
		}
		f.messages = append(f.messages, message)
		return
	}
	if f.children == nil {
		f.children = map[string]*fieldErrors{}
	}
	child := f.children[path[0]]
	if child == nil {
		child = &fieldErrors{}
		f.children[path[0]] = child
	}
	child.add(path[1:], message)
}

// render gives the tree as Django REST framework would: messages as lists, objects as objects, and lists as lists that
// have an empty object for each item without error. What is about the body as a whole is under non_field_errors.
func (f *fieldErrors) render(body any) any {
	if len(f.children) == 0 {
		return object{"non_field_errors": f.messages}
	}
	return f.renderChild(body)
}

func (f *fieldErrors) renderChild(body any) any {
	if len(f.children) == 0 {
		return f.messages
	}
	if items, ok := body.([]any); ok {
		list := make([]any, len(items))
		for i := range items {
			list[i] = object{}
			if child := f.children[strconv.Itoa(i)]; child != nil {
				list[i] = child.render(items[i])
			}
		}
		return list
	}
	fields := object{}
	values, _ := body.(map[string]any)
	for name, child := range f.children {
		fields[name] = child.renderChild(values[name])
	}
	return fields
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only values made here come here
	}
	return b
}
