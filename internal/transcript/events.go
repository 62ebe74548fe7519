package transcript

import "encoding/json"

// events are the ids of the items that events of a realtime session contained. Several events
// contain the same item.
type events map[string]bool

// first says whether this is the first event with the item. A turn that is no event has no id, and
// is always the first.
func (e *events) first(id string) bool {
	if id == "" {
		return true
	}
	if *e == nil {
		*e = events{}
	}
	seen := (*e)[id]
	(*e)[id] = true
	return !seen
}

// item returns the item in an event of a realtime session, and its id. It returns nothing while the
// item is incomplete, and o itself when o is no such event.
func (o object) item() (object, string) {
	kind := plainName(o.text("type"))
	if kind == userTranscribed {
		o["role"] = json.RawMessage(`"user"`)
		return o, o.text("itemid")
	}
	item, ok := parse(o["item"])
	switch {
	case !ok || !isItemEvent(kind):
		return o, ""
	case plainName(item.text("status")) == "inprogress":
		return nil, ""
	}
	for _, name := range timeNames() { // most items take the event's time
		if isNull(item[name]) {
			item[name] = o[name]
		}
	}
	return item, item.text("id")
}
