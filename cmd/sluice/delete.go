package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/alecthomas/kong"
)

type deleteCmd struct {
	IDs    []uploadID `arg:"" name:"id" help:"Ids of uploads."`
	JSON   bool       `help:"Print one JSON object a line and upload, as DELETE /v1/uploads/{id} answers."`
	Remote remote     `embed:""`
}

// Help implements kong.HelpProvider.
func (deleteCmd) Help() string {
	return `An upload without an outcome is aborted. A file is removed with its renditions from where it is published, though a CDN may keep its copies. It may be said again, and nobody is asked first.

The exit status is 0 when all are deleted, 1 when one is not, 2 when the command is wrong.`
}

// Run deletes what it can.
func (c *deleteCmd) Run(ctx context.Context, k *kong.Context) error {
	api, err := c.Remote.client(1)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range c.IDs {
		u, err := api.Delete(ctx, id.String())
		switch {
		case ctx.Err() != nil:
			return errors.Join(append(errs, errInterrupted)...)
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", id, err))
			continue
		case c.JSON:
			err = json.NewEncoder(k.Stdout).Encode(u)
		default:
			_, err = fmt.Fprintf(k.Stdout, "%s  %s  %s\n", printable(u.Filename), u.State, u.ID)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}
