package sagas_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

func TestIsUnavailable(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"connection failure":        {&pgconn.PgError{Code: "08006"}, true},
		"too many connections":      {&pgconn.PgError{Code: "53300"}, true},
		"disk full":                 {&pgconn.PgError{Code: "53100"}, true},
		"shutting down":             {&pgconn.PgError{Code: "57P01"}, true},
		"starting up":               {&pgconn.PgError{Code: "57P03"}, true},
		"reset":                     {reset, true},
		"reset, wrapped":            {fmt.Errorf("moving: %w", reset), true},
		"end in the middle":         {io.ErrUnexpectedEOF, true},
		"closed before":             {pgconn.ErrConnClosed, true},
		"none":                      {nil, false},
		"cancelled query":           {&pgconn.PgError{Code: "57014"}, false},
		"duplicate key":             {&pgconn.PgError{Code: "23505"}, false},
		"serialization failure":     {&pgconn.PgError{Code: "40001"}, false},
		"not found":                 {sagas.ErrNotFound, false},
		"moved":                     {sagas.ErrMoved, false},
		"the caller left":           {context.Canceled, false},
		"the caller left in a read": {errors.Join(reset, context.Canceled), false},
		"the caller's time is over": {context.DeadlineExceeded, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sagas.IsUnavailable(tc.err); got != tc.want {
				t.Errorf("%v: %t, want %t", tc.err, got, tc.want)
			}
		})
	}
}

func TestAServerThatIsNotThereIsUnavailable(t *testing.T) {
	s := sagas.NewStore(connect(t, sagas.Config{URL: "postgres://sluice@" + closedPort(t) + "/sluice?sslmode=disable",
		MaxConns: 1, ConnectTimeout: 5 * time.Second}), "test")
	if err := s.Ping(t.Context()); !sagas.IsUnavailable(err) {
		t.Errorf("%v is not unavailable", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := s.Ping(gone); err == nil || sagas.IsUnavailable(err) {
		t.Errorf("a caller that left made %v", err)
	}
}

func TestAConnectionThatTheServerEndsIsUnavailable(t *testing.T) {
	pool := sagatest.Pool(t)
	if _, err := pool.Exec(t.Context(), "SELECT pg_terminate_backend(pg_backend_pid())"); !sagas.IsUnavailable(err) {
		t.Errorf("%v is not unavailable", err)
	}
	if _, err := pool.Exec(t.Context(), "SELECT nothing"); err == nil || sagas.IsUnavailable(err) {
		t.Errorf("a mistake in the statement made %v", err)
	}
}
