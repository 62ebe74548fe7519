package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/callvault/callvault/internal/testenv"
)

const prometheusDir = "../../deploy/prometheus"

// rule is an alert, or a recorded setting.
type rule struct {
	Alert       string            `yaml:"alert"`
	Record      string            `yaml:"record"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(prometheusDir, "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there are no rules")
	}
	return all
}

// dashboard is Grafana's dashboard.
type dashboard struct {
	UID         string  `json:"uid"`
	Panels      []panel `json:"panels"`
	Annotations struct {
		List []source `json:"list"`
	} `json:"annotations"`
	Templating struct {
		List []struct {
			Name    string `json:"name"`
			Type    string `json:"type"`
			Query   string `json:"query"`
			Current struct {
				Value string `json:"value"`
			} `json:"current"`
		} `json:"list"`
	} `json:"templating"`
}

// source names a data source.
type source struct {
	Datasource struct {
		UID string `json:"uid"`
	} `json:"datasource"`
}

// panel is a panel with its queries.
type panel struct {
	source

	ID          int    `json:"id"`
	Title       string `json:"title"`
	Type        string `json:"type"`
	Description string `json:"description"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		source

		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
	} `json:"targets"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grafana/dashboards/callvault.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil || d.UID == "" || len(d.Panels) == 0 {
		t.Fatalf("dashboard %q has %d panels: %v", d.UID, len(d.Panels), err)
	}
	return d
}

// TestAlertsAreChecked runs promtool: on the alerts' syntax, on the configuration that loads them,
// and on the tests that say when they fire.
func TestAlertsAreChecked(t *testing.T) {
	tool := testenv.Installed(t, "promtool")
	for _, args := range [][]string{
		{"check", "rules", "alerts.yml"},
		{"check", "config", "prometheus.yml"},
		{"test", "rules", "alerts_test.yml"},
	} {
		cmd := exec.CommandContext(t.Context(), tool, args...)
		cmd.Dir = prometheusDir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestAlertsAreExplained: every alert has a test, a severity, a summary and a description, and a
// section in docs/operations.md with what to do. That page explains no other alert.
func TestAlertsAreExplained(t *testing.T) {
	tests, err := os.ReadFile(filepath.Join(prometheusDir, "alerts_test.yml"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var explained []string
	for _, heading := range regexp.MustCompile(`(?m)^### (Callvault\w+)\n\n\S`).FindAllStringSubmatch(string(page), -1) {
		explained = append(explained, heading[1])
	}
	var known []string
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		known = append(known, r.Alert)
		if !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s has severity %q and says %v", r.Alert, r.Labels["severity"], r.Annotations)
		}
		// GitHub's anchor of a heading without spaces.
		if want := "docs/operations.md#" + strings.ToLower(r.Alert); r.Annotations["runbook"] != want || !slices.Contains(explained, r.Alert) {
			t.Errorf("%s: its runbook is %s, want %s with that heading", r.Alert, r.Annotations["runbook"], want)
		}
		sounds := regexp.MustCompile(`alertname: ` + r.Alert + `\n\s+eval_time: \S+\n\s+exp_alerts:\n`)
		if !sounds.Match(tests) {
			t.Errorf("no test hears %s", r.Alert)
		}
	}
	for _, name := range explained {
		if !slices.Contains(known, name) {
			t.Errorf("docs/operations.md explains %s, which is no alert", name)
		}
	}
}

// TestDashboardIsWhole: every panel has a description and a unit, and reads from the data source
// that is chosen in the dashboard. The provisioned data source is the default.
func TestDashboardIsWhole(t *testing.T) {
	provisioned, err := os.ReadFile("../../deploy/grafana/provisioning/datasources/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	d := readDashboard(t)
	if list := d.Templating.List; len(list) != 1 || list[0].Name != "datasource" || list[0].Type != "datasource" || list[0].Query != "prometheus" ||
		!strings.Contains(string(provisioned), "uid: "+list[0].Current.Value+"\n") {
		t.Errorf("to choose from there is %+v", list)
	}
	const chosen = "${datasource}"
	for _, a := range d.Annotations.List {
		if a.Datasource.UID != chosen {
			t.Errorf("annotations come from %q", a.Datasource.UID)
		}
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("panel %q has the number of another", p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 || p.Datasource.UID != chosen {
			t.Errorf("panel %q of %q is described by %q in %q and asks %d times", p.Title, p.Datasource.UID, p.Description, p.FieldConfig.Defaults.Unit, len(p.Targets))
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != chosen || p.Type != "stat" && target.LegendFormat == "" {
				t.Errorf("panel %q asks %q for %q", p.Title, target.Datasource.UID, target.LegendFormat)
			}
			if strings.Count(target.Expr, "[") != strings.Count(target.Expr, "[$__rate_interval]") {
				t.Errorf("panel %q looks at a fixed time: %s", p.Title, target.Expr)
			}
		}
	}
}
