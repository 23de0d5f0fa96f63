package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is a table, and what it has to say about the targets.
type report struct {
	out    io.Writer
	missed []string
}

// measured has measure take its figures on a bed and print them on standard output, below when and where they are taken.
// With check, targets that are missed are an error.
func measured(ctx context.Context, parent string, durable, check bool, measure func(*bed, *report) error) (err error) {
	r := &report{out: os.Stdout}
	if err := r.machine(); err != nil {
		return err
	}
	b, err := makeBed(ctx, parent, durable)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close(context.WithoutCancel(ctx))) }()
	if err := measure(b, r); err != nil {
		return err
	}
	if check && len(r.missed) > 0 {
		return fmt.Errorf("targets missed: %s", strings.Join(r.missed, "; "))
	}
	return nil
}

// machine prints when and where the figures are taken.
func (r *report) machine() error {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.out, "%s, %d processors, %s; load before the run: %s", time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.NumCPU(), runtime.Version(), load)
	return err
}

// table prints rows under a title, in columns.
func (r *report) table(title string, rows ...[]string) error {
	if title != "" {
		title = "\n" + title + "\n"
	}
	if _, err := io.WriteString(r.out, title); err != nil {
		return err
	}
	columns := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			separator := "\t"
			if i == len(row)-1 {
				separator = "\n"
			}
			if _, err := fmt.Fprintf(columns, "  %s%s", cell, separator); err != nil {
				return err
			}
		}
	}
	return columns.Flush()
}

// target is a figure that has to be at least, or at most, a limit.
type target struct {
	what   string
	figure float64
	limit  float64
	atMost bool
}

func (t target) met() bool {
	if t.atMost {
		return t.figure <= t.limit
	}
	return t.figure >= t.limit
}

// targets prints which targets are met.
func (r *report) targets(targets ...target) error {
	rows := make([][]string, len(targets))
	for i, t := range targets {
		relation, verdict := "≥", "met"
		if t.atMost {
			relation = "≤"
		}
		if !t.met() {
			verdict = "MISSED"
			r.missed = append(r.missed, t.what)
		}
		rows[i] = []string{t.what, fmt.Sprintf("%.2f", t.figure), fmt.Sprintf("%s %g", relation, t.limit), verdict}
	}
	return r.table("Targets", rows...)
}

// median of values, of which there is at least one.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func micros(d time.Duration) string {
	return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond))
}
