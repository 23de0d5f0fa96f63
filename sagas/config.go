package sagas

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says where the database is.
type Config struct {
	URL            string        `help:"PostgreSQL connection string." default:"postgres://sluice@127.0.0.1:8084/sluice?sslmode=disable"`
	MaxConns       int32         `help:"Most connections that one process opens." default:"8"`
	ConnectTimeout time.Duration `help:"How long to wait for a connection." default:"5s"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	if _, err := pgxpool.ParseConfig(c.URL); err != nil {
		errs = append(errs, fmt.Errorf("database url: %w", err))
	}
	if c.MaxConns < 1 {
		errs = append(errs, fmt.Errorf("database max-conns: %d is less than 1", c.MaxConns))
	}
	if c.ConnectTimeout <= 0 {
		errs = append(errs, fmt.Errorf("database connect-timeout: %s is not positive", c.ConnectTimeout))
	}
	return errors.Join(errs...)
}

// Connect opens the pool. It does not wait for the database: a server that is away shows at the first query.
func Connect(ctx context.Context, c Config) (*pgxpool.Pool, error) {
	conf, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("parsing the database url: %w", err)
	}
	conf.MaxConns = c.MaxConns
	conf.ConnConfig.ConnectTimeout = c.ConnectTimeout
	pool, err := pgxpool.NewWithConfig(ctx, conf)
	if err != nil {
		return nil, fmt.Errorf("opening the database pool: %w", err)
	}
	return pool, nil
}
