package transcript

import "strings"

// Dialects of voice platforms. Each has a file in testdata, with the expected turns and calls
// beside it. Names below are as plainName returns them.
//
//	dialect             turns in       who     what was said                when
//	callvault           an array       speaker text                         timestamp
//	chat completions    messages       role    content: text, or text parts created_at
//	messages with tools an array       role    content: text parts          -
//	realtime            items          role    content: transcript, text    -
//	realtime events     array: item    role    as realtime, or transcript   as logged
//	agent sessions      items          role    content: texts, or parts     created_at
//	generated content   contents       role    parts with text              -
//	call reports        messages       role    message                      secondsFromStart, time
//	word by word        transcript_... role    content                      words[].start
//	conversational      transcript     role    message                      time_in_call_secs

// holdsTurns says whether an array of this name contains turns.
func holdsTurns(name string) bool {
	switch plainName(name) {
	case "messages", "turns", "items", "transcript", "conversation", "history", "events", "contents",
		"transcriptobject", "transcriptwithtoolcalls", "artifactmessages":
		return true
	}
	return false
}

// holdsCalls says whether an array of this name also contains the calls, which the transcript's
// other array lacks.
func holdsCalls(name string) bool { return plainName(name) == "transcriptwithtoolcalls" }

// isItemEvent says whether events of this type of a realtime session have an item.
func isItemEvent(word string) bool {
	return strings.HasPrefix(word, "conversation.item.") || strings.HasPrefix(word, "response.outputitem.")
}

// userTranscribed is the type of the event with the transcription of what the user said.
const userTranscribed = "conversation.item.inputaudiotranscription.completed"

// role returns the role of the speaker; "" for prompts and tools, which are not spoken. The word
// "model" is a speaker only in turns that have parts.
func (o object) role() string {
	switch word := plainName(o.text(speakerNames()...)); {
	case word == "", isFunctionWord(word), word == "system", word == "developer":
		return ""
	case word == "agent", word == "assistant", word == "bot", word == "model" && !isNull(o["parts"]):
		return RoleAgent
	}
	return RoleUser
}

// isFunctionWord says whether a type or role belongs to a function or tool.
func isFunctionWord(word string) bool {
	return strings.HasPrefix(word, "function") || strings.HasPrefix(word, "tool") || strings.HasPrefix(word, "customtool")
}

// speakerNames are the names of the speaker's field.
func speakerNames() []string { return []string{"role", "speaker"} }

// textNames are the names of the fields with the spoken text, in a turn and in its parts.
func textNames() []string { return []string{"text", "message", "content", "parts", "transcript"} }

// partNames are the names of the fields with a turn's parts, which can be calls too.
func partNames() []string { return []string{"content", "parts"} }

// timeNames are the names of a turn's time. Names that can only mean seconds into the call come
// first.
func timeNames() []string {
	return []string{"timeincallsecs", "secondsfromstart", "offset", "timestamp", "time", "createdat", "at", "start"}
}

// argumentNames are the names of a function's arguments.
func argumentNames() []string {
	return []string{"parameters", "arguments", "args", "input", "params", "paramsasjson", "inputs"}
}

// resultNames are the names of a function's result that mean nothing else.
func resultNames() []string { return []string{"result", "output", "response", "resultvalue"} }

// idNames are the names of the id that a call and its result share.
func idNames() []string {
	return []string{"callid", "toolcallid", "functioncallid", "tooluseid", "requestid", "id"}
}

// callNames are the names of the fields with a turn's calls.
func callNames() []string {
	return []string{"functioncall", "toolcall", "functioncalls", "toolcalls", "tooluses"}
}

// turnResultNames are the names of the fields with the results in a turn.
func turnResultNames() []string {
	return []string{"functionresponse", "functionresult", "toolresult", "toolresponse",
		"functionresponses", "functionresults", "toolresults", "toolresponses", "tooloutputs"}
}

type kind int

const (
	kindOther kind = iota
	kindCall
	kindResult
	kindFunction // a function's turn, which can be a call or a result
)

// kind finds out what a turn is by its type and role.
func (o object) kind() kind {
	for _, word := range []string{o.text("type"), o.text("role"), o.text("speaker")} {
		switch plainName(word) {
		case "functioncall", "toolcall", "tooluse", "toolcallinvocation", "functioncallinvocation", "functioninvocation", "toolinvocation",
			"customtoolcall":
			return kindCall
		case "functioncalloutput", "functioncallresult", "functioncallresponse", "functionresult", "functionresponse", "functionoutput",
			"toolcalloutput", "toolcallresult", "toolcallresponse", "toolresult", "toolresponse", "tooloutput", "customtoolcalloutput":
			return kindResult
		case "function", "tool":
			return kindFunction
		}
	}
	return kindOther
}
