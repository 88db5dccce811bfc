package main

import (
	"io"
	"os"

	"github.com/mattn/go-isatty"
)

// style colours text: on a terminal, and only where nobody has objected (NO_COLOR, TERM=dumb).
type style struct{ on bool }

func styleFor(w io.Writer, t terminal) style {
	return style{isTerminal(w) && t.env("NO_COLOR") == "" && t.env("TERM") != "dumb"}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

func (s style) paint(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string   { return s.paint("1", text) }
func (s style) dim(text string) string    { return s.paint("2", text) }
func (s style) red(text string) string    { return s.paint("31", text) }
func (s style) green(text string) string  { return s.paint("32", text) }
func (s style) yellow(text string) string { return s.paint("33", text) }
func (s style) cyan(text string) string   { return s.paint("36", text) }
