package schemas_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"distributor-bridge/schemas"
)

// What a Room gives is what each event gives by itself, however many there are in it, and again after it was cleared.
func TestRoom(t *testing.T) {
	t.Parallel()
	contract := newContract(t)
	var room schemas.Room
	for _, many := range []int{1, 500, 3, 2000, 3} {
		var want, got [][]schemas.Header
		var keys [][]byte
		for i := range many {
			e := walletAdded(t, contract)
			e.ID = strings.Repeat("i", i%500)
			if i%2 == 1 {
				e.Extensions = map[string]string{"tenant": fmt.Sprint(i), "region": "eu"}
			}
			_, headers := e.Binary()
			keys = append(keys, room.Bytes(fmt.Sprint("key ", i)))
			room.Binary(&e)
			if i%3 == 0 {
				headers = append(headers, schemas.Header{Key: "more", Value: []byte{}})
				room.Add("more", "")
			}
			want, got = append(want, headers), append(got, room.Headers())
		}
		for i := range want {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("%d: %q, want %q", i, got[i], want[i])
			}
			if key := fmt.Sprint("key ", i); string(keys[i]) != key {
				t.Errorf("%q, want %q", keys[i], key)
			}
		}
		room.Clear()
	}
	var empty schemas.Room
	if empty.Bytes("") == nil {
		t.Error("the empty text is null")
	}
}

// What is appended to one record's headers or bytes is not in another's.
func TestRoomKeepsApart(t *testing.T) {
	t.Parallel()
	var room schemas.Room
	room.Add("a", "1")
	first := room.Headers()
	room.Add("b", "2")
	second := room.Headers()
	_ = append(first, schemas.Header{Key: "c"})
	_ = append(first[0].Value, 'x')
	if want := []schemas.Header{{Key: "b", Value: []byte("2")}}; !reflect.DeepEqual(second, want) {
		t.Errorf("%q, want %q", second, want)
	}
}
