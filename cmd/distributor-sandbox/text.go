package main

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// columns is how wide a line of output may be.
const columns = 80

// clean gives text that a terminal shows as it is, whatever upstream has put into it.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// fit gives text in at most width columns: what is too long loses its end.
func fit(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:max(0, width-1)]) + "…"
	}
	return text
}

// narrow gives text in at most width columns: what is too long loses its middle, since an ID's ends tell it from others.
func narrow(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	end := width / 2
	return string(runes[:width-end-1]) + "…" + string(runes[len(runes)-end:])
}

// pad gives text in exactly width columns, or all of it where it is longer.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// fold gives a shell command in one line if that fits behind the indent, else with its last part in a line of its own.
func fold(indent, command, last string) string {
	if utf8.RuneCountInString(indent+command+" "+last) <= columns {
		return indent + command + " " + last
	}
	return indent + command + " \\\n" + indent + "    " + last
}
