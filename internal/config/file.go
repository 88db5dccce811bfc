package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Unmarshal is koanf's hook for the file's text. It gives what is right; what is not becomes a problem. Its error is that
// the text is no YAML at all.
func (l *loader) Unmarshal(text []byte) (map[string]any, error) {
	var doc, second yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF): // empty, or nothing but comments
		return map[string]any{}, nil
	case err != nil:
		return nil, l.syntax(text, err)
	}
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: one YAML document is wanted, but a second one begins", l.file)
	}
	root, _ := l.node(l.schema, doc.Content[0], "").(map[string]any)
	return root, nil
}

// Marshal completes koanf's interface of a parser.
func (l *loader) Marshal(values map[string]any) ([]byte, error) { return yaml.Marshal(values) }

// syntax tells where the text is no YAML. The library's message for an unknown anchor quotes what is probably an unquoted
// secret that begins with an asterisk; its message for a tab does not speak of one.
func (l *loader) syntax(file []byte, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	switch {
	case strings.Contains(text, "anchor"):
		text = "a value that begins with * or & has to be quoted"
	case strings.Contains(text, "cannot start any token"), strings.Contains(text, "tab character"):
		if n := tabbed(file); n > 0 {
			return fmt.Errorf("%s:%d: a tab at the line's beginning: indent with spaces", l.file, n)
		}
		at, _, _ := strings.Cut(text, "found")
		text = at + "a value that begins with @, % or ` has to be quoted"
	}
	if at, rest, ok := strings.Cut(strings.TrimPrefix(text, "line "), ": "); ok && at != text {
		return fmt.Errorf("%s:%s: %s", l.file, at, rest)
	}
	return fmt.Errorf("%s: %s", l.file, text)
}

// tabbed gives the first line that has a tab before its text, 0 for none.
func tabbed(file []byte) int {
	n := 0
	for line := range bytes.Lines(file) {
		n++
		if rest := bytes.TrimLeft(line, " "); len(rest) > 0 && rest[0] == '\t' {
			return n
		}
	}
	return 0
}

// node gives the value at a key; nil after a problem, and for a section with nothing in it.
func (l *loader) node(s *schema, n *yaml.Node, path string) any {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if path != "" {
		l.origins[path] = l.where(n)
	}
	switch s.kind {
	case kindSection, kindMap:
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" { // all keys of a section may be commented out
			return nil
		}
		if n.Kind != yaml.MappingNode {
			l.wrong(n, path, "want keys and values below it")
			return nil
		}
		return l.mapping(s, n, path)
	case kindList:
		if n.Kind != yaml.SequenceNode {
			l.wrong(n, path, "want a list: [a, b], or a line with - for each item")
			return nil
		}
		return l.list(s, n, path)
	}
	return l.scalar(s.typ, n, path)
}

func (l *loader) mapping(s *schema, n *yaml.Node, path string) any {
	values := map[string]any{}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		full := join(path, key.Value)
		if first, twice := seen[key.Value]; twice {
			l.wrong(key, full, "given twice, first in line %d", first)
			continue
		}
		seen[key.Value] = key.Line
		child := s.element
		if s.kind == kindSection {
			child = s.children[key.Value]
		}
		if child == nil {
			l.unknownKey(s, key, path)
			continue
		}
		if v := l.node(child, value, full); v != nil {
			values[key.Value] = v
		}
	}
	return values
}

func (l *loader) unknownKey(s *schema, key *yaml.Node, path string) {
	var known []string
	for _, name := range s.names {
		known = append(known, join(path, name))
	}
	full := join(path, key.Value)
	suggestion, closest := didYouMean(full, append(known, l.schema.leaves("", nil)...))
	l.wrong(key, full, "unknown key%s", suggestion)
	l.hush(closest)
}

func (l *loader) list(s *schema, n *yaml.Node, path string) any {
	list := reflect.MakeSlice(s.typ, 0, len(n.Content))
	for _, item := range n.Content {
		v := l.scalar(s.element.typ, item, path)
		if v == nil {
			return nil
		}
		list = reflect.Append(list, reflect.ValueOf(v))
	}
	return list.Interface()
}

// scalar gives a value of type t. Text has to be text for YAML too: an unquoted 007, 1e3 or 2026-01-31 would be changed
// by other programs that read the file.
func (l *loader) scalar(t reflect.Type, n *yaml.Node, path string) any {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		l.wrong(n, path, "want one value")
	case n.ShortTag() == "!!null":
		l.wrong(n, path, `has no value: leave the key out for its default, or write ""`)
	case t.Kind() == reflect.String && n.ShortTag() != "!!str":
		l.wrong(n, path, "want text: put it in quotes")
	case t.Kind() != reflect.String && t != durationType && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		l.wrong(n, path, "want %s without quotes", describe(t))
	default:
		v, err := parse(t, n.Value)
		if err == nil {
			return v
		}
		l.wrong(n, path, "%v", err)
	}
	return nil
}

func describe(t reflect.Type) string {
	if t.Kind() == reflect.Bool {
		return "true or false"
	}
	return "a number"
}

func (l *loader) wrong(n *yaml.Node, key, format string, args ...any) {
	l.place(l.where(n), n.Line, key, format, args...)
}

func (l *loader) where(n *yaml.Node) string {
	return fmt.Sprintf("%s:%d", l.file, n.Line)
}
