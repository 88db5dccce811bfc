package state

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	texts = []string{"", "plain-1", "0x5aaeb6053f3e94c9", `a "quote" \ and a tab` + "\t", "<b>&", "ä \u2028 \u2029 😀", "\xff", "\x7f\x00"}
	raws  = []string{`null`, `"id"`, `{"a":[1,true,"x"]}`, `{ "a" : "<b> ä" }`, "[\n]", `"\u2028"`}
	zones = []*time.Location{time.UTC, time.FixedZone("", 3600), time.FixedZone("", -(5*3600 + 1800))}
)

// fill gives v an arbitrary value, in all fields that are exported: also in those that are added after this was written.
func fill(t *rapid.T, v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		if rapid.Bool().Draw(t, "time") {
			at := time.UnixMilli(rapid.Int64Range(-62e12, 253e12).Draw(t, "ms"))
			v.Set(reflect.ValueOf(at.In(rapid.SampledFrom(zones).Draw(t, "zone"))))
		}
		return
	case json.RawMessage:
		v.SetBytes([]byte(rapid.SampledFrom(raws).Draw(t, "raw")))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(rapid.SampledFrom(texts).Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64Range(-1, 1e12).Draw(t, "number"))
	case reflect.Uint8:
		v.SetUint(uint64(rapid.Uint8().Draw(t, "small")))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(t, v.Field(i))
			}
		}
	default:
		fillMany(t, v)
	}
}

func fillMany(t *rapid.T, v reflect.Value) {
	n := rapid.IntRange(0, 2).Draw(t, "n")
	if n == 0 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(t, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range n {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, key)
			fill(t, value)
			v.SetMapIndex(key, value)
		}
	default:
		t.Fatalf("%s: a kind that the encoder has not met", v.Type())
	}
}

// A record is written as encoding/json would, whatever is in it: what another version has written is read by the same rules.
func TestEncodesLikeJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := NewRecord()
		fill(t, reflect.ValueOf(r).Elem())
		want, err := json.Marshal(struct {
			Version int `json:"v"`
			*Record
		}{r.version(), r})
		if err != nil {
			t.Fatal(err)
		}
		before := []byte("customer/key")
		got, err := r.encode(bytes.Clone(before))
		if err != nil {
			t.Fatal(err)
		}
		if want = append(before, want...); !bytes.Equal(got, want) {
			t.Errorf("encoded as\n%s\nencoding/json gives\n%s", got, want)
		}
	})
}

// Read is what encoding/json would read, whatever is in it.
func TestDecodesLikeJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := NewRecord()
		fill(t, reflect.ValueOf(r).Elem())
		written, err := r.encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		want := NewRecord()
		if err := json.Unmarshal(written, want); err != nil {
			t.Fatal(err)
		}
		want.inherit()
		got, err := decode(written)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nis read as\n%+v (%v)\nencoding/json reads\n%+v", written, got, err, want)
		}
	})
}

func TestEncodeFails(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(r *Record){
		"a year of five digits": func(r *Record) { r.Work[0].Due = time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC) },
		"no JSON":               func(r *Record) { r.Work[0].Answers = map[string]json.RawMessage{"step": []byte("{ ]")} },
		"empty JSON":            func(r *Record) { r.Work[0].Answers = map[string]json.RawMessage{"step": {}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := NewRecord()
			r.Work = append(r.Work, work(1))
			if _, err := r.encode(nil); err != nil {
				t.Fatal(err)
			}
			spoil(r)
			if _, err := r.encode(nil); err == nil {
				t.Error("encoded")
			}
		})
	}
}
