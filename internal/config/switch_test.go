package config

import "testing"

func TestSwitch(t *testing.T) {
	for text, want := range map[string]bool{"": false, "on": true, "TRUE": true, "1": true, "yes": true, "off": false, "False": false, "0": false, "no": false} {
		c, err := load(t, Env{"CALLVAULT_ADMIN_READONLY": text}, Standalone())
		if err != nil || c.AdminReadOnly != want {
			t.Errorf("%q: got %t, %v; want %t", text, c.AdminReadOnly, err, want)
		}
	}
	if c, err := load(t, nil, Standalone(), "--admin-readonly=on"); err != nil || !c.AdminReadOnly {
		t.Errorf("the flag: got %t, %v", c.AdminReadOnly, err)
	}
	if _, err := load(t, Env{"CALLVAULT_ADMIN_READONLY": "maybe"}, Standalone()); err == nil {
		t.Error("maybe is taken")
	}
}
