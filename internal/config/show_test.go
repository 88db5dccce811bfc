package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"distributor-bridge/internal/config"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, secret := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	const text = "kafka:\n  brokers: [a, 'b, c: d']\n  password_file: SECRET\nsource: '007'\noffers: {bond.2026: {campaign: '1'}}\n"
	if err := os.WriteFile(file, []byte(strings.Replace(text, "SECRET", secret, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	read := func() (*settings, []config.Setting) {
		s := defaults()
		origins, err := config.Read(s, file, []string{"APP_LIMIT=5"}, "APP_")
		if err != nil {
			t.Fatal(err)
		}
		list, err := config.Settings(s, origins)
		if err != nil {
			t.Fatal(err)
		}
		return s, list
	}
	s, list := read()
	from := map[string]string{}
	for _, l := range list {
		from[l.Key()] = strings.ReplaceAll(l.From, dir+"/", "")
	}
	want := map[string]string{
		"kafka.brokers": "config.yaml:2", "kafka.client_id": "default", "kafka.password": "kafka.password_file",
		"kafka.password_file": "config.yaml:3", "kafka.tls": "default", "wait": "default", "limit": "APP_LIMIT", "share": "default",
		"source": "config.yaml:4", "offers.bond.2026.campaign": "config.yaml:5", "offers.bond.2026.product": "default",
	}
	if !reflect.DeepEqual(from, want) {
		t.Errorf("got  %v\nwant %v", from, want)
	}
	i := slices.IndexFunc(list, func(l config.Setting) bool { return l.Key() == "kafka.password" })
	if p := list[i]; p.Value != nil || !p.Secret || !p.Set {
		t.Errorf("the secret: %+v", p)
	}

	// What is printed is the same configuration again.
	printed, err := config.YAML(list)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(printed), "hunter2") {
		t.Error("a secret is printed")
	}
	if err := os.WriteFile(file, printed, 0o600); err != nil {
		t.Fatal(err)
	}
	if again, _ := read(); !reflect.DeepEqual(again, s) {
		t.Errorf("got  %#v\nwant %#v\nof\n%s", again, s, printed)
	}
}

func TestFormatDuration(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"30d": 30 * 24 * time.Hour, "1d12h": 36 * time.Hour, "1h": time.Hour, "1h0m5s": time.Hour + 5*time.Second, "1m30s": 90 * time.Second, "0s": 0,
		"500ms": 500 * time.Millisecond, "10m": 10 * time.Minute, "-1h": -time.Hour,
	} {
		if got := config.FormatDuration(d); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(50_000*24*time.Hour)).Draw(t, "d"))
		text := config.FormatDuration(d)
		if got, err := config.Duration(text); err != nil || got != d {
			t.Errorf("%s became %s, which is read as %s, %v", d, text, got, err)
		}
	})
}
