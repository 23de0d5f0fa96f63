package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"github.com/valyala/fasthttp"

	"github.com/sluice-media/sluice/deploy/local/supervise"
)

const (
	// users call in turn, each with a token of its own.
	users     = 1_000
	jwtSecret = "a secret of the bench's, 32 bytes at least"

	// nowhere is the address of an object storage that nobody asks: signing needs none.
	nowhere = "http://127.0.0.1:9"
	bucket  = "incoming"
)

// backend is one that hands out permission to upload, in a process of its own.
type backend struct {
	name     string
	service  *supervise.Service
	address  string // host:port
	database string // URL
	written  string // SQL that counts what it has written
	per      int64  // of that, for each permission

	bearers []string // Authorization headers, by user; nil where there is no authentication
	presign func(user int, request *fasthttp.Request)
	granted int   // the status of an answer with a permission
	answers int64 // with a permission, so far
}

// startSluice runs `sluice api` with its defaults. Its log goes to a file, one line for each request.
func (b *bed) startSluice(ctx context.Context, program string) (*backend, error) {
	d, err := b.createSluice(ctx, "sluice_api", 0, 0)
	if err != nil {
		return nil, err
	}
	program, err = filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	s := &backend{
		name: "sluice api", database: d.url, granted: http.StatusCreated,
		written: "SELECT (SELECT count(*) FROM uploads) + (SELECT count(*) FROM upload_transitions)", per: 2,
	}
	if s.bearers, err = bearerTokens(); err != nil {
		return nil, err
	}
	s.presign = func(user int, request *fasthttp.Request) {
		request.Header.SetMethod(http.MethodPost)
		request.SetRequestURI("/v1/uploads")
		request.Header.Set("Authorization", s.bearers[user])
		request.Header.SetContentType("application/json")
		request.SetBodyString(`{"filename":"holiday.jpg","content_type":"image/jpeg","size":3145728}`)
	}
	// The shell only puts the log's file in place.
	command := []string{"/bin/sh", "-c", `exec "$0" api 2>"$1"`, program, filepath.Join(b.dir, "logs", "requests.log")}
	return s, b.serve(ctx, s, command, func(address string) []string {
		return []string{"SLUICE_LISTEN=" + address, "SLUICE_DATABASE_URL=" + s.database, "SLUICE_JWT_SECRET=" + jwtSecret, "SLUICE_S3_ENDPOINT=" + nowhere}
	})
}

// startPeer runs the usual backend from its folder.
func (b *bed) startPeer(ctx context.Context, folder string) (*backend, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, err
	}
	script, err := filepath.Abs(filepath.Join(folder, "server.mjs"))
	if err != nil {
		return nil, err
	}
	p := &backend{name: "express", granted: http.StatusOK, written: "SELECT count(*) FROM files", per: 1}
	if p.database, err = b.createDatabase(ctx, "peer"); err != nil {
		return nil, err
	}
	p.presign = func(_ int, request *fasthttp.Request) {
		request.Header.SetMethod(http.MethodPost)
		request.SetRequestURI("/get-upload-url")
		request.Header.SetContentType("application/json")
		request.SetBodyString(`{"filename":"holiday.jpg","contentType":"image/jpeg"}`)
	}
	return p, b.serve(ctx, p, []string{node, script}, func(address string) []string {
		_, port, _ := strings.Cut(address, ":")
		return []string{"NODE_ENV=production", "PORT=" + port, "DATABASE_URL=" + p.database, "S3_ENDPOINT=" + nowhere, "S3_BUCKET=" + bucket}
	})
}

// serve starts the backend by its command, with only those variables, and waits until it answers.
func (b *bed) serve(ctx context.Context, s *backend, command []string, env func(address string) []string) (err error) {
	if s.address, err = freeAddress(ctx); err != nil {
		return err
	}
	s.service, err = b.supervisor.Start(ctx, supervise.Spec{
		Name: strings.ReplaceAll(s.name, " ", "-"),
		Path: command[0],
		Args: command[1:],
		Env: func() []string {
			return append(env(s.address), "PATH="+os.Getenv("PATH"),
				"AWS_REGION="+region, "AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey)
		},
		Ready: func(ctx context.Context) error { return s.healthy(ctx) },
	})
	if err != nil {
		return err
	}
	b.onStop(s.service.Stop)
	return nil
}

func (s *backend) healthy(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/healthz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
		return errors.Join(err, fmt.Errorf("healthz: %s", response.Status))
	}
	return nil
}

// checkWritten compares what is in the database with what was answered. A request that was being answered when its
// window ended is waited for, so the two are equal.
func (s *backend) checkWritten(ctx context.Context) (err error) {
	conn, err := pgx.Connect(ctx, s.database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	var rows int64
	if err := conn.QueryRow(ctx, s.written).Scan(&rows); err != nil {
		return err
	}
	if want := s.answers * s.per; rows != want {
		return fmt.Errorf("%s has written %d rows instead of %d for %d permissions", s.name, rows, want, s.answers)
	}
	return nil
}

// bearerTokens are the Authorization headers of all users.
func bearerTokens() ([]string, error) {
	bearers := make([]string, users)
	for i := range bearers {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"sub": fmt.Sprintf("user-%d", i), "tenant": "acme", "exp": time.Now().Add(24 * time.Hour).Unix(),
		}).SignedString([]byte(jwtSecret))
		if err != nil {
			return nil, err
		}
		bearers[i] = "Bearer " + token
	}
	return bearers, nil
}
