package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"time"

	"github.com/itchyny/gojq"
)

// Edit mends the data of events, by a jq expression. What it says about data never quotes it: that is personal.
type Edit struct{ code *gojq.Code }

// mendLimit is how long an expression may take for one event: one may run for ever.
const mendLimit = 10 * time.Second

// ParseEdit reads a jq expression. It sees the data, and nothing else: no environment, no files.
func ParseEdit(expression string) (*Edit, error) {
	query, err := gojq.Parse(expression)
	if err != nil {
		return nil, fmt.Errorf("read the jq expression: %w", err)
	}
	code, err := gojq.Compile(query)
	if err != nil {
		return nil, fmt.Errorf("read the jq expression: %w", err)
	}
	return &Edit{code}, nil
}

// apply gives the mended data; data itself if the expression changes nothing of it.
func (e *Edit) apply(ctx context.Context, data json.RawMessage) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, mendLimit)
	defer cancel()
	tree, err := treeOf(data)
	if err != nil {
		return nil, err
	}
	before, err := treeOf(data) // the expression may change what it is given
	if err != nil {
		return nil, err
	}
	values := e.code.RunWithContext(ctx, tree)
	mended, ok := values.Next()
	if err, failed := mended.(error); failed || !ok {
		return nil, mendError(ctx, err)
	}
	if _, more := values.Next(); more {
		return nil, errors.New("the expression gives more than one value")
	}
	if reflect.DeepEqual(before, mended) {
		return data, nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(mended); err != nil {
		return nil, errors.New("the expression gives what is no JSON")
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

func mendError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("the expression took too long: %w", ctx.Err())
	case err == nil:
		return errors.New("the expression gives no value")
	}
	return errors.New("the expression fails on it") // the error may quote it
}

// treeOf reads JSON as gojq wants it, numbers as exactly as it can.
func treeOf(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, errors.New("its data is no JSON")
	}
	return numbers(tree), nil
}

func numbers(tree any) any {
	switch tree := tree.(type) {
	case map[string]any:
		for name, value := range tree {
			tree[name] = numbers(value)
		}
	case []any:
		for i, value := range tree {
			tree[i] = numbers(value)
		}
	case json.Number:
		if n, err := tree.Int64(); err == nil && int64(int(n)) == n {
			return int(n)
		}
		if n, ok := new(big.Int).SetString(tree.String(), 10); ok && !strings.ContainsAny(tree.String(), ".eE") {
			return n
		}
		f, _ := tree.Float64() // what is too large is infinite, which is no JSON: told where it is written
		return f
	}
	return tree
}
