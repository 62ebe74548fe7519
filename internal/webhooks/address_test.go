package webhooks

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/domain"
)

func TestAddressClass(t *testing.T) {
	for of, list := range map[addressClass]string{
		public: `1.1.1.1 93.184.216.34 100.63.255.255 100.128.0.1 168.63.129.15 172.15.0.1 172.32.0.1 192.167.1.1 11.0.0.1 223.255.255.255
			2606:4700::1111 2a00:1450::1 ::ffff:1.1.1.1 64:ff9b::101:101 2002:101:101::1`,
		private: `127.0.0.1 127.255.255.254 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 100.100.100.201 fd20:ce::253 ::1 fc00::1 fd12:3456::1
			::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:100.64.0.1 64:ff9b::7f00:1 64:ff9b::a00:1 2002:7f00:1::1 2002:c0a8:101::1 ::127.0.0.1 ::10.0.0.1 fd00::1%eth0`,
		forbidden: `0.0.0.0 0.1.2.3 169.254.169.254 169.254.0.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 192.0.0.8 192.0.2.1 198.18.0.1 198.51.100.1
			203.0.113.1 192.88.99.1 :: fe80::1 fe80::1%eth0 fec0::1 ff02::1 100::1 2001::1 2001:db8::1 64:ff9b:1::1 fd00:ec2::254 ::ffff:169.254.169.254 ::ffff:0.0.0.0
			64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1 2002:e000:1::1 5f00::1 4000::1
			168.63.129.16 100.100.100.200 ::ffff:100.100.100.200 64:ff9b::6464:64c8 fd00:ec2::23 fd20:ce::254 fd00:c1::a9fe:a9fe fd00:42::42 fd00:a9fe:a9fe::1 fd00:100::100:200`,
	} {
		for text := range strings.FieldsSeq(list) {
			if got := classOf(netip.MustParseAddr(text)); got != of {
				t.Errorf("%s is of class %d, want %d", text, got, of)
			}
		}
	}
}

func TestCheckURL(t *testing.T) {
	strict, open := Rules{}, Rules{Private: true}
	for _, c := range []struct {
		url                string
		strictOK, openedOK bool
	}{
		{"https://hooks.example.com/x?y=z", true, true},
		{"https://hooks.example.com:8443", true, true},
		{"https://1.1.1.1/x", true, true},
		{"https://[2606:4700::1111]/x", true, true},
		{"HTTPS://hooks.example.com", true, true},
		{"http://hooks.example.com", false, true}, // its address is checked when it is called
		{"http://1.1.1.1/x", false, false},
		{"https://127.0.0.1/x", false, true},
		{"http://127.0.0.1:9000/x", false, true},
		{"http://10.1.2.3/x", false, true},
		{"https://[::1]/x", false, true},
		{"https://[::ffff:127.0.0.1]/x", false, true},
		{"https://169.254.169.254/latest/meta-data", false, false},
		{"https://0.0.0.0/", false, false},
		{"https://user:secret@hooks.example.com", false, false},
		{"https://hooks.example.com/#x", false, false},
		{"https://", false, false},
		{"https:hooks.example.com", false, false},
		{"ftp://hooks.example.com", false, false},
		{"file:///etc/passwd", false, false},
		{"//hooks.example.com", false, false},
		{"hooks.example.com", false, false},
		{"", false, false},
		{"https://hooks.example.com:99999", false, false},
		{"https://hooks.example.com:0", false, false},
		{"https://hooks.example.com/a b", false, false},
		{"https://hooks.exämple.com", false, false},
		{"https://hooks.example.com/\r\nX: y", false, false},
		{"https://hooks.example.com/" + strings.Repeat("a", maxURL), false, false},
	} {
		for ok, rules := range map[bool]Rules{c.strictOK: strict} {
			if err := rules.CheckURL(c.url); (err == nil) != ok || err != nil && domain.KindOf(err) != domain.KindInvalid {
				t.Errorf("%.80q: %v", c.url, err)
			}
		}
		if err := open.CheckURL(c.url); (err == nil) != c.openedOK {
			t.Errorf("%.80q, private allowed: %v", c.url, err)
		}
	}
}

// FuzzCheckURL: every URL that passes is https.
func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{"https://a.example/x", "https://127.0.0.1", "https://[::ffff:7f00:1]", "https://%31", "https://a@b", "https://0x7f.1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		err := Rules{}.CheckURL(text)
		if err != nil {
			if domain.KindOf(err) != domain.KindInvalid {
				t.Error(err)
			}
			return
		}
		if len(text) < 9 || !strings.EqualFold(text[:8], "https://") {
			t.Errorf("%q passed", text)
		}
	})
}
