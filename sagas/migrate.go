package sagas

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrOldSchema reports a database whose migrations have not all been applied.
var ErrOldSchema = errors.New("the database schema is not up to date: run `sluice migrate`")

// Migrate brings the schema up to date and returns the files it applied. Several processes may call it at once:
// an advisory lock lets one at a time work. It needs a direct connection, not a transaction pooler.
func Migrate(ctx context.Context, pool *pgxpool.Pool) (applied []string, err error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // tries every second for five minutes
	if err != nil {
		return nil, fmt.Errorf("making the migration lock: %w", err)
	}
	err = withProvider(pool, func(p *goose.Provider) error {
		results, err := p.Up(ctx)
		for _, r := range results {
			applied = append(applied, r.Source.Path)
		}
		return err
	}, goose.WithSessionLocker(locker))
	if err != nil {
		return applied, fmt.Errorf("migrating the database: %w", err)
	}
	return applied, nil
}

// CheckSchema returns ErrOldSchema when Migrate has work to do.
func CheckSchema(ctx context.Context, pool *pgxpool.Pool) error {
	return withProvider(pool, func(p *goose.Provider) error {
		pending, err := p.HasPending(ctx)
		if err != nil {
			return fmt.Errorf("reading the schema version: %w", err)
		}
		if pending {
			return ErrOldSchema
		}
		return nil
	})
}

func withProvider(pool *pgxpool.Pool, use func(*goose.Provider) error, opts ...goose.ProviderOption) (err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, opts...)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	return use(p)
}
