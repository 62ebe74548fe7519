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

// members reads an object. Error: KindBadCatalog when it is not one.
func members(raw json.RawMessage) (all map[string]json.RawMessage, err error) {
	if json.Unmarshal(raw, &all) != nil || all == nil {
		return nil, domain.Errorf(domain.KindBadCatalog, "the catalog holds an object that is none")
	}
	return all, nil
}

// arrange writes an object with the given keys in their order, null for an absent member. Other
// members are left out: an export has only documented fields.
func arrange(all map[string]json.RawMessage, keys []string) json.RawMessage {
	var out bytes.Buffer
	for _, key := range keys {
		if out.Len() > 0 {
			out.WriteByte(',')
		}
		out.Write(encode(key))
		out.WriteByte(':')
		if all[key] == nil {
			out.WriteString("null")
		}
		out.Write(all[key])
	}
	return slices.Concat([]byte{'{'}, out.Bytes(), []byte{'}'})
}

// user gives the conversation's user and the short form of it; nil when the user is unknown.
func user(raw json.RawMessage) (full, brief json.RawMessage, err error) {
	if raw == nil {
		return nil, nil, nil
	}
	all, err := members(raw)
	return arrange(all, userKeys()), arrange(all, userBrief()), err
}

// agent gives the configuration of an agent and the short form of it; nil when it is unknown.
func agent(a *domain.Agent) (full, brief json.RawMessage, err error) {
	if a == nil {
		return nil, nil, nil
	}
	all, err := members(a.Body)
	if err != nil {
		return nil, nil, err
	}
	all["id"] = encode(a.ID)
	return arrange(all, agentKeys()), arrange(all, agentBrief()), nil
}
