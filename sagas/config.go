package sagas

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// execModes are pgx's, by the names that it has for them in a connection string.
var execModes = map[string]pgx.QueryExecMode{
	"cache_statement": pgx.QueryExecModeCacheStatement,
	"cache_describe":  pgx.QueryExecModeCacheDescribe,
	"describe_exec":   pgx.QueryExecModeDescribeExec,
	"exec":            pgx.QueryExecModeExec,
	"simple_protocol": pgx.QueryExecModeSimpleProtocol,
}

// A connection on which nothing comes for half a minute is dead.
const (
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 5 * time.Second
	keepAliveCount    = 3
)

// Config says where the database is.
type Config struct {
	URL            string        `help:"PostgreSQL connection string." default:"postgres://sluice@127.0.0.1:8084/sluice?sslmode=disable"`
	DirectURL      string        `help:"PostgreSQL connection string that bypasses a pooler, for what needs a session of its own: migrations and listening for changes. Empty: the same as the other." default:""`
	ExecMode       string        `help:"How statements are executed (${enum}). Behind a pooler in transaction mode: cache_describe, or exec. A default_query_exec_mode in the connection string comes first." enum:"cache_statement,cache_describe,describe_exec,exec,simple_protocol" default:"cache_statement"`
	MaxConns       int32         `help:"Most connections that one process opens." default:"8"`
	ConnectTimeout time.Duration `help:"How long to wait for a connection." default:"5s"`
	Recheck        time.Duration `help:"How often the API reads again what is waited for, lest an announcement was lost." default:"5s"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	if _, err := pgxpool.ParseConfig(c.URL); err != nil {
		errs = append(errs, fmt.Errorf("database url: %w", err))
	}
	if _, err := pgxpool.ParseConfig(c.Direct().URL); err != nil {
		errs = append(errs, fmt.Errorf("database direct-url: %w", err))
	}
	if _, ok := execModes[c.ExecMode]; !ok {
		errs = append(errs, fmt.Errorf("database exec-mode: unknown mode %q", c.ExecMode))
	}
	if c.MaxConns < 1 {
		errs = append(errs, fmt.Errorf("database max-conns: %d is less than 1", c.MaxConns))
	}
	if c.ConnectTimeout <= 0 {
		errs = append(errs, fmt.Errorf("database connect-timeout: %s is not positive", c.ConnectTimeout))
	}
	if c.Recheck <= 0 {
		errs = append(errs, fmt.Errorf("database recheck: %s is not positive", c.Recheck))
	}
	return errors.Join(errs...)
}

// Direct is the configuration of connections that must not go through a pooler.
func (c Config) Direct() Config {
	if c.DirectURL != "" {
		c.URL = c.DirectURL
	}
	return c
}

// Connect opens the pool. It does not wait for the database: a server that is away shows at the first query.
func Connect(ctx context.Context, c Config) (*pgxpool.Pool, error) {
	conf, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("parsing the database url: %w", err)
	}
	if mode, ok := execModes[c.ExecMode]; ok && conf.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		conf.ConnConfig.DefaultQueryExecMode = mode
	}
	conf.MaxConns = c.MaxConns
	c.dial(conf.ConnConfig)
	conf.PingTimeout = c.ConnectTimeout
	pool, err := pgxpool.NewWithConfig(ctx, conf)
	if err != nil {
		return nil, fmt.Errorf("opening the database pool: %w", err)
	}
	return pool, nil
}

// dial says how a connection is made, and what tells that one is dead on which nothing is awaited.
func (c Config) dial(conn *pgx.ConnConfig) {
	conn.ConnectTimeout = c.ConnectTimeout
	conn.DialFunc = (&net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount},
	}).DialContext
}
