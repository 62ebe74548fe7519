package queue

import (
	"slices"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/domain"
)

func TestParseURL(t *testing.T) {
	single, err := parseURL("rediss://ada:s3cret@cache.example.com:6380/4")
	if err != nil {
		t.Fatal(err)
	}
	o := single.single
	if o.Addr != "cache.example.com:6380" || o.Username != "ada" || o.Password != "s3cret" || o.DB != 4 || o.TLSConfig == nil {
		t.Errorf("rediss gave %s %s %d", o.Addr, o.Username, o.DB)
	}

	many, err := parseURL("redis-sentinel://:s3cret@one:26379,two,[::1]:26380/2?master=main&sentinel_password=other&tls=true")
	if err != nil {
		t.Fatal(err)
	}
	s := many.sentinel
	if !slices.Equal(s.SentinelAddrs, []string{"one:26379", "two:26379", "[::1]:26380"}) || s.MasterName != "main" ||
		s.Password != "s3cret" || s.SentinelPassword != "other" || s.DB != 2 || s.TLSConfig == nil {
		t.Errorf("redis-sentinel gave %v %s %d", s.SentinelAddrs, s.MasterName, s.DB)
	}
}

func TestParseURLRefuses(t *testing.T) {
	for _, url := range []string{
		"", "localhost:6379", "http://:hunter2@localhost", "redis://:hunter2@localhost:port", "redis://:hunter2@localhost/first",
		"redis-sentinel://:hunter2@one", "redis-sentinel://:hunter2@one/0", "redis-sentinel://:hunter2@/?master=m",
		"redis-sentinel://:hunter2@one,,two/?master=m", "redis-sentinel://:hunter2@one/x?master=m", "redis-sentinel://:hunter2@one/%zz?master=m",
	} {
		_, err := parseURL(url)
		if domain.KindOf(err) != domain.KindInvalid {
			t.Errorf("%q gave %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error shows the password: %v", url, err)
		}
	}
}

func TestMemory(t *testing.T) {
	info := map[string]string{}
	parseInfo("# Memory\r\nused_memory:750\r\nused_memory_human:750B\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n", info)
	m := memoryOf(info)
	if m != (Memory{Used: 750, Max: 1000, Policy: "allkeys-lru"}) {
		t.Fatalf("parsed %+v", m)
	}
	if domain.KindOf(m.Check()) != domain.KindInvalid || !m.Alarm() {
		t.Errorf("an evicting, filling Redis passes: %v, alarm %v", m.Check(), m.Alarm())
	}
	fine := Memory{Used: 700, Max: 1000, Policy: "noeviction"}
	if fine.Check() != nil || fine.Alarm() || (Memory{Used: 1 << 40}).Alarm() || (Memory{}).Check() != nil {
		t.Error("a sound Redis is complained about")
	}
}
