package main

import (
	"cmp"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// piped is how wide lines are where there is no terminal: nothing is cut there, so that it can be searched.
const piped = 10_000

// screen is where a command writes for people: as wide as the terminal, in colours only there, and only where nobody has
// objected (NO_COLOR, TERM=dumb).
type screen struct {
	out    io.Writer
	width  int
	colour bool
}

func screenOf(world surroundings) screen {
	s := screen{out: world.stdout, width: piped}
	if f, ok := world.stdout.(*os.File); ok && isTerminal(f) {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			s.width = max(width, 40)
		}
		s.colour = !slices.ContainsFunc(world.environ, func(set string) bool {
			name, value, _ := strings.Cut(set, "=")
			return name == "NO_COLOR" && value != "" || set == "TERM=dumb"
		})
	}
	return s
}

// ink is how text is painted; none for plain.
type ink string

const (
	bold   ink = "1"
	dim    ink = "2"
	red    ink = "31"
	green  ink = "32"
	yellow ink = "33"
)

func (s screen) paint(i ink, text string) string {
	if !s.colour || i == "" || text == "" {
		return text
	}
	return "\x1b[" + string(i) + "m" + text + "\x1b[0m"
}

// clean gives text that a terminal shows as it is, whatever upstream has put into it.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// narrow gives text in at most width columns: what is too long loses its middle, since an ID's ends tell it from others.
func narrow(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	end := width / 2
	return string(runes[:max(0, width-end-1)]) + "…" + string(runes[len(runes)-end:])
}

// stamp gives a time for people: ISO 8601, UTC, in seconds; nothing for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// minute is stamp for tables, where columns count.
func minute(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04Z")
}

// progress gives what shows how far a command is with what, on a terminal; and what ends that.
func progress(world surroundings, does string) (tell func(what string, done, total int64), end func()) {
	var (
		bar   *progressbar.ProgressBar
		about string
		last  time.Time
	)
	end = func() {
		if bar != nil {
			_ = bar.Clear()
			bar = nil
		}
	}
	if !isTerminal(world.stderr) {
		return func(string, int64, int64) {}, end
	}
	return func(what string, done, total int64) {
		if what != about {
			end()
			about, last = what, time.Now()
		}
		if done == total {
			end()
			return
		}
		if time.Since(last) < 100*time.Millisecond { // it is told of each record
			return
		}
		last = time.Now()
		if bar == nil {
			bar = progressbar.NewOptions64(total,
				progressbar.OptionSetWriter(world.stderr), progressbar.OptionSetDescription(does+" "+what),
				progressbar.OptionShowCount(), progressbar.OptionSetWidth(24), progressbar.OptionClearOnFinish())
		}
		_ = bar.Set64(done)
	}, end
}

// column is one of a table.
type column struct {
	title string
	right bool // numbers
	worth int  // those of more are narrowed later: 0 to 2
}

// cell is one of a row.
type cell struct {
	text string
	ink  ink
}

// plain gives cells without colour.
func plain(texts ...string) []cell {
	cells := make([]cell, len(texts))
	for i, text := range texts {
		cells[i] = cell{text: text}
	}
	return cells
}

// table writes rows below the columns' titles, in at most the screen's width. A column in which nothing stands is left out.
func (s screen) table(columns []column, rows [][]cell) error {
	columns, rows = withoutEmpty(columns, rows)
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = utf8.RuneCountInString(c.title)
		for _, row := range rows {
			row[i].text = clean(row[i].text)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].text))
		}
	}
	shrink(columns, widths, s.width)
	titles := make([]cell, len(columns))
	for i, c := range columns {
		titles[i] = cell{c.title, bold}
	}
	for _, row := range append([][]cell{titles}, rows...) {
		var line strings.Builder
		for i, c := range row {
			text := narrow(c.text, widths[i])
			room := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			switch {
			case columns[i].right:
				line.WriteString(room + s.paint(c.ink, text))
			case i == len(row)-1:
				line.WriteString(s.paint(c.ink, text))
			default:
				line.WriteString(s.paint(c.ink, text) + room)
			}
			if i < len(row)-1 {
				line.WriteString(between)
			}
		}
		if _, err := io.WriteString(s.out, strings.TrimRight(line.String(), " ")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

const (
	between = "  "
	least   = 6 // columns of what has been narrowed: two or three characters at each end
)

// shrink takes columns from the widest of least worth, until all fit or nothing more can be taken.
func shrink(columns []column, widths []int, width int) {
	sum := len(between) * (len(columns) - 1)
	for _, w := range widths {
		sum += w
	}
	for worth := range 3 {
		for ; sum > width; sum-- {
			widest := -1
			for i, c := range columns {
				room := widths[i] > max(least, utf8.RuneCountInString(c.title))
				if c.worth == worth && room && (widest < 0 || widths[i] > widths[widest]) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			widths[widest]--
		}
	}
}

func withoutEmpty(columns []column, rows [][]cell) ([]column, [][]cell) {
	var keep []int
	for i := range columns {
		if slices.ContainsFunc(rows, func(row []cell) bool { return row[i].text != "" }) {
			keep = append(keep, i)
		}
	}
	kept := make([]column, len(keep))
	for to, from := range keep {
		kept[to] = columns[from]
	}
	lines := make([][]cell, len(rows))
	for n, row := range rows {
		for _, from := range keep {
			lines[n] = append(lines[n], row[from])
		}
	}
	return kept, lines
}

// detail is a line "name  value" of a page about one thing; one without a value is left out.
type detail struct {
	name, value string
	ink         ink
}

// details writes lines about one thing, values below each other; what does not fit goes on in the next line.
func (s screen) details(indent string, list []detail) error {
	list = slices.DeleteFunc(list, func(d detail) bool { return d.value == "" })
	if len(list) == 0 {
		return nil
	}
	width := utf8.RuneCountInString(slices.MaxFunc(list, func(a, b detail) int {
		return cmp.Compare(utf8.RuneCountInString(a.name), utf8.RuneCountInString(b.name))
	}).name)
	var b strings.Builder
	for _, d := range list {
		name := indent + clean(d.name) + strings.Repeat(" ", width-utf8.RuneCountInString(d.name)) + between
		for i, line := range wrap(clean(d.value), s.width-utf8.RuneCountInString(name)) {
			if i > 0 {
				name = strings.Repeat(" ", utf8.RuneCountInString(name))
			}
			b.WriteString(name + s.paint(d.ink, line) + "\n")
		}
	}
	_, err := io.WriteString(s.out, b.String())
	return err
}

// wrap breaks text between words. A word that is too long stays whole: it may be an ID to be copied.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// count gives "1 letter", "2 letters".
func count(n int, one, many string) string {
	return quantity(n) + " " + map[bool]string{true: one, false: many}[n == 1]
}

// quantity gives a number with commas between its thousands.
func quantity(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
