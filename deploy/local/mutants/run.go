package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-media/sluice/deploy/local/chaos"
)

// Config is one trial of the judge.
type Config struct {
	// Repository is the root of Sluice's source, and Local the sluice-local program that makes the chaos runs.
	Repository, Local string
	Seed              uint64
	// Only selects mutants whose names contain it; empty selects all.
	Only string
	Out  io.Writer
}

// The size of each run.
const (
	uploads  = 40
	duration = 20 * time.Second
)

// ErrSurvived means that a mutant was not caught, or that Sluice itself did not pass.
var ErrSurvived = errors.New("the judge is not to be trusted")

// Run tries every mutant, and Sluice itself with every profile that the mutants are tried with. It prints a line for each.
func Run(ctx context.Context, c Config) (err error) {
	dir, err := os.MkdirTemp("", "sluice-mutants-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var chosen []Mutant
	var profiles []string
	for _, m := range All() {
		if strings.Contains(m.Name, c.Only) {
			chosen = append(chosen, m)
			profiles = append(profiles, m.Profile)
		}
	}
	slices.Sort(profiles)
	bad := 0
	for _, profile := range slices.Compact(profiles) {
		chosen = append(chosen, Mutant{Name: "none", Profile: profile})
	}
	for _, m := range chosen {
		ok, err := c.try(ctx, dir, m)
		if err != nil {
			return err
		}
		if !ok {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%w: %d of %d trials", ErrSurvived, bad, len(chosen))
	}
	return nil
}

// try builds one mutant, runs it and prints what became of it.
func (c Config) try(ctx context.Context, dir string, m Mutant) (ok bool, err error) {
	began := time.Now()
	own := filepath.Join(dir, strconv.FormatInt(began.UnixNano(), 36))
	if err := os.Mkdir(own, 0o700); err != nil {
		return false, err
	}
	program, err := build(ctx, c.Repository, own, m)
	if err != nil {
		return false, err
	}
	report, err := c.strike(ctx, program, m.Profile)
	if err != nil {
		return false, fmt.Errorf("mutant %q: %w", m.Name, err)
	}
	ok, said := m.verdict(report)
	_, err = fmt.Fprintf(c.Out, "%-38s %-14s %-4v %s (%s)\n", m.Name, m.Profile, mark(ok), said, time.Since(began).Round(time.Second))
	return ok, errors.Join(err, os.RemoveAll(own))
}

func mark(ok bool) string {
	if ok {
		return "ok"
	}
	return "BAD"
}

// verdict says whether the judge was right: about a mutant when a check found it that should, about Sluice itself when
// nothing was found.
func (m Mutant) verdict(report chaos.Report) (ok bool, said string) {
	var found []string
	for _, check := range chaos.Checks() {
		if n := report.Count(check); n > 0 {
			found = append(found, fmt.Sprintf("%s: %d", check, n))
		}
	}
	switch {
	case len(m.Edits) == 0 && len(report.Idle) > 0:
		return false, "these never struck: " + strings.Join(report.Idle, ", ")
	case len(m.Edits) == 0:
		return len(found) == 0, "found " + listed(found)
	}
	for _, check := range m.Caught {
		if report.Count(check) > 0 {
			return true, "caught by " + strings.Join(found, ", ")
		}
	}
	return false, "survived; found " + listed(found)
}

func listed(found []string) string {
	if len(found) == 0 {
		return "nothing"
	}
	return strings.Join(found, ", ")
}

// strike makes a chaos run with the program and reads its report.
func (c Config) strike(ctx context.Context, program, profile string) (chaos.Report, error) {
	command := exec.CommandContext(ctx, c.Local, "chaos", "--json", "--sluice", program, "--profile", profile, //nolint:gosec // The arguments are ours.
		"--seed", strconv.FormatUint(c.Seed, 10), "--uploads", strconv.Itoa(uploads), "--duration", duration.String())
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	var said bytes.Buffer
	command.Stderr = &said
	output, err := command.Output()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		return chaos.Report{}, err
	}
	var report chaos.Report
	if decodeErr := json.Unmarshal(output, &report); decodeErr != nil {
		return chaos.Report{}, fmt.Errorf("read the report of the run: %w (%w)\n%s", decodeErr, err, &said)
	}
	return report, nil
}
