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
	ID     string `arg:"" name:"id" help:"The upload's id."`
	JSON   bool   `help:"Print the JSON object that GET /v1/uploads/{id} answers."`
	Wait   bool   `help:"Wait for the outcome; the exit status is 0 only when it is ready."`
	Remote remote `embed:""`
}

// Run shows the upload.
func (c *statusCmd) Run(ctx context.Context, k *kong.Context) error {
	api, err := c.Remote.client(1)
	if err != nil {
		return err
	}
	u, err := api.Get(ctx, c.ID)
	if err != nil {
		return err
	}
	if c.Wait && !u.Settled() {
		shown := newDisplay(k.Stderr, false).track(0, u.Filename, u.Size)
		if u, err = api.Wait(ctx, c.ID, shown.changed); err != nil {
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
