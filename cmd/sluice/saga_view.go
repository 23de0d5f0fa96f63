package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/sagas"
)

// sagaRecord is an upload as an operator sees it: more than the API shows its owner.
type sagaRecord struct {
	ID         uuid.UUID         `json:"id"`
	State      sagas.State       `json:"state"`
	WaitsFor   string            `json:"waits_for,omitempty"` // the stage
	Version    int64             `json:"version"`
	Tenant     string            `json:"tenant"`
	Owner      string            `json:"owner"`
	Filename   string            `json:"filename"`
	Method     sagas.Method      `json:"method"`
	Object     sagaObject        `json:"object"`
	Declared   sagaContent       `json:"declared"`
	Observed   sagaContent       `json:"observed"`
	Width      int               `json:"width,omitempty"`
	Height     int               `json:"height,omitempty"`
	Variants   []sagas.Variant   `json:"variants"`
	Reason     *sagaReason       `json:"reason,omitempty"`
	Metadata   map[string]string `json:"metadata"`
	CreatedAt  time.Time         `json:"created_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
	ExpiresAt  time.Time         `json:"expires_at"`
	NotifiedAt *time.Time        `json:"notified_at,omitempty"`
	History    []sagaStep        `json:"history"`
}

// sagaObject is where the bytes are; ETag and version pin them once they have arrived.
type sagaObject struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	ETag      string `json:"etag,omitempty"`
	VersionID string `json:"version_id,omitempty"`
}

type sagaContent struct {
	Type   string `json:"type,omitempty"`
	Size   int64  `json:"size,omitempty"`   // bytes
	SHA256 string `json:"sha256,omitempty"` // hexadecimal
}

type sagaReason struct {
	Code   sagas.Code `json:"code"`
	Detail string     `json:"detail"`
}

type sagaStep struct {
	Seq        int64       `json:"seq"`
	Stage      string      `json:"stage"`
	From       sagas.State `json:"from,omitempty"`
	To         sagas.State `json:"to"`
	Attempt    int         `json:"attempt"`
	Worker     string      `json:"worker"`
	StartedAt  time.Time   `json:"started_at"`
	FinishedAt time.Time   `json:"finished_at"`
	Reason     *sagaReason `json:"reason,omitempty"`
}

func newSagaRecord(u sagas.Upload, history []sagas.Transition) sagaRecord {
	r := sagaRecord{
		ID: u.ID, State: u.State, WaitsFor: pipeline.WaitsFor(u), Version: u.Version,
		Tenant: u.Owner.Tenant, Owner: u.Owner.Subject, Filename: u.Filename, Method: u.Method,
		Object:   sagaObject{Bucket: u.Bucket, Key: u.Key, ETag: u.ETag, VersionID: u.VersionID},
		Declared: newSagaContent(u.Declared), Observed: newSagaContent(u.Observed),
		Width: u.Width, Height: u.Height, Variants: u.Variants, Reason: newSagaReason(u.Reason), Metadata: u.Metadata,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, ExpiresAt: u.ExpiresAt, NotifiedAt: u.NotifiedAt,
		History: make([]sagaStep, len(history)),
	}
	for i, t := range history {
		r.History[i] = sagaStep{
			Seq: t.Seq, Stage: t.Stage, From: t.From, To: t.To, Attempt: t.Attempt, Worker: t.Worker,
			StartedAt: t.StartedAt, FinishedAt: t.FinishedAt, Reason: newSagaReason(t.Reason),
		}
	}
	return r
}

func newSagaContent(c sagas.Content) sagaContent {
	return sagaContent{Type: c.Type, Size: c.Size, SHA256: hex.EncodeToString(c.SHA256)}
}

func newSagaReason(r sagas.Reason) *sagaReason {
	if r == (sagas.Reason{}) {
		return nil
	}
	return &sagaReason{Code: r.Code, Detail: r.Detail}
}

// String leaves out what is not known.
func (c sagaContent) String() string {
	var known []string
	if c.Size > 0 {
		known = append(known, fmt.Sprintf("%d bytes", c.Size))
	}
	if c.Type != "" {
		known = append(known, c.Type)
	}
	if c.SHA256 != "" {
		known = append(known, "sha256 "+c.SHA256)
	}
	return strings.Join(known, ", ")
}

func (r *sagaReason) String() string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("%s: %q", r.Code, r.Detail)
}

// print quotes what others chose: it must not reach the terminal as it is.
func (r sagaRecord) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var failure error
	row := func(format string, args ...any) {
		if failure == nil {
			_, failure = fmt.Fprintf(table, format+"\n", args...)
		}
	}
	row("upload\t%s, version %d", r.ID, r.Version)
	row("state\t%s", r.State)
	if r.Reason != nil {
		row("reason\t%s", r.Reason)
	}
	switch {
	case r.WaitsFor != "":
		row("waits for\t%s, since %s", r.WaitsFor, r.UpdatedAt.Format(time.RFC3339))
	case r.NotifiedAt != nil:
		row("delivered\t%s", r.NotifiedAt.Format(time.RFC3339))
	}
	row("file\t%q, by %s", r.Filename, r.Method)
	row("owner\t%q of tenant %q", r.Owner, r.Tenant)
	row("object\t%s/%s", r.Object.Bucket, r.Object.Key)
	if r.Object.ETag != "" {
		row("pinned\tetag %s, version %s", r.Object.ETag, r.Object.VersionID)
	}
	row("declared\t%s", r.Declared)
	if r.Observed.Size > 0 {
		row("observed\t%s", r.Observed)
	}
	if r.Width > 0 {
		row("shows\t%d×%d pixels", r.Width, r.Height)
	}
	for _, v := range r.Variants {
		row("variant\t%s: %s, %d bytes, %d×%d pixels", v.Name, v.Key, v.Size, v.Width, v.Height)
	}
	row("created\t%s, expires %s", r.CreatedAt.Format(time.RFC3339), r.ExpiresAt.Format(time.RFC3339))
	if failure != nil {
		return failure
	}
	if err := table.Flush(); err != nil {
		return err
	}
	row("\nFINISHED\tSTAGE\tTO\tTOOK\tATTEMPT\tWORKER\tREASON")
	for _, s := range r.History {
		row("%s\t%s\t%s\t%s\t%d\t%s\t%s", s.FinishedAt.Format("2006-01-02T15:04:05.000Z07:00"), s.Stage, s.To,
			s.FinishedAt.Sub(s.StartedAt).Round(time.Millisecond), s.Attempt, s.Worker, s.Reason)
	}
	if failure != nil {
		return failure
	}
	return table.Flush()
}
