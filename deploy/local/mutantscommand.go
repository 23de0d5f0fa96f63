package main

import (
	"context"
	"errors"
	"os"

	"github.com/sluice-media/sluice/deploy/local/mutants"
)

type mutantsCommand struct {
	Repository string `help:"Root of Sluice's source." default:"." type:"existingdir"`
	Seed       uint64 `help:"Seed of every run." default:"1"`
	Only       string `help:"Try only the mutants whose names contain this."`
}

// Run tries the judge of the chaos runs. It ends with status 1 when a mutant survives.
func (c *mutantsCommand) Run(ctx context.Context, console console) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return errors.Join(requirePrograms(true), mutants.Run(ctx, mutants.Config{
		Repository: c.Repository, Local: self, Seed: c.Seed, Only: c.Only, Out: console.stdout,
	}))
}
