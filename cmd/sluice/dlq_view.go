package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-media/sluice/pipeline/deadletter"
	"github.com/sluice-media/sluice/sagas"
)

// letterBox is a dead-letter queue as it is shown.
type letterBox struct {
	deadletter.Depth
	Stage    string   `json:"stage"`
	Messages []letter `json:"messages"`
}

// letter is a dead letter as it is shown, with the uploads that it is about.
type letter struct {
	Message deadletter.Message `json:"message"`
	Uploads []letterUpload     `json:"uploads"`
	Problem string             `json:"problem,omitempty"` // why uploads are missing
}

type letterUpload struct {
	ID    uuid.UUID   `json:"id"`
	State sagas.State `json:"state"`
}

func (o *letterOffice) read(ctx context.Context, m deadletter.Message) letter {
	l := letter{Message: m, Uploads: []letterUpload{}}
	uploads, err := m.Uploads(ctx, o.store)
	for _, u := range uploads {
		l.Uploads = append(l.Uploads, letterUpload{ID: u.ID, State: u.State})
	}
	if err != nil {
		l.Problem = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return l
}

// about says on one line what the letter is about. It quotes what others chose: that must not reach the terminal as it
// is.
func (l letter) about() string {
	var parts []string
	for _, u := range l.Uploads {
		parts = append(parts, fmt.Sprintf("upload %s %s", u.ID, u.State))
	}
	if l.Problem != "" {
		parts = append(parts, strconv.Quote(l.Problem))
	}
	if len(parts) == 0 {
		return "about no upload"
	}
	return strings.Join(parts, ", ")
}

func printBoxes(w io.Writer, boxes []letterBox) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintln(table, "STAGE\tQUEUE\tMESSAGES\tIN FLIGHT")
	for _, b := range boxes {
		if err == nil {
			_, err = fmt.Fprintf(table, "%s\t%s\t%d\t%d\n", b.Stage, b.Queue, b.Visible, b.InFlight)
		}
	}
	if err != nil {
		return err
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, b := range boxes {
		if err := b.printMessages(w); err != nil {
			return err
		}
	}
	return nil
}

func (b letterBox) printMessages(w io.Writer) error {
	if len(b.Messages) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(w, "\n%s, %d of %d:\n", b.Stage, len(b.Messages), b.Visible); err != nil {
		return err
	}
	for _, l := range b.Messages {
		m := l.Message
		if _, err := fmt.Fprintf(w, "  %s  sent %s  %s\n", m.ID, m.SentAt.Format(time.RFC3339), l.about()); err != nil {
			return err
		}
	}
	return nil
}

func (l letter) print(w io.Writer) error {
	m := l.Message
	payload := string(m.Payload)
	if !json.Valid(m.Payload) {
		payload = strconv.Quote(payload)
	}
	lines := [][2]string{
		{"message", m.ID},
		{"stage", m.Stage},
		{"sent", m.SentAt.Format(time.RFC3339Nano)},
		{"received", fmt.Sprintf("%d times", m.ReceiveCount)},
		{"envelope", strconv.Quote(m.EnvelopeID)},
	}
	for _, key := range slices.Sorted(maps.Keys(m.Metadata)) {
		lines = append(lines, [2]string{"metadata", fmt.Sprintf("%s=%q", key, m.Metadata[key])})
	}
	lines = append(lines, [2]string{"payload", payload}, [2]string{"about", l.about()})
	for _, line := range lines {
		if _, err := fmt.Fprintf(w, "%-9s %s\n", line[0], line[1]); err != nil {
			return err
		}
	}
	return nil
}
