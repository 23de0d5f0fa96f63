package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/alecthomas/kong"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/sluice-media/sluice/handlers/api/client"
	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

// pageSize is the most that the API lists at once.
const pageSize = 100

type listCmd struct {
	State  []string `env:"-" placeholder:"STATE" enum:"initiated,uploaded,verified,clean,processed,ready,rejected,infected,unscannable,failed,expired,aborted,deleted" help:"Only uploads in this state, or in one of several: ${enum}."`
	Since  since    `env:"-" placeholder:"TIME" help:"Only uploads begun later: 90m or 24h ago, or since 2026-01-31 or 2026-01-31T12:00:00Z."`
	Until  since    `env:"-" placeholder:"TIME" help:"Only uploads begun earlier."`
	Limit  int      `env:"-" short:"n" default:"50" help:"Most uploads to list; 0 for all."`
	JSON   bool     `help:"Print one JSON object a line and upload, as GET /v1/uploads answers them."`
	Remote remote   `embed:""`
}

// Validate reports every mistake at once.
func (c *listCmd) Validate() error {
	var errs []error
	if c.Limit < 0 {
		errs = append(errs, fmt.Errorf("limit: %d is negative", c.Limit))
	}
	if !c.Until.IsZero() && !c.Since.Before(c.Until.Time) {
		errs = append(errs, errors.New("since: is not before until"))
	}
	return errors.Join(errs...)
}

// Run lists page by page, however many there are.
func (c *listCmd) Run(ctx context.Context, k *kong.Context) error {
	api, err := c.Remote.client(1)
	if err != nil {
		return err
	}
	filter := client.Filter{States: c.State, CreatedAfter: c.Since.Time, CreatedBefore: c.Until.Time}
	for left := c.Limit; ; {
		filter.Limit = pageSize
		if c.Limit > 0 {
			filter.Limit = min(left, pageSize)
		}
		page, err := api.List(ctx, filter)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			if err := c.print(k.Stdout, u); err != nil {
				return err
			}
		}
		left -= len(page.Uploads)
		switch filter.Cursor = page.Next; {
		case page.Next == "":
			return nil
		case c.Limit > 0 && left <= 0:
			_, err := fmt.Fprintln(k.Stderr, "there are more: --limit says how many are listed")
			return err
		}
	}
}

func (c *listCmd) print(w io.Writer, u v1.Upload) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(u)
	}
	_, err := fmt.Fprintf(w, "%s  %-11s  %10s  %s  %s\n",
		u.ID, u.State, fmt.Sprintf("% .1f", decor.SizeB1024(u.Size)), u.CreatedAt.Local().Format(time.DateTime), printable(u.Filename))
	return err
}

// since is a time, told as one or by how long ago it was.
type since struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *since) UnmarshalText(text []byte) error {
	if ago, err := time.ParseDuration(string(text)); err == nil && ago >= 0 {
		s.Time = time.Now().Add(-ago)
		return nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.ParseInLocation(form, string(text), time.Local); err == nil {
			s.Time = t
			return nil
		}
	}
	return fmt.Errorf("%q is neither how long ago, such as 24h, nor a time, such as 2026-01-31 or 2026-01-31T12:00:00Z", text)
}
