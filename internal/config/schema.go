package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// schema is what may stand at a key.
type schema struct {
	kind     kind
	typ      reflect.Type       // of the field
	names    []string           // of a section's keys, in the order of its fields
	children map[string]*schema // a section's keys
	element  *schema            // of a list or a map

	// The rest is set at the root only.

	variables map[string]string // variable → full key
	maps      map[string]string // what a variable for something in a map would begin with → the map's full key
	secrets   []secretPair
}

type kind int

const (
	kindScalar kind = iota
	kindList
	kindMap
	kindSection
)

// secretPair is a Secret and the name of the file that may hold it.
type secretPair struct {
	key, fileKey string
	secret, file []int // indexes for reflect's FieldByIndex
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[Secret]()
)

// schemaOf derives the schema from target, a pointer to a struct. An error is a bug of the struct.
func schemaOf(target any, prefix string) (*schema, error) {
	t := reflect.TypeOf(target)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("configuration is a %T, want a pointer to a struct", target)
	}
	root := &schema{variables: map[string]string{}, maps: map[string]string{}}
	b := builder{root: root, prefix: prefix}
	if err := b.section(root, t.Elem(), "", nil); err != nil {
		return nil, err
	}
	return root, nil
}

type builder struct {
	root   *schema
	prefix string
}

// section fills s from a struct. The index leads to it from the target; it is nil within maps.
func (b builder) section(s *schema, t reflect.Type, path string, index []int) error {
	s.kind, s.typ, s.children = kindSection, t, map[string]*schema{}
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("koanf")
		switch {
		case !f.IsExported() || name == "-":
			continue
		case name == "" || strings.ContainsAny(name, ".,"):
			return fmt.Errorf("field %s of %s has no usable koanf tag", f.Name, t)
		case s.children[name] != nil:
			return fmt.Errorf("key %s stands twice in %s", name, t)
		}
		child, err := b.value(f.Type, join(path, name), append(slices.Clone(index), i))
		if err != nil {
			return err
		}
		s.names = append(s.names, name)
		s.children[name] = child
	}
	b.pairSecrets(s, t, path, index)
	return nil
}

// value gives the schema of one field's type.
func (b builder) value(t reflect.Type, path string, index []int) (*schema, error) {
	s := &schema{typ: t}
	switch t.Kind() {
	case reflect.Struct:
		return s, b.section(s, t, path, index)
	case reflect.Map:
		s.kind = kindMap
		if t.Key().Kind() != reflect.String {
			return nil, fmt.Errorf("%s: keys of a map must be text", path)
		}
		b.root.maps[b.variable(path)] = path
		var err error
		s.element, err = builder{&schema{variables: map[string]string{}, maps: map[string]string{}}, b.prefix}.
			value(t.Elem(), join(path, "*"), nil)
		return s, err
	case reflect.Slice:
		s.kind, s.element = kindList, &schema{typ: t.Elem()}
		if !scalar(t.Elem()) {
			return nil, fmt.Errorf("%s: lists of %s are not supported", path, t.Elem())
		}
	default:
		if !scalar(t) {
			return nil, fmt.Errorf("%s: values of type %s are not supported", path, t)
		}
	}
	v := b.variable(path)
	if other, taken := b.root.variables[v]; taken {
		return nil, fmt.Errorf("%s and %s have the same variable %s", other, path, v)
	}
	b.root.variables[v] = path
	return s, nil
}

func scalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Float64:
		return true
	}
	return false
}

// variable gives the name of the environment variable for a key.
func (b builder) variable(path string) string {
	return b.prefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// pairSecrets remembers the Secrets of a section that have a *_file key beside them.
func (b builder) pairSecrets(s *schema, t reflect.Type, path string, index []int) {
	fields := map[string]int{}
	for i := range t.NumField() {
		fields[t.Field(i).Tag.Get("koanf")] = i
	}
	for _, name := range s.names {
		fileName := name + "_file"
		file := s.children[fileName]
		if s.children[name].typ != secretType || file == nil || file.typ.Kind() != reflect.String {
			continue
		}
		b.root.secrets = append(b.root.secrets, secretPair{
			key: join(path, name), fileKey: join(path, fileName),
			secret: append(slices.Clone(index), fields[name]), file: append(slices.Clone(index), fields[fileName]),
		})
	}
}

// leaves gives the full names of all keys that have values, below path.
func (s *schema) leaves(path string, to []string) []string {
	switch s.kind {
	case kindSection:
		for _, name := range s.names {
			to = s.children[name].leaves(join(path, name), to)
		}
		return to
	case kindMap:
		return s.element.leaves(join(path, "*"), to)
	}
	return append(to, path)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
