package admin_test

import (
	"testing"
)

// TestTenantEnds sets a source retention, closes the tenant and opens it again.
func TestTenantEnds(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		const path = "/tenants/acme"
		f.call("PUT", path+"/source-retention", `{}`, 400)
		f.call("PUT", path+"/source-retention", `{"days":-1}`, 400)
		f.call("PUT", "/tenants/nobody/source-retention", `{"days":1,"confirm":true}`, 404)
		f.call("PUT", path+"/source-retention", `{"days":365}`, 409)
		f.equal("after a refusal", f.call("GET", path, "", 200)["sourceRetentionDays"], 0.0)
		set := f.call("PUT", path+"/source-retention", `{"days":365,"confirm":true}`, 200)
		f.equal("days", set["sourceRetentionDays"], 365.0)
		f.equal("nothing ends", set["ends"].(map[string]any)["conversations"], 0.0)
		f.equal("begins later", set["endsFrom"] != nil, true)
		f.equal("longer", f.call("PUT", path+"/source-retention", `{"days":400}`, 200)["sourceRetentionDays"], 400.0)
		f.call("PUT", path+"/source-retention", `{"days":399}`, 409)
		set = f.call("PUT", path+"/source-retention", `{"days":0}`, 200)
		f.equal("for ever", []any{set["sourceRetentionDays"], set["endsFrom"]}, []any{0.0, nil})

		f.call("DELETE", path, "", 409) // it is open
		f.call("POST", path+"/close", `{"reason":"moved away"}`, 409)
		f.call("POST", path+"/close", `{"confirm":true}`, 400)
		f.call("POST", path+"/open", `{"reason":"it is not closed"}`, 409)
		closed := f.call("POST", path+"/close", `{"reason":"moved away","confirm":true}`, 200)
		f.equal("closed", closed["closedAt"] != nil, true)
		f.call("POST", path+"/close", `{"reason":"again","confirm":true}`, 409)
		f.equal("opened", f.call("POST", path+"/open", `{"reason":"by mistake"}`, 200)["closedAt"], nil)

		f.call("POST", path+"/close", `{"reason":"moved away","confirm":true}`, 200)
		f.equal("deleted", f.call("DELETE", path, "", 200)["deleted"], "acme")
		f.call("GET", path, "", 404)
	})
}
