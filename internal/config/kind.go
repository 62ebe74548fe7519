package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	humanize "github.com/dustin/go-humanize"

	"github.com/callvault/callvault/internal/domain"
)

// A reader turns the text of a setting into its field's value. Its error says what is wrong and
// what would be right. It repeats the text only if that is no secret.
type reader func(text string, tag *kong.Tag) (any, error)

// readers are the kinds of values, by the name in the type tag.
func readers() map[string]reader {
	return map[string]reader{
		"text":       func(text string, _ *kong.Tag) (any, error) { return text, nil },
		"secret":     func(text string, _ *kong.Tag) (any, error) { return Secret(text), nil },
		"longsecret": readLongSecret,
		"choice":     readChoice,
		"switch":     readSwitch,
		"whole":      readWhole,
		"size":       readSize,
		"duration":   readDuration,
		"schedule":   readSchedule,
		"listen":     readListen,
		"bucket":     readBucket,
		"prefix":     readPrefix,
		"endpoint":   readEndpoint,
		"publicurl":  readPublicURL,
		"origins":    readOrigins,
		"networks":   readNetworks,
		"database":   readDatabase,
		"redis":      readRedis,
	}
}

// readLongSecret reads a secret that is too long to be guessed.
func readLongSecret(text string, tag *kong.Tag) (any, error) {
	if len(text) < 32 {
		return nil, fmt.Errorf("shorter than 32 characters, so that it could be guessed; use %s", tag.Get("eg"))
	}
	return Secret(text), nil
}

func readChoice(text string, tag *kong.Tag) (any, error) {
	choices := strings.Fields(tag.Get("oneof"))
	for _, c := range choices {
		if strings.EqualFold(c, text) {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%q is not known; use %s", text, strings.Join(choices, ", "))
}

func readSwitch(text string, _ *kong.Tag) (any, error) {
	switch strings.ToLower(text) {
	case "on", "true", "yes", "1":
		return true, nil
	case "off", "false", "no", "0":
		return false, nil
	}
	return nil, fmt.Errorf("%q is neither on nor off; use on or off", text)
}

func readWhole(text string, tag *kong.Tag) (any, error) {
	use := "use " + tag.Get("min") + " to " + tag.Get("max")
	n, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not a whole number; %s", text, use)
	}
	least, most, err := bounds(tag, strconv.Atoi)
	if err != nil {
		return nil, err
	}
	if n < least || n > most {
		return nil, fmt.Errorf("%d is out of range; %s", n, use)
	}
	return n, nil
}

func parseSize(text string) (int64, error) {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return 0, errors.New("not a size")
	}
	return int64(n), nil
}

func readSize(text string, tag *kong.Tag) (any, error) {
	use := "use " + tag.Get("min") + " to " + tag.Get("max")
	n, err := parseSize(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not a size such as 64MiB; %s", text, use)
	}
	least, most, err := bounds(tag, parseSize)
	if err != nil {
		return nil, err
	}
	if n < least || n > most {
		return nil, fmt.Errorf("%q is out of range; %s", text, use)
	}
	return n, nil
}

func readDuration(text string, tag *kong.Tag) (any, error) {
	least, most, err := bounds(tag, ParseDuration)
	if err != nil {
		return nil, err
	}
	use := "use " + shortDuration(least) + " to " + shortDuration(most)
	d, err := ParseDuration(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not a duration such as 90s, 6h or 7d; %s", text, use)
	case d < least:
		return nil, fmt.Errorf("%q is shorter than %s; %s", text, boundText(tag.Get("min"), least), use)
	case d > most:
		return nil, fmt.Errorf("%q is longer than %s; %s", text, boundText(tag.Get("max"), most), use)
	}
	return d, nil
}

func readSchedule(text string, tag *kong.Tag) (any, error) {
	if _, err := ParseSchedule(text); err != nil {
		return nil, fmt.Errorf("%q %w; use minute, hour, day, month and weekday in UTC, such as %q", text, err, tag.Default)
	}
	return text, nil
}

func readListen(text string, tag *kong.Tag) (any, error) {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return nil, fmt.Errorf("%q is not an address to listen on; use host:port, such as %s", text, tag.Get("eg"))
	}
	return text, nil
}

// bucketName matches names that every S3 accepts. It leaves out dots, which break TLS with virtual
// hosts.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

func readBucket(text string, tag *kong.Tag) (any, error) {
	if !bucketName.MatchString(text) {
		return nil, fmt.Errorf("%q is not a bucket name; use 3 to 63 of a-z, 0-9 and -, such as %s", text, tag.Default)
	}
	return text, nil
}

func readPrefix(text string, _ *kong.Tag) (any, error) {
	if err := domain.CheckArchivesPrefix(text); err != nil {
		return nil, errors.New(domain.SafeMessage(err))
	}
	return text, nil
}

// webURL parses an http or https URL that has a host and no user, query or fragment.
func webURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		return nil, errors.New("is not an http or https URL")
	case u.User != nil:
		return nil, errors.New("holds a user name, which does not belong there")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("holds a query or fragment, which does not belong there")
	}
	return u, nil
}

func readPublicURL(text string, tag *kong.Tag) (any, error) {
	if _, err := webURL(text); err != nil {
		return nil, fmt.Errorf("%s %w; use one such as %s", quoteURL(text), err, tag.Get("eg"))
	}
	return strings.TrimRight(text, "/"), nil
}

func readEndpoint(text string, tag *kong.Tag) (any, error) {
	u, err := webURL(text)
	if err == nil && strings.Trim(u.Path, "/") != "" {
		err = errors.New("holds a path; the buckets have variables of their own")
	}
	if err != nil {
		return nil, fmt.Errorf("%s %w; use one such as %s", quoteURL(text), err, tag.Get("eg"))
	}
	return u.Scheme + "://" + u.Host, nil
}

// quoteURL quotes a URL for a message, but not one that may hold a password by mistake.
func quoteURL(text string) string {
	if strings.Contains(text, "@") {
		return "the URL"
	}
	return strconv.Quote(text)
}

func readOrigins(text string, tag *kong.Tag) (any, error) {
	var origins []string
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		u, err := webURL(part)
		if err != nil || u.Path != "" {
			return nil, fmt.Errorf("%q is not an origin; use scheme://host, comma between, such as %s", part, tag.Get("eg"))
		}
		origins = append(origins, strings.ToLower(part))
	}
	return origins, nil
}

func readNetworks(text string, tag *kong.Tag) (any, error) {
	var networks []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		network, err := netip.ParsePrefix(part)
		if addr, bare := netip.ParseAddr(part); bare == nil {
			network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("%q is neither an address nor a network; use some of either, comma between, such as %s", part, tag.Get("eg"))
		case network.Addr().Is4In6():
			return nil, fmt.Errorf("%q is an IPv4 network in the form of IPv6; write it as IPv4, such as 10.0.0.0/8", part)
		case network.Bits() == 0:
			return nil, fmt.Errorf("%q is every address, so that anybody could claim to be anybody; name the proxies alone, such as %s", part, tag.Get("eg"))
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// bounds parses the min and max tags.
func bounds[T int | int64 | time.Duration](tag *kong.Tag, parse func(string) (T, error)) (least, most T, err error) {
	if least, err = parse(tag.Get("min")); err != nil {
		return 0, 0, fmt.Errorf("the setting's own lower bound is broken: %w", err)
	}
	if most, err = parse(tag.Get("max")); err != nil {
		return 0, 0, fmt.Errorf("the setting's own upper bound is broken: %w", err)
	}
	return least, most, nil
}
