package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// duplicateError is a JSON object with one property twice. RFC 8259 leaves open what that means, and parsers differ: the
// one that validates and the one that decodes might see different bodies. Whether the real API refuses it is not
// documented [A].
type duplicateError struct{ property string }

func (e *duplicateError) Error() string { return fmt.Sprintf("property %q twice", e.property) }

// parse gives the value of a JSON text. The error is a *duplicateError where an object in it has a property twice.
func parse(text []byte) (any, error) {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // so that only what Unmarshal refused is refused
	if err := unique(d); err != nil {
		return nil, err
	}
	return value, nil
}

// unique reads one value of valid JSON, and says whether each property of each object in it is there once.
func unique(d *json.Decoder) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	opening, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if opening == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			property, _ := name.(string)
			if seen[property] {
				return &duplicateError{property}
			}
			seen[property] = true
		}
		if err := unique(d); err != nil {
			return err
		}
	}
	_, err = d.Token() // the end of it
	return err
}
