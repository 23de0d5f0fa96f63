package chaos

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Report is what came of a run.
type Report struct {
	Seed     uint64             `json:"seed"`
	Profile  string             `json:"profile"`
	Took     time.Duration      `json:"took_ns"`
	Uploads  int                `json:"uploads"`
	Outcomes map[string]int     `json:"outcomes"`
	Faults   map[string]Strikes `json:"faults"`
	// Idle are the faults that never struck: the run proves nothing about them.
	Idle     []string `json:"idle,omitempty"`
	Webhooks int      `json:"webhooks"` // deliveries, repeated ones included
	Looks    int64    `json:"looks"`    // at the edge, for what must not be there
	// Slowest is how long after the last fault the last upload had its outcome, and Allowed how long it might have
	// taken.
	Slowest time.Duration `json:"slowest_ns"`
	Allowed time.Duration `json:"allowed_ns"`
	// Cuts are the hosts that were cut off, and what came of it.
	Cuts []Cut `json:"cuts,omitempty"`
	// TurnedAway are customers who could not do what they came for, which says nothing about uploads.
	TurnedAway []string  `json:"turned_away,omitempty"`
	Findings   []Finding `json:"findings"`
}

// Passed tells that all faults struck and nothing is wrong.
func (r Report) Passed() bool { return len(r.Findings) == 0 && len(r.Idle) == 0 }

// Count is how many findings there are of a check.
func (r Report) Count(check string) (n int) {
	for _, f := range r.Findings {
		if f.Check == check {
			n++
		}
	}
	return n
}

// mostShown is how many findings of each check are printed.
const mostShown = 5

// Print writes the report for people.
func (r Report) Print(w io.Writer) error {
	p := printer{w: w}
	p.line("\nFaults, seed %d, profile %s:", r.Seed, r.Profile)
	p.err = printFaults(w, r.Faults)
	p.line("\n%d uploads in %s: %s", r.Uploads, r.Took.Round(time.Second), tallied(r.Outcomes))
	p.line("%d webhooks, %d looks at the edge, the last outcome %.1f s after the last fault (%.1f s allowed)",
		r.Webhooks, r.Looks, r.Slowest.Seconds(), r.Allowed.Seconds())
	for _, c := range r.Cuts {
		p.line("%s", c)
	}
	for _, trouble := range r.TurnedAway {
		p.line("turned away: %s", trouble)
	}
	for _, check := range Checks() {
		shown := 0
		for _, f := range r.Findings {
			if f.Check == check && shown < mostShown {
				shown++
				p.line("  %s: %s %s", check, f.Upload, f.Detail)
			}
		}
	}
	if len(r.Idle) > 0 {
		p.line("These faults never struck, so nothing is proved about them: %s", strings.Join(r.Idle, ", "))
	}
	var counts []string
	for _, check := range Checks() {
		counts = append(counts, fmt.Sprintf("%s: %d", check, r.Count(check)))
	}
	p.line("seed %d, %d uploads, %s", r.Seed, r.Uploads, strings.Join(counts, ", "))
	return p.err
}

// Suspects lists the uploads that something is wrong with, the first few of each check.
func (r Report) Suspects() (ids []string) {
	for _, check := range Checks() {
		shown := 0
		for _, f := range r.Findings {
			if f.Check == check && f.Upload != "" && shown < mostShown && !slices.Contains(ids, f.Upload) {
				shown++
				ids = append(ids, f.Upload)
			}
		}
	}
	return ids
}

func tallied(counts map[string]int) string {
	var parts []string
	for _, name := range sorted(counts) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], name))
	}
	return strings.Join(parts, ", ")
}

// printer writes lines until one cannot be written.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}
