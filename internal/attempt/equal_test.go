package attempt

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// leaves calls fn with a way to each exported field below v that can be set, and its name: lists and maps have one element.
func leaves(v reflect.Value, name string, fn func(name string, v reflect.Value)) {
	if _, ok := v.Interface().(time.Time); ok {
		fn(name, v)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		leaves(v.Elem(), name, fn)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				leaves(v.Field(i), name+"."+v.Type().Field(i).Name, fn)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fn(name, v)
		leaves(v.Index(0), name+"[0]", fn)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		key.SetString("key")
		v.SetMapIndex(key, value)
		fn(name, v)
	default:
		fn(name, v)
	}
}

// other gives v another value than it has.
func other(t *testing.T, v reflect.Value) {
	switch x := v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(x.Add(time.Hour)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int:
		v.SetInt(v.Int() + 1)
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		key.SetString("key")
		value.Set(v.MapIndex(key))
		other(t, value)
		changed := reflect.MakeMap(v.Type()) // copies share it
		changed.SetMapIndex(key, value)
		v.Set(changed)
	default:
		t.Fatalf("%s: a kind that nobody thought of", v.Type())
	}
}

// Each field counts: one that is added and forgotten in equal would never be written.
func TestEachFieldCounts(t *testing.T) {
	t.Parallel()
	var o Object
	count := 0
	leaves(reflect.ValueOf(&o).Elem(), "Object", func(string, reflect.Value) {})
	leaves(reflect.ValueOf(&o).Elem(), "Object", func(name string, v reflect.Value) {
		count++
		was := o.Clone()
		if was.Customer != nil {
			was.Customer.Wallets = slices.Clone(was.Customer.Wallets) // one is changed in place
		}
		if !o.equal(was) || !was.equal(o) {
			t.Errorf("%s: not equal to its clone", name)
		}
		other(t, v)
		if o.equal(was) || was.equal(o) {
			t.Errorf("%s: a change is not seen", name)
		}
	})
	if count < 30 {
		t.Errorf("%d fields were looked at", count)
	}
	for _, part := range []Object{{Customer: &Customer{}}, {Order: &Order{}}, {Position: &Position{}}, {Wallet: &Wallet{}}} {
		if part.equal(Object{}) || (Object{}).equal(part) || !part.settled().equal(Object{}) {
			t.Errorf("%+v: an empty part is not nothing, and settled it is", part)
		}
	}
}

func TestEachFieldOfAnIntentCounts(t *testing.T) {
	t.Parallel()
	in := &Intent{}
	leaves(reflect.ValueOf(in).Elem(), "Intent", func(name string, v reflect.Value) {
		was := *in
		if !in.Equal(&was) {
			t.Errorf("%s: not equal to its copy", name)
		}
		other(t, v)
		if in.Equal(&was) {
			t.Errorf("%s: a change is not seen", name)
		}
	})
	inherited := *in
	inherited.inherited = true
	if in.Equal(&inherited) || in.Equal(nil) || !(*Intent)(nil).Equal(nil) {
		t.Error("inherited, or none: not told apart")
	}
}
