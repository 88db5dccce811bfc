package distributorbridge_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is a piece of code in a document.
type block struct {
	language string // as the fence says; "" if the block is indented
	line     int    // where it begins, from 1
	lines    []string
}

// command is what a document tells its readers to type.
type command struct {
	line int
	text string // continued lines and here-documents are whole
}

// documents gives what is held to these tests: the README and the guides.
func documents(t *testing.T) []string {
	t.Helper()
	guides, err := filepath.Glob("docs/*.md")
	if err != nil || len(guides) == 0 {
		t.Fatalf("no guides: %v", err)
	}
	others, err := filepath.Glob("deploy/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat([]string{"README.md"}, guides, others)
}

var fence = regexp.MustCompile("^ *```\\s*([a-z]*)")

// blocks gives the code of a document: fenced, or indented by four spaces after an empty line.
func blocks(t *testing.T, file string) []block {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	var fenced *block
	before := ""
	for n, line := range strings.Split(string(raw), "\n") {
		mark := fence.FindStringSubmatch(line)
		switch {
		case fenced != nil && mark != nil:
			all, fenced = append(all, *fenced), nil
		case fenced != nil:
			fenced.lines = append(fenced.lines, line)
		case mark != nil:
			if fenced = (&block{language: mark[1], line: n + 1}); mark[1] == "" {
				t.Errorf("%s:%d: say what language it is: sh is tried, text is none", file, n+1)
			}
		case strings.HasPrefix(line, "    "):
			code := strings.TrimPrefix(line, "    ")
			if last := len(all) - 1; before != "" && last >= 0 && all[last].language == "" && strings.HasPrefix(before, "    ") {
				all[last].lines = append(all[last].lines, code)
			} else if before == "" {
				all = append(all, block{line: n + 1, lines: []string{code}})
			}
		}
		before = line
	}
	if fenced != nil {
		t.Errorf("%s:%d: the fence has no end", file, fenced.line)
	}
	return all
}

// firstWord is how a line that is a command begins: variables, and a program.
var firstWord = regexp.MustCompile(`^(?:[A-Z_]+=\S* )*(\.?/?[a-z][a-z0-9./_-]*)(?: |$)`)

// commands gives what a block tells to type; nothing if it tells something else. An indented one is taken for commands if it
// begins like one.
func (b block) commands() []command {
	typed := b.language == "sh" || b.language == "" && firstWord.MatchString(b.lines[0])
	if !typed || b.language == "" && strings.ContainsAny(b.lines[0], "─▶") {
		return nil
	}
	var all []command
	var whole []string
	end := "" // of a here-document
	for i, line := range b.lines {
		if whole == nil && (strings.TrimSpace(line) == "" || strings.HasPrefix(strings.TrimSpace(line), "#")) {
			continue
		}
		if whole == nil {
			all = append(all, command{line: b.line + i})
		}
		whole = append(whole, line)
		if _, mark, here := strings.Cut(line, "<<"); end == "" && here {
			end = strings.Trim(strings.Fields(mark)[0], `'"-`)
			continue
		}
		if strings.HasSuffix(line, `\`) && end == "" || end != "" && line != end {
			continue
		}
		all[len(all)-1].text, whole, end = strings.Join(whole, "\n"), nil, ""
	}
	return all
}

// What is no command in a fence, and says so.
var notCommands = []string{"text", "json", "yaml", "go", "python", "java", "promql", "mermaid"}

// Every block says what it is, and no command hides in one that is not tried.
func TestDocumentsBlocks(t *testing.T) {
	t.Parallel()
	for _, file := range documents(t) {
		for _, b := range blocks(t, file) {
			if b.language != "" && b.language != "sh" && !slices.Contains(notCommands, b.language) {
				t.Errorf("%s:%d: %s is neither sh nor one of %v", file, b.line, b.language, notCommands)
			}
			if len(b.commands()) > 0 {
				continue
			}
			for i, line := range b.lines {
				for _, program := range []string{"distributor-bridge ", "distributor-sandbox ", "make ", "curl ", "kubectl ", "helm ", "docker "} {
					if strings.HasPrefix(strings.TrimLeft(line, " $./"), program) {
						t.Errorf("%s:%d: a command that is not tried: put it into a block of its own, ```sh", file, b.line+i)
					}
				}
			}
		}
	}
}

func TestCommandsOfBlock(t *testing.T) {
	t.Parallel()
	b := block{language: "sh", line: 10, lines: []string{
		"# first", "make demo   # says why", "curl a \\", "    -d b", "", "cat > f <<'EOF'", "make nothing", "EOF", "A=b ./x y",
	}}
	want := []command{{11, "make demo   # says why"}, {12, "curl a \\\n    -d b"}, {15, "cat > f <<'EOF'\nmake nothing\nEOF"}, {18, "A=b ./x y"}}
	if got := b.commands(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, text := range []string{"webhooks:", "upstream topics ──▶ intake", "{}", "    result  (why)"} {
		if got := (block{lines: []string{text}}).commands(); got != nil {
			t.Errorf("%q is taken for commands: %v", text, got)
		}
	}
}

// span is code within a line that is a command of the programs'.
var span = regexp.MustCompile("`((?:distributor-(?:bridge|sandbox)|make) [a-z-][^`]*)`")

// spans gives the commands that stand within a document's text.
func spans(t *testing.T, file string) []command {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []command
	for _, at := range span.FindAllSubmatchIndex(raw, -1) {
		text := strings.ReplaceAll(string(raw[at[2]:at[3]]), "\n", " ")
		all = append(all, command{strings.Count(string(raw[:at[2]]), "\n") + 1, text})
	}
	return all
}
