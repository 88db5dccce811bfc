package consumer

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The model knows all offsets that were ever taken, and which are done.
func TestWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &window{}
		var taken, open []int64
		next, committed := rapid.Int64Range(0, 5).Draw(t, "start"), int64(-1)
		firstOpen := func() int64 { // what may be committed at most
			if len(open) > 0 {
				return open[0]
			}
			return taken[len(taken)-1] + 1
		}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				next += rapid.Int64Range(0, 3).Draw(t, "gap") // compaction and transactions leave some out
				w.take(next, time.UnixMilli(next))
				taken, open = append(taken, next), append(open, next)
				next++
			},
			"finish": func(t *rapid.T) {
				if len(open) == 0 {
					t.Skip("nothing is open")
				}
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				w.finish(open[i])
				open = append(open[:i:i], open[i+1:]...)
			},
			"commit": func(t *rapid.T) {
				offset, ok := w.commit()
				done := len(taken) > 0 && firstOpen() > taken[0]
				switch {
				case ok && !done:
					t.Fatalf("commit %d, and nothing is done", offset)
				case ok && offset != firstOpen():
					t.Fatalf("commit %d, want %d, the first that is not done of %v", offset, firstOpen(), taken)
				case ok && offset <= committed:
					t.Fatalf("commit %d after %d", offset, committed)
				case !ok && done && committed < 0:
					t.Fatal("nothing to commit although something is done")
				}
				if ok && rapid.Bool().Draw(t, "refused") {
					w.again()
					if repeated, ok := w.commit(); !ok || repeated != offset {
						t.Fatalf("after a refusal of %d: %d %v", offset, repeated, ok)
					}
				}
				if ok {
					committed = offset
				}
			},
			"": func(t *rapid.T) {
				want := 0 // all from the first that is not done
				for _, o := range taken {
					if len(open) > 0 && o >= open[0] {
						want++
					}
				}
				if offset, written, ok := w.oldest(); ok != (len(open) > 0) || ok && (offset != open[0] || written.UnixMilli() != offset) {
					t.Fatalf("the oldest is %d %v, want the first of %v", offset, ok, open)
				}
				if w.open() != want || w.undone() != len(open) {
					t.Fatalf("%d open, %d of them not done, want %d and %d", w.open(), w.undone(), want, len(open))
				}
			},
		})
		// In the end all that is done is committed, once.
		for _, o := range open {
			w.finish(o)
		}
		if len(taken) == 0 {
			return
		}
		want := taken[len(taken)-1] + 1
		if offset, ok := w.commit(); ok && offset != want || !ok && committed != want {
			t.Fatalf("the last commit is %d %v after %d, want %d", offset, ok, committed, want)
		}
		if _, ok := w.commit(); ok {
			t.Fatal("a commit that does not move")
		}
	})
}
