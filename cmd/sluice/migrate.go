package main

import (
	"context"
	"log/slog"

	"github.com/sluice-media/sluice/sagas"
)

type migrateCommand struct {
	Database sagas.Config `embed:"" prefix:"database-"`
}

// Run applies what is missing. It may run on several machines at once.
func (c *migrateCommand) Run(ctx context.Context, log *slog.Logger) error {
	pool, err := sagas.Connect(ctx, c.Database.Direct())
	if err != nil {
		return err
	}
	defer pool.Close()
	applied, err := sagas.Migrate(ctx, pool)
	if err != nil {
		return err
	}
	log.Info("the database schema is up to date", "applied", applied)
	return nil
}
