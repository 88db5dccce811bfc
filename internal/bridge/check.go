package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"distributor-bridge/internal/config"
)

// Level is what a Finding says of its thing.
type Level string

// The levels.
const (
	Good    Level = "good"
	Warning Level = "warning"  // the bridge works, but not for ever, or not as safely as it could
	Wrong   Level = "wrong"    // the bridge does not work, or loses what it promises
	LeftOut Level = "left_out" // it could not be looked at, or was not to be
)

// Finding is what Check has found out about one thing: a line for an operator. It holds no secret.
type Finding struct {
	Level Level
	Area  string // configuration, files, brokers, topics, permissions or api
	About string // a key, a file, a topic …
	Text  string // how it is
	Mend  string // what to do; empty if there is nothing to do, or Text says it
}

// CheckOptions say what of a Check is to be done.
type CheckOptions struct {
	// Problems is what config.Load has said. They are among the findings, and what they have to do with is left out.
	Problems error
	// Offline opens no connection.
	Offline bool
	// File is the configuration's file, and Origins says what is given there: a secret in a file that others can read is warned of.
	File    string
	Origins config.Origins
}

// Check looks whether all that a bridge needs is there and fits: files, brokers, topics, permissions, the API. It tells everything
// that it finds, area by area, and returns when it is done, shortly after ctx has ended at the latest.
//
// It can be used beside a running deployment: it joins no group, writes no record, commits nothing, takes no transactional ID,
// creates nothing and calls nothing of the API that has an effect. It fetches a token.
func Check(ctx context.Context, c Config, o CheckOptions, report func(Finding)) {
	c.Log = zerolog.Nop()
	k := &checkup{cfg: &c, offline: o.Offline, file: o.File, origins: o.Origins}
	for _, area := range []string{"configuration", "files", "brokers", "topics", "permissions", "api"} {
		k.areas = append(k.areas, &findings{area: area, done: make(chan struct{})})
	}
	var all errgroup.Group
	problems := located(o.Problems)
	all.Go(func() error { k.local(problems); return nil })
	all.Go(func() error { k.kafka(ctx, blocked(problems, "kafka", "topics", "group")); return nil })
	all.Go(func() error { k.api(ctx, blocked(problems, "api")); return nil })
	for _, f := range k.areas {
		<-f.done
		for _, finding := range f.list {
			report(finding)
		}
	}
	_ = all.Wait() // they give no errors
}

// checkup is a Check under way.
type checkup struct {
	cfg     *Config
	offline bool
	file    string
	origins config.Origins
	areas   []*findings

	lost bool // a broker of the cluster cannot be reached: answers that do not come are no news
}

// The areas, by their place among checkup.areas.
const (
	areaConfiguration = iota
	areaFiles
	areaBrokers
	areaTopics
	areaPermissions
	areaAPI
)

// findings are those of one area, gathered by one goroutine and told when it is done with them.
type findings struct {
	area    string
	offline bool // a file that is not here may be where the bridge runs
	list    []Finding
	done    chan struct{}
}

func (f *findings) end() { close(f.done) }

func (f *findings) add(level Level, about, mend, format string, args ...any) {
	f.list = append(f.list, Finding{Level: level, Area: f.area, About: about, Text: fmt.Sprintf(format, args...), Mend: mend})
}

func (f *findings) good(about, format string, args ...any) { f.add(Good, about, "", format, args...) }

func (f *findings) warn(about, mend, format string, args ...any) {
	f.add(Warning, about, mend, format, args...)
}

func (f *findings) wrong(about, mend, format string, args ...any) {
	f.add(Wrong, about, mend, format, args...)
}

func (f *findings) leftOut(about, format string, args ...any) {
	f.add(LeftOut, about, "", format, args...)
}

// tells says whether these findings tell of a problem already: what is in a file that cannot be used is missing.
func (f *findings) tells(p config.Problem) bool {
	section := p.Key[:max(0, strings.LastIndexByte(p.Key, '.'))]
	for _, finding := range f.list {
		switch about := finding.About; {
		case finding.Level != Wrong && finding.Level != LeftOut || p.Key == "":
		case about == p.Key+"_file" && p.Key != "traces.headers",
			p.Key == "webhooks" && strings.HasPrefix(about, "webhooks."),
			aboutFile(p.Key) && strings.HasPrefix(about, section+"."):
			return true
		}
	}
	return false
}

// local is what needs no connection: the configuration, and the files that it names.
func (k *checkup) local(problems []config.Located) {
	configuration, files := k.areas[areaConfiguration], k.areas[areaFiles]
	defer configuration.end()
	defer files.end()
	files.offline = k.offline
	k.files(files)
	problems = slices.DeleteFunc(slices.Clone(problems), func(p config.Located) bool {
		return files.tells(p.Problem) // in better words
	})
	for _, p := range problems {
		about, text := p.Key, p.Text
		if about == "" {
			about, text = "configuration", p.Error()
		} else if p.Where != "" {
			about += " (" + p.Where + ")"
		}
		configuration.wrong(about, advice(p.Problem), "%s", text)
	}
	if len(problems) == 0 {
		configuration.good("configuration", "every key is known, and the values fit each other")
	}
	if blocked(problems) == "" { // else what is looked at may not be what is meant
		k.rules(configuration)
	}
}

// rules warns of settings that are allowed and rarely meant.
func (k *checkup) rules(f *findings) {
	c := k.cfg
	if len(c.Offerings) == 0 {
		f.warn("offerings", "name what upstream sells, with campaign and product",
			"none is given: every order is rejected as unknown_offering")
	}
	lacking := slices.DeleteFunc(Default().API.Scopes, func(s string) bool { return slices.Contains(c.API.Scopes, s) })
	if len(lacking) > 0 && len(c.API.Scopes) > 0 {
		f.warn("api.scopes", "add what is lacking",
			"lacks %s: calls that need it are answered by 403, which stops everything", strings.Join(lacking, ", "))
	}
	if c.Topics.MinInsyncReplicas == 1 && c.Topics.Replication != 1 {
		f.warn("topics.min_insync_replicas", "set it to 2", "is 1: a broker that dies may take acknowledged events with it")
	}
}

// located gives the problems that Load has joined.
func located(err error) []config.Located {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []config.Located
		for _, e := range joined.Unwrap() {
			all = append(all, located(e)...)
		}
		return all
	}
	var l config.Located
	var p config.Problem
	switch {
	case errors.As(err, &l):
	case errors.As(err, &p): // of Validate alone
		l.Problem = p
	default:
		l.Text = err.Error()
	}
	return []config.Located{l}
}

// blocked gives the key of a problem for which nothing can be tried that needs one of the sections; empty for none.
func blocked(problems []config.Located, sections ...string) string {
	for _, p := range problems {
		if p.Key == "" {
			return "the configuration"
		}
		for _, s := range sections {
			if p.Key == s || strings.HasPrefix(p.Key, s+".") {
				return p.Key
			}
		}
	}
	return ""
}

// advice says how to mend a problem whose text does not say it.
func advice(p config.Problem) string {
	switch {
	case strings.Contains(p.Text, "did you mean"), strings.Contains(p.Text, "want "), strings.Contains(p.Text, "give one of them"),
		strings.Contains(p.Text, "such as"):
		return ""
	case strings.Contains(p.Text, "unknown key"), strings.Contains(p.Text, "unknown variable"):
		return "take it out: deploy/config.example.yaml shows every key"
	case p.Key == "":
		return ""
	case strings.HasPrefix(p.Text, "client_secret, "): // of a section: no variable has its name
		return "write it to a file and name that in api.client_secret_file, or set DISTRIBUTOR_API_CLIENT_SECRET"
	case strings.HasSuffix(p.Text, "without a mechanism"):
		return "give kafka.sasl.mechanism, or take the others out"
	case p.Key == "kafka.sasl.password":
		return "write it to a file and name that in kafka.sasl.password_file, or set DISTRIBUTOR_KAFKA_SASL_PASSWORD"
	case p.Key == "webhooks":
		return "give webhooks.token_file, or webhooks.client_id and client_secret_file"
	case strings.Contains(p.Text, "given twice"):
		return "keep one of the two"
	case p.Key == "api.base_url" && strings.HasPrefix(p.Text, "http is only allowed"):
		return "give its https:// address"
	case strings.Contains(p.Text, "required"), strings.Contains(p.Text, "missing"), strings.Contains(p.Text, "is needed"):
		return "set it, in the file or as DISTRIBUTOR_" + strings.ToUpper(strings.ReplaceAll(p.Key, ".", "_"))
	}
	for _, other := range []string{" kafka.", " group.", " topics.", " api.", " rules.", " webhooks."} {
		if strings.Contains(p.Text, other) {
			return "change one of the two"
		}
	}
	return "change it: deploy/config.example.yaml says what it does"
}
