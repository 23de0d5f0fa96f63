package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sluice-media/sluice/deploy/local/postgres"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

// bed is what measurements stand on: a temporary folder, the processes in it and a PostgreSQL server.
type bed struct {
	dir        string
	program    string // this program
	supervisor *supervise.Supervisor
	database   postgres.Config
	postgres   *supervise.Service

	stops []func(context.Context) error
}

// makeBed starts the server. The folder, which close removes, is in parent; "" is the system's place.
func makeBed(ctx context.Context, parent string, durable bool) (b *bed, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "sluice-bench-")
	if err != nil {
		return nil, err
	}
	b = &bed{dir: dir, program: program}
	b.onStop(func(context.Context) error { return os.RemoveAll(dir) })
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close(context.WithoutCancel(ctx)))
		}
	}()
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // PostgreSQL's account passes through to its folder
		return nil, err
	}
	logs := filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o700); err != nil {
		return nil, err
	}
	b.supervisor = &supervise.Supervisor{
		Logs:   logs,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	b.database = postgres.Config{Dir: filepath.Join(dir, "postgres"), Port: port, Password: uuid.NewString(), Durable: durable}
	if b.postgres, err = postgres.Start(ctx, b.supervisor, b.database); err != nil {
		return nil, err
	}
	b.onStop(b.postgres.Stop)
	return b, nil
}

func (b *bed) onStop(stop func(context.Context) error) { b.stops = append(b.stops, stop) }

// close stops everything, the last first.
func (b *bed) close(ctx context.Context) error {
	var errs []error
	for _, stop := range slices.Backward(b.stops) {
		errs = append(errs, stop(ctx))
	}
	b.stops = nil
	return errors.Join(errs...)
}

// createDatabase makes an empty database and returns its connection string.
func (b *bed) createDatabase(ctx context.Context, name string) (string, error) {
	if err := execute(ctx, b.database.URL(), "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", err
	}
	u, err := url.Parse(b.database.URL())
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

// checkpoint writes out what is in memory, so that it does not happen while something is measured.
func (b *bed) checkpoint(ctx context.Context) error {
	u, err := url.Parse(b.database.URL())
	if err != nil {
		return err
	}
	u.User, u.Path = url.UserPassword("postgres", b.database.Password), "/postgres"
	return execute(ctx, u.String(), "CHECKPOINT")
}

// execute runs statements one by one on a connection of their own.
func execute(ctx context.Context, databaseURL string, statements ...string) (err error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%.60s: %w", statement, err)
		}
	}
	return nil
}

func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func freePort(ctx context.Context) (int, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return 0, err
	}
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return 0, err
	}
	return resolved.Port, nil
}
