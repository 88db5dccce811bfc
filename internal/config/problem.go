package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration. Its text never holds a secret.
type Problem struct {
	Key  string // full name, such as "kafka.brokers"; empty if it is not about one key
	Text string
}

// Error gives "key: text".
func (p Problem) Error() string {
	if p.Key == "" {
		return p.Text
	}
	return p.Key + ": " + p.Text
}

// Located is a Problem with where it stands: "config.yaml:12", or a variable's name. Each error that Load joins is one, but for
// a file that cannot be read or is no YAML.
type Located struct {
	Where string // empty if it is given nowhere
	Problem
}

// Error gives "where: key: text".
func (l Located) Error() string {
	if l.Where == "" {
		return l.Problem.Error()
	}
	return l.Where + ": " + l.Problem.Error()
}

// Problems gathers what a Validate method finds. The zero value is ready.
type Problems struct{ errs []error }

// Add notes a problem of a key.
func (p *Problems) Add(key, format string, args ...any) {
	p.errs = append(p.errs, Problem{Key: key, Text: fmt.Sprintf(format, args...)})
}

var ownKey = regexp.MustCompile(`^[a-z][a-z0-9_.]*(\[\d+\])?: `)

// Under notes what a component says of its configuration, which is a section here: each of the errors joined in err that
// begins with a key ("timeouts.call: negative") is a problem of that key in the section, any other of the section.
func (p *Problems) Under(section string, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			p.Under(section, e)
		}
		return
	}
	if err == nil {
		return
	}
	text := err.Error()
	if key := ownKey.FindString(text); key != "" {
		p.Add(section+"."+strings.TrimSuffix(key, ": "), "%s", text[len(key):])
		return
	}
	p.Add(section, "%s", text)
}

// Err joins all that was noted; nil if nothing was.
func (p *Problems) Err() error { return errors.Join(p.errs...) }

// add notes a problem of a key that may be given in the file or the environment.
func (l *loader) add(key, format string, args ...any) {
	l.place(l.origins[key], 0, key, format, args...)
}

func (l *loader) place(where string, line int, key, format string, args ...any) {
	l.problems = append(l.problems, placed{line, Located{where, Problem{Key: key, Text: fmt.Sprintf(format, args...)}}})
	l.hush(key)
}

// hush keeps Validate from complaining of a key of which the operator is told already, such as a required one that is
// missing because it is misspelt.
func (l *loader) hush(key string) {
	if l.said == nil {
		l.said = map[string]bool{}
	}
	if key != "" {
		l.said[key] = true
	}
}

// hushed says whether a problem of the key, or of a section that holds it, has been told.
func (l *loader) hushed(key string) bool {
	for ; key != ""; key = key[:max(0, strings.LastIndexByte(key, '.'))] {
		if l.said[key] {
			return true
		}
	}
	return false
}

// addAll takes over what Validate says.
func (l *loader) addAll(err error) {
	var p Problem
	switch joined, ok := err.(interface{ Unwrap() []error }); {
	case err == nil:
	case ok:
		for _, e := range joined.Unwrap() {
			l.addAll(e)
		}
	case errors.As(err, &p):
		if key, _, _ := strings.Cut(p.Key, "["); !l.hushed(key) { // an item of a list stands where the list does
			l.problems = append(l.problems, placed{0, Located{l.origins[key], p}})
		}
	default:
		l.problems = append(l.problems, placed{0, Located{Problem: Problem{Text: err.Error()}}})
	}
}

// err joins all problems: the file's by line, then the rest as it was found.
func (l *loader) err() error {
	slices.SortStableFunc(l.problems, func(a, b placed) int {
		if a.line == 0 || b.line == 0 {
			return cmp.Compare(b.line, a.line) // those without a line come last
		}
		return cmp.Compare(a.line, b.line)
	})
	errs := make([]error, len(l.problems))
	for i, p := range l.problems {
		errs[i] = p.Located
	}
	return errors.Join(errs...)
}

// didYouMean gives ", did you mean …?" if one of the known names is close to name, or ends as name does; and that name.
func didYouMean(name string, known []string) (text, closest string) {
	best := 1 + min(3, max(1, len(last(name))/3))
	for _, k := range known {
		d := distance(name, k)
		if last(k) == last(name) { // the right key in the wrong section
			d = min(d, 1)
		}
		if d < best {
			best, closest = d, k
		}
	}
	if closest == "" {
		return "", ""
	}
	return ", did you mean " + closest + "?", closest
}

func last(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// distance is Levenshtein's: how many letters have to be added, left out or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
