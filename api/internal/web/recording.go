package web

import (
	"context"
	"path"
	"strings"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// RecordingName is the name under which a client saves the recording of a key. It does not begin
// with a dot, because that would hide the file.
func RecordingName(key string) string {
	name := FileName(path.Base(key))
	if rest, hidden := strings.CutPrefix(name, "."); hidden {
		return "_" + rest
	}
	return name
}

// StatRecording looks up the recording of a conversation by its object key, which is "" when there
// is none. All endpoints use it, so that they agree whether a conversation has a recording. found
// is also false when the object is not in the store or its bytes can't be read. Error: the store's,
// when it does not tell.
func StatRecording(ctx context.Context, store Store, key string) (info objstore.Info, found bool, err error) {
	if key == "" {
		return info, false, nil
	}
	info, err = store.Stat(ctx, key)
	switch domain.KindOf(err) {
	case "":
		return info, !info.Cold, nil
	case domain.KindNotFound, domain.KindInvalid, domain.KindUnreadable:
		return info, false, nil
	}
	return info, false, err
}
