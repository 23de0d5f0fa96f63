package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/alecthomas/kong"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

type statusCmd struct {
	ID      uploadID      `arg:"" name:"id" help:"The upload's id."`
	JSON    bool          `help:"Print the JSON object that GET /v1/uploads/{id} answers."`
	Wait    bool          `help:"Wait for the outcome; the exit status is 0 only when it is ready."`
	Timeout time.Duration `env:"-" help:"How long to wait, such as 90s, 30m or 2h; 0 for as long as it takes."`
	Remote  remote        `embed:""`
}

// Validate reports a time that cannot be waited.
func (c *statusCmd) Validate() error {
	if c.Timeout < 0 {
		return fmt.Errorf("timeout: %s is negative", c.Timeout)
	}
	return nil
}

// Run shows the upload.
func (c *statusCmd) Run(ctx context.Context, k *kong.Context) error {
	api, err := c.Remote.client(1)
	if err != nil {
		return err
	}
	u, err := api.Get(ctx, c.ID.String())
	if err != nil {
		return err
	}
	if c.Wait && !u.Settled() {
		waiting, cancel := ctx, context.CancelFunc(func() {})
		if c.Timeout > 0 {
			waiting, cancel = context.WithTimeoutCause(ctx, c.Timeout, errNoOutcome)
		}
		defer cancel()
		shown := newDisplay(k.Stderr, false).track(0, u.Filename, u.Size)
		if u, err = api.Wait(waiting, u.ID, shown.changed); err != nil {
			return err
		}
	}
	if err := c.print(k.Stdout, u); err != nil {
		return err
	}
	if c.Wait && !u.Ready() {
		return fmt.Errorf("the upload is %s", u.State)
	}
	return nil
}

func (c *statusCmd) print(w io.Writer, u v1.Upload) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(u)
	}
	if _, err := io.WriteString(w, summary(u)); err != nil {
		return err
	}
	for _, t := range u.History {
		if _, err := fmt.Fprintf(w, "  %s\n", step(t.StartedAt.Format(time.TimeOnly), u, t)); err != nil {
			return err
		}
	}
	return nil
}
