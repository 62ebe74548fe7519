package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/callvault/callvault/client"
	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/config"
)

// Exit codes of pull beside those of all commands.
const (
	exitIncomplete = 3
	exitRefused    = 4
)

// pullCmd is a tenant's client, which keeps a directory of archives up to date.
type pullCmd struct {
	URL            string        `help:"Where callvault is ($CALLVAULT_URL)." placeholder:"URL"`
	TokenURL       string        `help:"Token endpoint, when it is not the one that callvault's discovery document names." placeholder:"URL"`
	Credentials    string        `help:"JSON file with client_id and client_secret, as app create --json prints it." placeholder:"FILE"`
	Day            string        `help:"The UTC day: YYYY-MM-DD, yesterday or today." placeholder:"D" xor:"days"`
	From           string        `help:"First UTC day of a range." placeholder:"D" xor:"days" and:"range"`
	To             string        `help:"Last UTC day of the range." placeholder:"D" and:"range"`
	Out            string        `help:"Directory for archives and seals." placeholder:"DIR" required:""`
	Parallel       int           `help:"Downloads at a time, 1 to 24 (default 4)." default:"4" placeholder:"N"`
	Wait           bool          `help:"Ask again until no hour or seal is pending."`
	WaitRebuilding bool          `help:"Ask again until no hour waits for a newer revision either."`
	Poll           time.Duration `help:"Time between two questions of a wait (default 15m)." default:"15m" placeholder:"TIME"`
	Recheck        bool          `help:"Read the archives that are there too, and download damaged ones again."`
	NoWait         bool          `help:"At an hourly limit end with exit code 3, instead of going on when it allows."`
	JSON           bool          `help:"Print one JSON document with the state of every hour."`
}

// maxPullDays is the longest range.
const maxPullDays = 3660

func (*pullCmd) Help() string {
	return `Fetches a tenant's archives, checks each, and writes DAY/HH.zip, DAY/day.json and the day's seal,
DAY/day.seal, below the directory. A second run downloads only what is missing or has a newer revision; after an
interruption it goes on where it was. It does not read again what is there, unless --recheck says
so. It follows no symbolic links in the directory.

Credentials come from --credentials, or from CALLVAULT_CLIENT_ID and CALLVAULT_CLIENT_SECRET (or
CALLVAULT_CLIENT_SECRET_FILE). Each day costs one of the requests that the server grants per hour.

Exit codes: 0 complete; 1 failed (network, disk, a damaged archive); 2 wrong use; 3 incomplete
(interrupted, pending, failed on the server, or limited: run it again later); 4 refused.

Examples:

    callvault pull --url https://callvault.example.com --day yesterday --out ./archives --wait
    callvault pull --credentials app.json --from 2025-12-10 --to 2025-12-12 --out ./archives
    callvault pull --day 2025-12-12 --out ./archives --recheck
    callvault pull --day 2025-12-12 --out ./archives --no-wait --json`
}

func (c *pullCmd) Run(ctx context.Context, d *deps) error {
	defer collectOften()()
	days, err := c.days(time.Now())
	if err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	cl, err := c.client(d.env)
	if err != nil {
		return err
	}
	shown, cancel := context.WithCancel(ctx)
	defer cancel()
	progress := newPullProgress(console.NewProgress(shown, d.stderr, console.IsTerminal(d.stderr), time.Now))
	result, err := cl.Pull(ctx, client.Options{
		Days: days, Dir: c.Out, Parallel: c.Parallel, Recheck: c.Recheck, Poll: c.Poll,
		WaitPending: c.Wait || c.WaitRebuilding, WaitRebuilding: c.WaitRebuilding, WaitLimits: !c.NoWait,
	}, progress)
	if err != nil {
		cancel() // ends the bars of downloads that did not end
	}
	progress.close()
	if len(result.Days) > 0 {
		if printed := c.print(d, &result); printed != nil {
			return errors.Join(err, printed)
		}
	}
	if errors.Is(err, context.Canceled) && result.State() == client.DayIncomplete {
		_ = d.report(err) // its exit code is 1, but the next pull goes on from here
		return &reportedError{exitIncomplete}
	}
	if err != nil {
		return err
	}
	switch result.State() {
	case client.DayIncomplete:
		return &reportedError{exitIncomplete}
	case client.DayRefused:
		return &reportedError{exitRefused}
	case client.DayFailed:
		return errReported
	case client.DayComplete:
	}
	return nil
}

// days lists the days of the flags.
func (c *pullCmd) days(now time.Time) ([]string, error) {
	first, last := c.From, c.To
	switch {
	case c.Day != "":
		first, last = c.Day, c.Day
	case first == "":
		return nil, &usageError{"name a day with --day, or a range with --from and --to\nSee callvault pull --help"}
	}
	from, err := parseDay(first, now)
	if err != nil {
		return nil, err
	}
	to, err := parseDay(last, now)
	if err != nil {
		return nil, err
	}
	if to < from {
		return nil, &usageError{fmt.Sprintf("--to %s is before --from %s", last, first)}
	}
	var days []string
	for day := from; ; day = day.Add(1) {
		if len(days) == maxPullDays {
			return nil, &usageError{fmt.Sprintf("the range has more than %d days", maxPullDays)}
		}
		if days = append(days, string(day)); day == to {
			return days, nil
		}
	}
}

func (c *pullCmd) check() error {
	switch {
	case c.Parallel < 1 || c.Parallel > 24:
		return &usageError{fmt.Sprintf("--parallel %d is out of range; use 1 to 24", c.Parallel)}
	case c.Poll < time.Second:
		return &usageError{fmt.Sprintf("--poll %s is too short; use 1s or more", c.Poll)}
	case c.From != "" && c.To == "" || c.To != "" && c.From == "":
		return &usageError{"--from and --to belong together"}
	}
	return nil
}

// client makes the client from flags and variables. Its error has every problem of these.
func (c *pullCmd) client(env config.Env) (*client.Client, error) {
	problems := &config.Error{}
	add := func(variable, text string) {
		problems.Problems = append(problems.Problems, config.Problem{Variable: variable, Text: text})
	}
	c.URL = cmp.Or(c.URL, strings.TrimSpace(env["CALLVAULT_URL"]))
	if c.URL == "" {
		add("CALLVAULT_URL", "missing; set it or use --url, such as https://callvault.example.com")
	}
	id, secret := c.credentials(env, add)
	if len(problems.Problems) > 0 {
		slices.SortFunc(problems.Problems, func(a, b config.Problem) int { return strings.Compare(a.Variable, b.Variable) })
		return nil, problems
	}
	agent := "callvault/" + strings.Trim(app.Version(), "()")
	cl, err := client.New(client.Config{URL: c.URL, ClientID: id, ClientSecret: secret, TokenURL: c.TokenURL, UserAgent: agent})
	if err != nil {
		return nil, &usageError{err.Error() + "; see --url (CALLVAULT_URL) and --token-url"}
	}
	return cl, nil
}

// credentials returns the id and the secret. No message may contain them.
func (c *pullCmd) credentials(env config.Env, add func(variable, text string)) (id, secret string) {
	if c.Credentials != "" {
		var file struct {
			ID     string `json:"client_id"`
			Secret string `json:"client_secret"`
		}
		body, err := os.ReadFile(c.Credentials)
		switch {
		case err != nil:
			add("--credentials", err.Error())
		case json.Unmarshal(body, &file) != nil || file.ID == "" || file.Secret == "":
			add("--credentials", "not a JSON object with client_id and client_secret; use what callvault app create --json prints")
		}
		return file.ID, file.Secret
	}
	id, secret = strings.TrimSpace(env["CALLVAULT_CLIENT_ID"]), strings.TrimSpace(env["CALLVAULT_CLIENT_SECRET"])
	path := strings.TrimSpace(env["CALLVAULT_CLIENT_SECRET_FILE"])
	switch {
	case path != "" && secret != "":
		add("CALLVAULT_CLIENT_SECRET", "set together with CALLVAULT_CLIENT_SECRET_FILE; set only one of the two")
	case path != "":
		body, err := os.ReadFile(path) //nolint:gosec // the user names the file
		secret = strings.TrimSpace(string(body))
		if err != nil {
			add("CALLVAULT_CLIENT_SECRET_FILE", err.Error())
		} else if secret == "" {
			add("CALLVAULT_CLIENT_SECRET_FILE", "the file is empty")
		}
	case secret == "":
		add("CALLVAULT_CLIENT_SECRET", "missing; set it, CALLVAULT_CLIENT_SECRET_FILE, or use --credentials")
	}
	if id == "" {
		add("CALLVAULT_CLIENT_ID", "missing; set it or use --credentials")
	}
	return id, secret
}
