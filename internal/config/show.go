package config

import (
	"bytes"
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Setting is one key of a configuration, as it holds. It shows no Secret.
type Setting struct {
	// Path is the key's name in each section; Key joins them.
	Path []string
	// Value is what Load would read again: text, true or false, a number, a duration as text, a list of these, or an empty map. nil for
	// a Secret.
	Value any
	// Secret is one whose value is not shown; Set says whether it has one.
	Secret, Set bool
	// From is where it is given: "config.yaml:12", the name of a variable, or "default"; of a Secret from a file, the key that
	// names it.
	From string
}

// Key gives the full name.
func (s Setting) Key() string { return strings.Join(s.Path, ".") }

// Settings gives every key of what target, a pointer to a struct, holds, in the order of its fields. origins are Read's.
func Settings(target any, origins Origins) ([]Setting, error) {
	s, err := schemaOf(target, "")
	if err != nil {
		return nil, err
	}
	root := reflect.ValueOf(target).Elem()
	list := s.settings(root, nil, origins, nil)
	for _, pair := range s.secrets {
		if root.FieldByIndex(pair.file).String() == "" {
			continue
		}
		for i := range list {
			if list[i].Secret && list[i].Key() == pair.key {
				list[i].From = pair.fileKey
			}
		}
	}
	return list, nil
}

func (s *schema) settings(v reflect.Value, path []string, origins Origins, to []Setting) []Setting {
	below := func(name string) []string { return append(slices.Clone(path), name) }
	switch s.kind {
	case kindSection:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Tag.Get("koanf"); s.children[name] != nil {
				to = s.children[name].settings(v.Field(i), below(name), origins, to)
			}
		}
		return to
	case kindMap:
		names := v.MapKeys()
		slices.SortFunc(names, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
		for _, name := range names {
			to = s.element.settings(v.MapIndex(name), below(name.String()), origins, to)
		}
		if len(names) > 0 {
			return to
		}
	}
	set := Setting{Path: path, From: cmp.Or(origins[strings.Join(path, ".")], "default")}
	switch {
	case s.kind == kindMap:
		set.Value = map[string]any{}
	case s.typ == secretType:
		set.Secret, set.Set = true, v.String() != ""
	case s.kind == kindList:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		set.Value = list
	default:
		set.Value = plain(v)
	}
	return append(to, set)
}

// plain gives a scalar as Load reads it.
func plain(v reflect.Value) any {
	switch {
	case v.Type() == durationType:
		return FormatDuration(time.Duration(v.Int()))
	case v.Type() == secretType:
		return v.Interface() // a list of secrets, which redact themselves
	case v.Kind() == reflect.String:
		return v.String()
	case v.Kind() == reflect.Bool:
		return v.Bool()
	case v.Kind() == reflect.Float64:
		return v.Float()
	}
	return v.Int()
}

// YAML gives settings as a file that Load reads, each with where it comes from as a comment. In place of a Secret stands a comment only:
// whoever gives the secrets has the same configuration.
func YAML(list []Setting) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, s := range list {
		section := root
		for _, name := range s.Path[:len(s.Path)-1] {
			section = sectionOf(section, name)
		}
		name := s.Path[len(s.Path)-1]
		if s.Secret {
			note := fmt.Sprintf("# %s: not set", name)
			if s.Set {
				note = fmt.Sprintf("# %s: (set, from %s)", name, s.From)
			}
			section.HeadComment = strings.TrimPrefix(section.HeadComment+"\n"+note, "\n")
			continue
		}
		var value yaml.Node
		if err := value.Encode(s.Value); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Key(), err)
		}
		if value.Kind != yaml.ScalarNode {
			value.Style = yaml.FlowStyle
		}
		value.LineComment = comment + s.From
		section.Content = append(section.Content, text(name), &value)
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, err
	}
	return align(out.Bytes()), nil
}

// comment is what a line's comment begins with until it is put below the others.
const comment = "#\x1f"

// align puts the comments of lines below each other.
func align(text []byte) []byte {
	const column = 48
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		value, from, has := bytes.Cut(line, []byte(comment))
		out.Write(value)
		if has {
			out.Write(bytes.Repeat([]byte{' '}, max(0, column-utf8.RuneCount(value))))
			out.WriteString("# ")
			out.Write(from)
		}
	}
	return out.Bytes()
}

// sectionOf gives the section of that name within another one, which is made if it is not there.
func sectionOf(in *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(in.Content); i += 2 {
		if in.Content[i].Value == name {
			return in.Content[i+1]
		}
	}
	section := &yaml.Node{Kind: yaml.MappingNode}
	in.Content = append(in.Content, text(name), section)
	return section
}

func text(s string) *yaml.Node {
	var n yaml.Node
	n.SetString(s)
	if n.Encode(s) != nil { // text can always be encoded; this quotes what would be a number
		n.SetString(s)
	}
	return &n
}
