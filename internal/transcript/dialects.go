package transcript

import "strings"

// Dialects of voice platforms. Each has a file in testdata with what is read of it. Names are as
// plainName has them.
//
//	dialect            turns in         who      what was said                         when
//	callvault          an array         speaker  text                                  timestamp
//	chat completions   messages         role     content: text, or parts with text     created_at
//	messages with tools an array        role     content: parts with text              -
//	realtime           items            role     content parts: transcript, text       -
//	realtime events    an array: item   role     as realtime, or the event's transcript as logged
//	agent sessions     items            role     content: texts, or parts              created_at
//	generated content  contents         role     parts with text                       -
//	call reports       messages         role     message                               secondsFromStart, time
//	word by word       transcript_...   role     content                               words[].start
//	conversational     transcript       role     message                               time_in_call_secs

// holdsTurns says whether an object's array by this name is its turns.
func holdsTurns(name string) bool {
	switch plainName(name) {
	case "messages", "turns", "items", "transcript", "conversation", "history", "events", "contents",
		"transcriptobject", "transcriptwithtoolcalls", "artifactmessages":
		return true
	}
	return false
}

// holdsCalls says whether an object's array by this name has the calls too, which another array of it lacks.
func holdsCalls(name string) bool { return plainName(name) == "transcriptwithtoolcalls" }

// ofItem tells the types of events of a realtime session that carry an item.
func ofItem(word string) bool {
	return strings.HasPrefix(word, "conversation.item.") || strings.HasPrefix(word, "response.outputitem.")
}

// heard is the type of the event that tells what the user was heard to say.
const heard = "conversation.item.inputaudiotranscription.completed"

// role gives the role of the speaker; "" for prompts and tools, which nobody spoke. The word model names
// a speaker only in turns that have parts.
func (o object) role() string {
	switch word := plainName(o.text(speakerNames()...)); {
	case word == "", ofFunction(word), word == "system", word == "developer":
		return ""
	case word == "agent", word == "assistant", word == "bot", word == "model" && !isNull(o["parts"]):
		return RoleAgent
	}
	return RoleUser
}

// ofFunction tells the words for turns and parts of functions and tools.
func ofFunction(word string) bool {
	return strings.HasPrefix(word, "function") || strings.HasPrefix(word, "tool") || strings.HasPrefix(word, "customtool")
}

// speakerNames are names of who spoke.
func speakerNames() []string { return []string{"role", "speaker"} }

// textNames are names of what was said, in a turn and in its parts.
func textNames() []string { return []string{"text", "message", "content", "parts", "transcript"} }

// partNames are names of a turn's parts, which can be calls too.
func partNames() []string { return []string{"content", "parts"} }

// timeNames are names of when a turn took place: those that can only be seconds into the call come first.
func timeNames() []string {
	return []string{"timeincallsecs", "secondsfromstart", "offset", "timestamp", "time", "createdat", "at", "start"}
}

// argumentNames are names of what a function was called with.
func argumentNames() []string {
	return []string{"parameters", "arguments", "args", "input", "params", "paramsasjson", "inputs"}
}

// resultNames are names of what a function gave back that mean nothing else.
func resultNames() []string { return []string{"result", "output", "response", "resultvalue"} }

// idNames are names of what a call and its result have in common.
func idNames() []string {
	return []string{"callid", "toolcallid", "functioncallid", "tooluseid", "requestid", "id"}
}

// callNames are names of calls that a turn carries.
func callNames() []string {
	return []string{"functioncall", "toolcall", "functioncalls", "toolcalls", "tooluses"}
}

// answerNames are names of results that a turn carries.
func answerNames() []string {
	return []string{"functionresponse", "functionresult", "toolresult", "toolresponse",
		"functionresponses", "functionresults", "toolresults", "toolresponses", "tooloutputs"}
}

type kind int

const (
	kindOther kind = iota
	kindCall
	kindResult
	kindFunction // a function's turn, which can be either
)

// kind tells what the words of a turn make it.
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
