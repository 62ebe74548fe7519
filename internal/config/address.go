package config

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// URLs of the catalog and the queue may hold passwords, so no message repeats them.

func readDatabase(text string, tag *kong.Tag) (any, error) {
	if path, ok := strings.CutPrefix(text, "sqlite://"); ok {
		if !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || strings.Contains(path, "?") {
			return nil, errors.New("the SQLite URL names no file; use an absolute path, such as sqlite:///var/lib/callvault/catalog.db")
		}
		return Secret(text), nil
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || (u.Host == "" && u.Query().Get("host") == "") {
		return nil, errors.New("not the URL of a database; use one such as " + tag.Get("eg") + " or sqlite:///path")
	}
	if strings.Trim(u.Path, "/") == "" && u.Query().Get("dbname") == "" {
		return nil, errors.New("names no database; use a URL such as " + tag.Get("eg"))
	}
	return Secret(text), nil
}

func readRedis(text string, tag *kong.Tag) (any, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("not the URL of a Redis; use one such as " + tag.Get("eg"))
	}
	number := strings.Trim(u.Path, "/")
	switch u.Scheme {
	case "redis", "rediss":
		if u.Hostname() == "" {
			return nil, errors.New("names no host; use a URL such as " + tag.Get("eg"))
		}
	case "redis-sentinel":
		if u.Host == "" || u.Query().Get("master") == "" {
			return nil, errors.New("names no master; use redis-sentinel://host:26379,host:26379?master=name")
		}
	default:
		return nil, errors.New("not the URL of a Redis; use one such as " + tag.Get("eg") + ", or rediss:// or redis-sentinel://")
	}
	if number != "" {
		if n, err := strconv.Atoi(number); err != nil || n < 0 {
			return nil, errors.New("the path is not the number of a database; use a URL such as " + tag.Get("eg"))
		}
	}
	return Secret(text), nil
}
