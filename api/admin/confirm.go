package admin

import "strconv"

// question is a page that asks before an action. Its form is sent to the page's own address.
type question struct {
	Heading string
	Text    string
	Button  string
	Choice  *choice // optional
	Inputs  []input
	Back    string
}

// input is a field for one line of text.
type input struct {
	Label, Name string
	Mode        string // of the keyboard on small screens; "" is that for text
	Required    bool
}

// choice is a field with options, the first of which is chosen.
type choice struct {
	Legend, Name string
	Options      []option
}

type option struct{ Value, Label string }

// ask answers with a question. Error: KindForbidden.
func (h *handler) ask(q question) (answer, error) {
	return answer{page: "confirm", view: view{Title: q.Heading, Data: q}}, h.writable()
}

// done answers an action with a redirect to its page. The query holds the action and a number, for
// that page's notice.
func done(back, action string, n int) answer {
	return answer{redirect: back + "?done=" + action + "&n=" + strconv.Itoa(n)}
}
