package exports

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/callvault/callvault/internal/domain"
)

// userKeys are the keys of a user, in the order of the wire.
func userKeys() []string { return []string{"id", "name", "email", "phone", "company"} }

// userBrief are the keys of a user beside transcript and analysis.
func userBrief() []string { return []string{"id", "name", "email"} }

// agentKeys are the keys of an agent's configuration, in the order of the wire.
func agentKeys() []string {
	return []string{"id", "name", "description", "model", "stt", "agentArchitecture", "realtimeProvider", "enabledFunctions",
		"functionCallingEnabled", "enabledCustomFunctions", "greetingMessage", "greetingType", "temperature", "enabledPronunciations",
		"postCallAnalysisModel", "category", "mode", "inactivityTimeout"}
}

// agentBrief are the keys of an agent beside its analysis.
func agentBrief() []string { return []string{"id", "name", "description", "model"} }

// member is one field of an object. Its value is JSON as it was ingested.
type member struct {
	name  string
	value json.RawMessage
}

// members reads an object. Error: KindBadCatalog when it is not one.
func members(raw json.RawMessage) ([]member, error) {
	broken := domain.Errorf(domain.KindBadCatalog, "the catalog holds an object that is none")
	d := json.NewDecoder(bytes.NewReader(raw))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, broken
	}
	var list []member
	for d.More() {
		token, err := d.Token()
		name, isName := token.(string)
		var value json.RawMessage
		if err != nil || !isName || d.Decode(&value) != nil {
			return nil, broken
		}
		list = append(list, member{name, value})
	}
	return list, nil
}

// arrange writes an object with the given keys in their order, null for an absent member. Other
// members are left out: an export has only documented fields.
func arrange(list []member, keys []string) json.RawMessage {
	values := make(map[string]json.RawMessage, len(list))
	for _, m := range list {
		values[m.name] = m.value
	}
	var out bytes.Buffer
	for _, key := range keys {
		if out.Len() > 0 {
			out.WriteByte(',')
		}
		out.Write(encode(key))
		out.WriteByte(':')
		if values[key] == nil {
			out.WriteString("null")
		}
		out.Write(values[key])
	}
	return slices.Concat([]byte{'{'}, out.Bytes(), []byte{'}'})
}

// user gives the conversation's user and the short form of it; nil when the user is unknown.
func user(raw json.RawMessage) (full, brief json.RawMessage, err error) {
	if raw == nil {
		return nil, nil, nil
	}
	list, err := members(raw)
	if err != nil {
		return nil, nil, err
	}
	return arrange(list, userKeys()), arrange(list, userBrief()), nil
}

// agent gives the configuration of an agent and the short form of it; nil when it is unknown.
func agent(a *domain.Agent) (full, brief json.RawMessage, err error) {
	if a == nil {
		return nil, nil, nil
	}
	list, err := members(a.Body)
	if err != nil {
		return nil, nil, err
	}
	list = slices.DeleteFunc(list, func(m member) bool { return m.name == "id" })
	list = append(list, member{"id", encode(a.ID)})
	return arrange(list, agentKeys()), arrange(list, agentBrief()), nil
}
