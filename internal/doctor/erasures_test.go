package doctor_test

import (
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/doctor"
	"github.com/callvault/callvault/internal/objstore"
)

func TestErasuresThatTheCatalogLacks(t *testing.T) {
	f := newFixture(t)
	f.s.Try = false
	for _, name := range []string{"er_1.json", "nothing of callvault's"} {
		_, err := f.store().Archives().Put(t.Context(), f.s.Config.Prefix+"/erasures/"+name, []byte("{}"), objstore.PutOptions{})
		f.must(err)
	}
	r := f.examine()["erasures"]
	if r.Status != doctor.Warn || !strings.Contains(r.Saw, "lacks: 1, the first is er_1") || r.Advice == "" {
		t.Errorf("it says %+v", r)
	}
}
