package e2e_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/callvault/callvault/internal/config"
)

// loadCompose reads compose files of the repository, later ones over earlier ones.
func loadCompose(t *testing.T, names ...string) *types.Project {
	t.Helper()
	var files []string
	for _, name := range names {
		file, err := filepath.Abs(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	options, err := cli.NewProjectOptions(files, cli.WithName("callvault"), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// TestCompose checks docker-compose.yml against callvault's settings.
func TestCompose(t *testing.T) {
	project := loadCompose(t, "docker-compose.yml")
	names := slices.Sorted(slices.Values(project.ServiceNames()))
	if want := []string{"api", "grafana", "migrate", "minio", "postgres", "prometheus", "redis", "scheduler", "worker"}; !slices.Equal(names, want) {
		t.Errorf("the services are %v, want %v", names, want)
	}
	for name, s := range project.Services {
		switch name {
		case "api", "worker", "scheduler", "migrate":
			checkRole(t, project, s)
			checkImage(t, s)
		default:
			checkServer(t, s)
		}
		if s.HealthCheck == nil && name != "migrate" {
			t.Errorf("%s has no health check", name)
		}
		if s.Restart != "unless-stopped" && name != "migrate" {
			t.Errorf("%s starts again: %q", name, s.Restart)
		}
		checkSecrets(t, project, s)
		checkFiles(t, s)
		if published := len(s.Ports) > 0; published != (name == "api") {
			t.Errorf("%s publishes %d ports", name, len(s.Ports))
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %s on %q", name, p.Published, p.HostIP)
			}
		}
	}
}

// TestComposeForOperators: deploy/operators.yml publishes the operators' pages on loopback and
// nothing else.
func TestComposeForOperators(t *testing.T) {
	project := loadCompose(t, "docker-compose.yml", "deploy/operators.yml")
	published := map[string][]string{}
	for name, s := range project.Services {
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %s on %q", name, p.Published, p.HostIP)
			}
			published[name] = append(published[name], p.Published)
		}
	}
	if want := map[string][]string{"api": {"8080", "9090"}, "grafana": {"3000"}}; !maps.EqualFunc(published, want, slices.Equal) {
		t.Errorf("%v is published, want %v", published, want)
	}
	grafana := project.Services["grafana"].Environment
	for name, want := range map[string]string{"GF_AUTH_ANONYMOUS_ENABLED": "false", "GF_USERS_ALLOW_SIGN_UP": "false",
		"GF_SECURITY_ADMIN_PASSWORD__FILE": "/run/secrets/grafana_password"} {
		if got := grafana[name]; got == nil || *got != want {
			t.Errorf("Grafana has %s %v, want %s", name, got, want)
		}
	}
}

// checkFiles: what a service mounts from the repository exists and is mounted read-only, and its
// image has a fixed version.
func checkFiles(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
			t.Errorf("%s mounts %s, writable %v: %v", s.Name, v.Source, !v.ReadOnly, err)
		}
	}
	if _, tag, tagged := strings.Cut(s.Image, ":"); !tagged || tag == "latest" {
		t.Errorf("%s runs %s", s.Name, s.Image)
	}
}

// checkRole checks a callvault service against the settings that its role reads.
func checkRole(t *testing.T, project *types.Project, s types.ServiceConfig) {
	t.Helper()
	env := config.Env{}
	for name, value := range s.Environment {
		if value == nil {
			t.Errorf("%s: %s has no value", s.Name, name)
			continue
		}
		env[name] = *value
	}
	if unknown := config.Unknown(env); len(unknown) > 0 {
		t.Errorf("%s sets %v, which callvault does not know", s.Name, unknown)
	}
	for _, v := range config.Variables() {
		if slices.Contains(v.Required, s.Name) && env[v.Name] == "" && (v.FileName == "" || env[v.FileName] == "") {
			t.Errorf("%s does not set %s", s.Name, v.Name)
		}
		if v.Secret && env[v.Name] != "" {
			t.Errorf("%s sets the secret %s in the open", s.Name, v.Name)
		}
	}
	drain := 25 * time.Second
	if text := env["CALLVAULT_DRAIN_TIMEOUT"]; text != "" {
		var err error
		if drain, err = time.ParseDuration(text); err != nil {
			t.Error(err)
		}
	}
	if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) <= drain {
		t.Errorf("%s is given %v to stop, and drains for %s", s.Name, s.StopGracePeriod, drain)
	}
	if s.Name != "migrate" && !slices.Equal(s.Command, []string{s.Name}) {
		t.Errorf("%s runs %v", s.Name, s.Command)
	}
	for _, dependency := range []string{"redis", "postgres", "minio"} {
		if s.DependsOn[dependency].Condition != types.ServiceConditionHealthy {
			t.Errorf("%s does not wait for %s", s.Name, dependency)
		}
	}
	if _, known := project.Services["migrate"]; known && s.Name != "migrate" && s.DependsOn["migrate"].Condition != types.ServiceConditionCompletedSuccessfully {
		t.Errorf("%s does not wait for the schema", s.Name)
	}
}

// checkImage: the service runs callvault's image with few rights, and its health check is the
// program itself.
func checkImage(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if s.Build == nil || s.Build.Context != root || s.Build.Dockerfile != "deploy/Dockerfile" {
		t.Errorf("%s is built from %+v", s.Name, s.Build)
	}
	if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.User != "" {
		t.Errorf("%s may do more than it needs", s.Name)
	}
	if s.Name == "migrate" {
		return
	}
	if want := []string{"CMD", dockerfile(t).program, "ready"}; s.HealthCheck == nil || !slices.Equal(s.HealthCheck.Test, want) {
		t.Errorf("%s is asked for its health by %+v, want %v", s.Name, s.HealthCheck, want)
	}
	if s.Environment["CALLVAULT_LISTEN"] == nil {
		t.Errorf("%s listens where ready does not ask", s.Name)
	}
}

// checkServer: a server's data is in a volume, and Redis has the configuration that callvault
// needs.
func checkServer(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	kept := map[string]string{"redis": "/data", "postgres": "/var/lib/postgresql/data", "minio": "/data",
		"prometheus": "/prometheus", "grafana": "/var/lib/grafana"}
	if !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Type == types.VolumeTypeVolume && v.Source == s.Name && v.Target == kept[s.Name]
	}) {
		t.Errorf("%s keeps nothing of %q", s.Name, kept[s.Name])
	}
	if s.Name != "redis" {
		return
	}
	for _, option := range []string{"--appendonly yes", "--maxmemory-policy noeviction", "--maxmemory ", "--requirepass "} {
		if !strings.Contains(strings.Join(s.Command, " "), option) {
			t.Errorf("Redis runs without %s: %v", option, s.Command)
		}
	}
}

// checkSecrets: a service has every secret that it reads, and all secrets are files.
func checkSecrets(t *testing.T, project *types.Project, s types.ServiceConfig) {
	t.Helper()
	given := map[string]bool{}
	for _, secret := range s.Secrets {
		given[secret.Source] = true
		if project.Secrets[secret.Source].File == "" {
			t.Errorf("%s is given the secret %s, which is no file", s.Name, secret.Source)
		}
		if maker, err := os.ReadFile("../../deploy/make-secrets"); err != nil || !strings.Contains(string(maker), "\nsecret "+secret.Source+" ") {
			t.Errorf("nobody makes the secret %s: %v", secret.Source, err)
		}
	}
	for name, value := range s.Environment {
		if value == nil {
			continue
		}
		if secret, isFile := strings.CutPrefix(*value, "/run/secrets/"); isFile {
			if !given[secret] {
				t.Errorf("%s reads %s from the secret %s, which it is not given", s.Name, name, secret)
			}
			if !strings.HasSuffix(name, "_FILE") {
				t.Errorf("%s takes %s for a value", s.Name, name)
			}
		}
	}
}
