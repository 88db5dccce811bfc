package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"distributor-bridge/internal/config"
	"distributor-bridge/internal/kafka"
)

// kafka looks at brokers, topics and permissions; block is a key because of which that cannot be tried.
func (k *checkup) kafka(ctx context.Context, block string) {
	brokers, topics, permissions := k.areas[areaBrokers], k.areas[areaTopics], k.areas[areaPermissions]
	skip := func(why string, all ...*findings) {
		for _, f := range all {
			f.leftOut(f.area, "%s", why)
			f.end()
		}
	}
	switch {
	case k.offline:
		skip("not looked at: offline", brokers, topics, permissions)
		return
	case block != "":
		skip("not looked at: mend "+block+" first", brokers, topics, permissions)
		return
	}
	client := k.reach(ctx, brokers)
	if client == nil {
		brokers.end()
		skip("not looked at: no broker can be used", topics, permissions)
		return
	}
	defer client.Close()
	limit := answersLimit
	if k.lost { // what needs that broker will not be answered, and the rest is quick
		limit /= 4
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var parts errgroup.Group
	parts.Go(func() error { defer brokers.end(); k.brokers(ctx, brokers, client); return nil })
	parts.Go(func() error { defer topics.end(); k.topics(ctx, topics, client); return nil })
	parts.Go(func() error { defer permissions.end(); k.permissions(ctx, permissions, client); return nil })
	_ = parts.Wait() // they give no errors
}

// answersLimit is how long brokers may take for all questions together.
const answersLimit = 12 * time.Second

// knockLimit is how long one broker may take: longer than a slow handshake, and short enough for dead ones beside good ones.
const knockLimit = 5 * time.Second

// reach knocks at all brokers side by side, those that are given and those that they announce, and gives a client of those that
// can be used; nil if there are none.
func (k *checkup) reach(ctx context.Context, f *findings) *kafka.Client {
	cfg, err := k.cfg.kafkaConfig()
	if err != nil { // Validate has told it
		return nil
	}
	given := k.knockAll(ctx, cfg, k.cfg.Kafka.Brokers)
	announced := map[int]string{}
	var usable []string
	var first *kafka.Knock
	for _, address := range k.cfg.Kafka.Brokers {
		if knock := given[address]; knock.Stage == kafka.StageOpen {
			usable = append(usable, address)
			maps.Copy(announced, knock.Brokers)
			first = &knock
		}
	}
	for _, address := range k.cfg.Kafka.Brokers {
		switch knock := given[address]; {
		case knock.Stage == kafka.StageOpen, slices.Contains(slices.Collect(maps.Values(announced)), address):
		case first != nil:
			w := k.cfg.ofKnock(knock)
			f.warn("kafka.brokers: "+address, w.mend, "%s; the others answer", w.text)
		default:
			w := k.cfg.ofKnock(knock)
			f.wrong("kafka.brokers: "+address, w.mend, "%s", w.text)
		}
	}
	if first == nil {
		return nil
	}
	k.announced(ctx, f, cfg, given, announced)
	f.good("kafka.brokers", "%s; %s", counted(len(announced), "broker of the cluster", "brokers of the cluster"), k.cfg.how(first))
	cfg.Brokers, cfg.Topics, cfg.Timeout = usable, k.cfg.Topics.all(), knockLimit
	client, err := kafka.New(cfg)
	if err != nil {
		f.wrong("kafka", "", "%v", err)
		return nil
	}
	return client
}

// announced knocks at brokers that only the cluster has named: clients have to reach each of them.
func (k *checkup) announced(ctx context.Context, f *findings, cfg kafka.Config, given map[string]kafka.Knock, all map[int]string) {
	var others []string
	for _, address := range all {
		if _, known := given[address]; !known {
			others = append(others, address)
		}
	}
	knocks := k.knockAll(ctx, cfg, others)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		knock, asked := knocks[all[id]]
		if !asked {
			knock = given[all[id]]
		}
		if knock.Stage != kafka.StageOpen {
			k.lost = true
			w := k.cfg.ofKnock(knock)
			if !errors.Is(knock.Err, errReadable) {
				w.mend = "let it announce an address that can be reached from here (advertised.listeners)"
			}
			f.wrong(fmt.Sprintf("broker %d", id), w.mend, "the cluster says that it is at %s: %s", all[id], w.text)
		}
	}
}

func (k *checkup) knockAll(ctx context.Context, cfg kafka.Config, addresses []string) map[string]kafka.Knock {
	ctx, cancel := context.WithTimeout(ctx, knockLimit)
	defer cancel()
	var (
		mu     sync.Mutex
		knocks = make(map[string]kafka.Knock, len(addresses))
		all    errgroup.Group
	)
	all.SetLimit(32)
	for _, address := range addresses {
		all.Go(func() error {
			knock := cfg.Knock(ctx, address)
			mu.Lock()
			defer mu.Unlock()
			knocks[address] = knock
			return nil
		})
	}
	_ = all.Wait() // they give no errors
	return knocks
}

// how tells how brokers are spoken to.
func (c *Config) how(k *kafka.Knock) string {
	parts := []string{"without TLS"}
	if k.TLS != nil {
		parts[0] = tls.VersionName(k.TLS.Version)
		if c.Kafka.TLS.CertFile != "" {
			parts[0] += " with our certificate"
		}
	}
	if s := c.Kafka.SASL; s.Mechanism != "" {
		parts = append(parts, s.Mechanism+" as "+s.User)
	}
	return strings.Join(parts, ", ")
}

// brokers looks at what brokers can do, and at their limits.
func (k *checkup) brokers(ctx context.Context, f *findings, client *kafka.Client) {
	c := k.cfg
	if c.Kafka.SASL.Mechanism == "PLAIN" && !c.Kafka.TLS.Enabled && slices.ContainsFunc(c.Kafka.Brokers, remote) {
		f.warn("kafka.sasl.mechanism", "set kafka.tls.enabled: true, or use SCRAM-SHA-512", "PLAIN without TLS sends the password readably")
	}
	if err := client.CheckVersions(ctx); err != nil {
		f.wrong("brokers' version", "use Apache Kafka 2.5 or newer", "%v", err)
	}
	limits, err := client.BrokerSettings(ctx, kafka.LeastSession, kafka.MostSession)
	switch {
	case err != nil:
		k.failed(f, "group.session", "the brokers' limits could not be read", err)
		return
	case limits == nil:
		f.leftOut("group.session", "not compared with the brokers' limits, which may not be read (DESCRIBE_CONFIGS on the cluster)")
		return
	}
	session := config.FormatDuration(c.Group.Session)
	for _, name := range []string{kafka.LeastSession, kafka.MostSession} {
		ms, err := strconv.ParseInt(limits[name], 10, 64)
		if err != nil {
			continue
		}
		limit := time.Duration(ms) * time.Millisecond
		if name == kafka.LeastSession && c.Group.Session < limit {
			f.wrong("group.session", "set it to "+config.FormatDuration(limit)+" or more",
				"%s is below the brokers' %s, %s", session, name, config.FormatDuration(limit))
			return
		}
		if name == kafka.MostSession && c.Group.Session > limit {
			f.wrong("group.session", "set it to "+config.FormatDuration(limit)+" or less",
				"%s is above the brokers' %s, %s", session, name, config.FormatDuration(limit))
			return
		}
	}
	f.good("group.session", "%s is within the brokers' limits", session)
}

// counted gives "1 broker", "2 brokers".
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
