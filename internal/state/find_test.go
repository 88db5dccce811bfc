package state

import (
	"slices"
	"testing"
)

// A key that another one goes on from is not taken for it, wherever they are, and one that is not there is not found.
func TestFindAmongAlikeKeys(t *testing.T) {
	t.Parallel()
	keys := []string{"order/1", "order/1\x01", "order/1 ", "order/10", "order/1é", "order/2", "wallet/0xab", "wallet/0xabc"}
	for _, missing := range append([]string{"", "order/", "order/1\x01\x01", "order/100", "wallet/0xabd"}, keys...) {
		c := &customer{}
		for i, key := range keys {
			if key == missing {
				continue
			}
			c.lay(key, resting(key, NewRecord(), []byte{byte('0' + i)}))
			at, _ := c.findLive(key)
			c.live = slices.Insert(c.live, at, liveEntry{Entry: Entry{Key: key}})
		}
		for i, key := range keys {
			at, rest := c.findRest(key)
			if rest != (key != missing) || rest && c.rest[at] != key+"\x00"+string(byte('0'+i)) {
				t.Errorf("without %q: %q is at %d of the resting, found: %v", missing, key, at, rest)
			}
			at, live := c.findLive(key)
			if live != (key != missing) || live && c.live[at].Key != key {
				t.Errorf("without %q: %q is at %d of the live, found: %v", missing, key, at, live)
			}
		}
		if _, rest := c.findRest(missing); rest {
			t.Errorf("%q is found at rest", missing)
		}
		if _, live := c.findLive(missing); live {
			t.Errorf("%q is found alive", missing)
		}
	}
}
