package transcript

import "encoding/json"

// events are the items, by id, of which events of a realtime session have told. Several events tell of one item.
type events map[string]bool

// first says whether this is the first event that tells of the item. What is no event has no id, and is
// always the first.
func (e *events) first(id string) bool {
	if id == "" {
		return true
	}
	if *e == nil {
		*e = events{}
	}
	before := (*e)[id]
	(*e)[id] = true
	return !before
}

// item gives the item that an event of a realtime session tells of, and its id: nothing while the item is
// not whole. An object that is no such event comes back as it is.
func (o object) item() (object, string) {
	kind := plainName(o.text("type"))
	if kind == heard {
		o["role"] = json.RawMessage(`"user"`)
		return o, o.text("itemid")
	}
	item, ok := parse(o["item"])
	switch {
	case !ok || !ofItem(kind):
		return o, ""
	case plainName(item.text("status")) == "inprogress":
		return nil, ""
	}
	for _, name := range timeNames() { // few items have a time of their own
		if isNull(item[name]) {
			item[name] = o[name]
		}
	}
	return item, item.text("id")
}
