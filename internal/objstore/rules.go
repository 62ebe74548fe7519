package objstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // S3 asks for it with a bucket's rules
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
)

const (
	abortRule = "callvault-abort-uploads-" // followed by the prefix
	abortDays = 7

	rulesTimeout = time.Minute
	maxRules     = 4 << 20 // bytes of a bucket's rules; S3 allows 1,000 rules
)

// rules is a bucket's lifecycle configuration. Each rule keeps its text, because minio-go's types
// lack some of the fields that stores have, and rules of others must not change.
type rules struct {
	XMLName xml.Name  `xml:"LifecycleConfiguration"`
	Space   string    `xml:"xmlns,attr"`
	Rules   []ruleXML `xml:"Rule"`
}

type ruleXML struct {
	ID   string `xml:"ID"`
	Text string `xml:",innerxml"`
}

// MarshalXML writes the rule's text.
func (r ruleXML) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	return e.EncodeElement(struct {
		Text string `xml:",innerxml"`
	}{r.Text}, start)
}

// SetRules adds a rule to the archives bucket that ends uploads below prefix after a week, when the
// store accepts such a rule. It deletes no objects, and rules of others do not change.
func (s *Store) SetRules(ctx context.Context, prefix string) error {
	set, err := s.archives.rules(ctx)
	if unsupported(err) {
		return nil
	}
	id := abortRule + prefix
	if err != nil || slices.ContainsFunc(set, func(r ruleXML) bool { return r.ID == id }) {
		return err
	}
	abort := ruleXML{ID: id, Text: fmt.Sprintf("<ID>%s</ID><Status>Enabled</Status><Filter><Prefix>%s/archives/</Prefix></Filter>"+
		"<AbortIncompleteMultipartUpload><DaysAfterInitiation>%d</DaysAfterInitiation></AbortIncompleteMultipartUpload>", id, prefix, abortDays)}
	// MinIO, for example, ends unfinished uploads by itself and refuses the rule.
	if err := s.archives.setRules(ctx, append(set, abort)); err != nil && !unsupported(err) {
		return err
	}
	return nil
}

// Rule is one of a bucket's lifecycle rules, whoever made it.
type Rule struct {
	ID     string
	Prefix string // of the keys that it applies to, whatever other filters it has
	Ends   bool   // it is enabled and deletes objects
	Days   int    // the age at which it deletes; 0: on a date
}

// Rules returns the bucket's lifecycle rules; none when the store has no such rules. Ends is false
// for rules that delete only replaced versions. Error: unavailable, also when the credentials may
// not read them.
func (b *Bucket) Rules(ctx context.Context) ([]Rule, error) {
	text, err := b.lifecycle(ctx, http.MethodGet, nil)
	if unsupported(err) && !forbidden(err) {
		return nil, nil
	}
	if err != nil || text == nil {
		return nil, err
	}
	var config lifecycle.Configuration
	if err := xml.Unmarshal(text, &config); err != nil {
		return nil, b.failure(ctx, "read the rules of", "", err)
	}
	list := make([]Rule, 0, len(config.Rules))
	for _, r := range config.Rules {
		rule := Rule{ID: r.ID, Prefix: cmp.Or(r.RuleFilter.Prefix, r.RuleFilter.And.Prefix, r.Prefix)}
		rule.Days = cmp.Or(int(r.Expiration.Days), r.AllVersionsExpiration.Days)
		rule.Ends = r.Status == "Enabled" && (rule.Days > 0 || !r.Expiration.IsDateNull())
		list = append(list, rule)
	}
	return list, nil
}

func (b *Bucket) rules(ctx context.Context) ([]ruleXML, error) {
	text, err := b.lifecycle(ctx, http.MethodGet, nil)
	if err != nil || text == nil {
		return nil, err
	}
	var set rules
	if err := xml.Unmarshal(text, &set); err != nil {
		return nil, b.failure(ctx, "read the rules of", "", err)
	}
	return set.Rules, nil
}

func (b *Bucket) setRules(ctx context.Context, list []ruleXML) error {
	text, err := xml.Marshal(rules{Space: "http://s3.amazonaws.com/doc/2006-03-01/", Rules: list})
	if err != nil {
		return err
	}
	_, err = b.lifecycle(ctx, http.MethodPut, text)
	return err
}

// lifecycle reads or writes the bucket's rules as text; nil when it has none.
func (b *Bucket) lifecycle(ctx context.Context, method string, text []byte) (answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, rulesTimeout)
	defer cancel()
	verb := map[string]string{http.MethodGet: "read the rules of", http.MethodPut: "set the rules of"}[method]
	header := http.Header{}
	if text != nil {
		sum := md5.Sum(text) //nolint:gosec // no secret depends on it
		header.Set("Content-Md5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	where, err := b.store.core.PresignHeader(ctx, method, b.name, "", rulesTimeout, url.Values{"lifecycle": {""}}, header)
	if err != nil {
		return nil, b.failure(ctx, verb, "", err)
	}
	request, err := http.NewRequestWithContext(ctx, method, where.String(), bytes.NewReader(text))
	if err != nil {
		return nil, b.failure(ctx, verb, "", err)
	}
	request.Header = header
	response, err := (&http.Client{Transport: b.store.cfg.observed(b.store.transports[0])}).Do(request)
	if err != nil {
		return nil, b.failure(ctx, verb, "", err)
	}
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxRules))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, b.failure(ctx, verb, "", err)
	}
	if response.StatusCode/100 == 2 {
		return answer, nil
	}
	refusal := minio.ErrorResponse{StatusCode: response.StatusCode}
	if xml.Unmarshal(answer, &refusal) != nil || refusal.Code == "" {
		refusal.Code = strings.ReplaceAll(http.StatusText(response.StatusCode), " ", "")
	}
	if method == http.MethodGet && refusal.Code == "NoSuchLifecycleConfiguration" {
		return nil, nil
	}
	return nil, b.failure(ctx, verb, "", refusal)
}
