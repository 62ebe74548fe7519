package exports

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/domain"
)

// request is a decoded request.
type request struct {
	conversation                    string
	transcript, analysis, recording bool
}

// values are a body's fields: JSON values, or texts of a form.
type values struct {
	json  map[string][]json.RawMessage
	texts map[string][]string
}

// decode reads the body. Errors: KindInvalid, which names the field, KindTooLarge and
// KindUnavailable.
func (h *handler) decode(w http.ResponseWriter, r *http.Request, who caller) (request, error) {
	bytes := r.ContentLength
	if bytes < 0 {
		bytes = web.MaxBody // it is not known
	}
	hold, err := h.deps.Budget.Acquire(who.tenant, who.actor, min(bytes, web.MaxBody))
	if err != nil {
		return request{}, err
	}
	defer hold.Release()
	body, err := hold.Read(w, func() ([]byte, error) { return web.Body(r, web.MaxBody) })
	if err != nil {
		return request{}, err
	}
	v, err := parse(r.Header.Values("Content-Type"), body)
	if err != nil {
		return request{}, err
	}
	req := request{}
	if req.conversation, err = v.id("conversationId"); err != nil {
		return req, err
	}
	for _, field := range []struct {
		name string
		to   *bool
	}{{"includeTranscript", &req.transcript}, {"includeAnalysis", &req.analysis}, {"includeRecording", &req.recording}} {
		if *field.to, err = v.boolean(field.name, true); err != nil {
			return req, err
		}
	}
	return req, nil
}

func invalid(format string, args ...any) error {
	return domain.Errorf(domain.KindInvalid, format, args...)
}

// parse reads a body by its content type, which is JSON when absent.
func parse(types []string, body []byte) (values, error) {
	if len(types) > 1 {
		return values{}, invalid("Content-Type must be given once")
	}
	kind, params := "application/json", map[string]string{}
	if len(types) == 1 && types[0] != "" {
		var err error
		if kind, params, err = mime.ParseMediaType(types[0]); err != nil {
			return values{}, invalid("Content-Type can't be read")
		}
	}
	switch kind {
	case "application/json":
		return parseJSON(body)
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return values{}, invalid("the body is not valid application/x-www-form-urlencoded")
		}
		return values{texts: form}, nil
	case "multipart/form-data":
		return parseMultipart(body, params["boundary"])
	}
	return values{}, invalid("Content-Type must be application/json, application/x-www-form-urlencoded or multipart/form-data")
}

func parseJSON(body []byte) (values, error) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return values{}, invalid("the body is not valid JSON")
	}
	v := values{json: map[string][]json.RawMessage{}}
	d := json.NewDecoder(bytes.NewReader(body))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return values{}, invalid("the body must be a JSON object")
	}
	for d.More() {
		token, err := d.Token()
		name, _ := token.(string)
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return values{}, invalid("the body is not valid JSON")
		}
		v.json[name] = append(v.json[name], value)
	}
	return v, nil
}

func parseMultipart(body []byte, boundary string) (values, error) {
	broken := invalid("the body is not valid multipart/form-data")
	if boundary == "" || !bytes.Contains(body, []byte("--"+boundary)) { // the reader would find no parts and no error
		return values{}, broken
	}
	v := values{texts: map[string][]string{}}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return v, nil
		}
		if err != nil {
			return values{}, broken
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return values{}, broken
		}
		name := part.FormName()
		if part.FileName() != "" && known(name) {
			return values{}, invalid("%s must be a text, not a file", name)
		}
		v.texts[name] = append(v.texts[name], string(text))
	}
}

func known(name string) bool {
	switch name {
	case "conversationId", "includeTranscript", "includeAnalysis", "includeRecording":
		return true
	}
	return false
}

// single gives a field's only value, as JSON or as a form's text.
func (v values) single(name string) (value json.RawMessage, text string, given bool, err error) {
	list, texts := v.json[name], v.texts[name]
	switch len(list) + len(texts) {
	case 0:
		return nil, "", false, nil
	case 1:
	default:
		return nil, "", true, invalid("%s must be given once", name)
	}
	if len(list) == 1 {
		return list[0], "", true, nil
	}
	return nil, texts[0], true, nil
}

func (v values) id(name string) (string, error) {
	value, text, given, err := v.single(name)
	switch {
	case err != nil:
		return "", err
	case !given:
		return "", invalid("%s is required", name)
	case value != nil && (value[0] != '"' || json.Unmarshal(value, &text) != nil):
		return "", invalid("%s must be a string", name)
	case text == "":
		return "", invalid("%s must not be empty", name)
	case len(text) > domain.MaxIDBytes:
		return "", invalid("%s is longer than %d bytes", name, domain.MaxIDBytes)
	case !web.ValidText(text):
		return "", invalid("%s is not valid text", name)
	}
	return text, nil
}

func (v values) boolean(name string, fallback bool) (bool, error) {
	value, text, given, err := v.single(name)
	switch {
	case err != nil:
		return false, err
	case !given:
		return fallback, nil
	case value != nil: // in JSON no text is a boolean
		switch string(value) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return false, invalid("%s must be a boolean", name)
	}
	switch strings.ToLower(text) {
	case "true", "1", "on", "yes":
		return true, nil
	case "false", "0", "off", "no":
		return false, nil
	}
	return false, invalid("%s must be true or false", name)
}
