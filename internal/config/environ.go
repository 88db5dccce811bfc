package config

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// variable is called by koanf's provider for each variable with the prefix, and gives its key and value; an empty key
// leaves it out.
func (l *loader) variable(name, text string) (key string, value any) {
	if isServiceLink(name, text) {
		return "", nil
	}
	key, known := l.schema.variables[name]
	if !known {
		l.unknownVariable(name)
		return "", nil
	}
	l.origins[key] = name
	s := l.schema.at(key)
	value, err := s.parseVariable(text)
	if err != nil {
		l.add(key, "%v", err)
		return "", nil
	}
	return key, value
}

func (l *loader) unknownVariable(name string) {
	for begin, key := range l.schema.maps {
		if name == begin || strings.HasPrefix(name, begin+"_") {
			l.place(name, 0, "", "%s can be given in the file only", key)
			return
		}
	}
	suggestion, closest := didYouMean(name, slices.Sorted(maps.Keys(l.schema.variables)))
	l.place(name, 0, "", "unknown variable%s", suggestion)
	l.hush(l.schema.variables[closest])
}

// parseVariable gives the value of a scalar, or of a list separated by commas; nothing is an empty list.
func (s *schema) parseVariable(text string) (any, error) {
	if s.kind != kindList {
		return parse(s.typ, text)
	}
	list := reflect.MakeSlice(s.typ, 0, 0)
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		v, err := parse(s.element.typ, item)
		if err != nil {
			return nil, err
		}
		list = reflect.Append(list, reflect.ValueOf(v))
	}
	return list.Interface(), nil
}

// at gives the schema of a key that is not in a map.
func (s *schema) at(key string) *schema {
	for name := range strings.SplitSeq(key, ".") {
		s = s.children[name]
	}
	return s
}

var serviceLink = regexp.MustCompile(`_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$`)

// isServiceLink tells the variables that Kubernetes puts into every pod for each service of the namespace: with a service
// called distributor-bridge they would have our prefix (DISTRIBUTOR_BRIDGE_SERVICE_HOST, DISTRIBUTOR_BRIDGE_PORT=tcp://…),
// and the program would refuse to start there.
func isServiceLink(name, text string) bool {
	if !serviceLink.MatchString(name) {
		return false
	}
	bare := strings.HasSuffix(name, "_PORT") && !strings.Contains(name, "_SERVICE_") && !strings.Contains(name, "_PORT_")
	return !bare || strings.Contains(text, "://")
}
