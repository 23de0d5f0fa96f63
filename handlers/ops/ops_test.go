package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-media/sluice/handlers/ops"
)

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestReadyzTellsWhatFails(t *testing.T) {
	down := errors.New("secret-host:5432 refused")
	var answer error
	checks := []ops.Check{
		ops.Ping("database", func(context.Context) error { return answer }),
		{Name: "signatures", Run: func(context.Context) (string, error) { return "test signatures only", nil }},
	}
	server := httptest.NewServer(ops.Handler(prometheus.NewRegistry(), checks, slog.New(slog.DiscardHandler)))
	defer server.Close()
	for _, tc := range []struct {
		err    error
		status int
		want   string
	}{{nil, http.StatusOK, ops.OK}, {down, http.StatusServiceUnavailable, ops.Failing}, {nil, http.StatusOK, ops.OK}} {
		answer = tc.err
		status, body := get(t, server.URL+"/readyz")
		var r ops.Readiness
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatal(err)
		}
		if status != tc.status || r.Status != tc.want || r.Checks["database"].Status != tc.want || r.Checks["signatures"].Detail != "test signatures only" {
			t.Errorf("answered %d, %+v; want %d, %s", status, r, tc.status, tc.want)
		}
		if strings.Contains(body, "secret-host") {
			t.Errorf("it tells too much: %s", body)
		}
	}
	if status, _ := get(t, server.URL+"/healthz"); status != http.StatusOK {
		t.Errorf("healthz answered %d", status)
	}
}

func TestServeFinishesWhatItHasBegun(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	begun, proceed := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-proceed
		w.WriteHeader(http.StatusTeapot)
	})
	served := make(chan error, 1)
	go func() { served <- ops.ServeListener(ctx, listener, handler, slog.New(slog.DiscardHandler)) }()
	answered := make(chan int, 1)
	go func() {
		status, _ := get(t, "http://"+listener.Addr().String())
		answered <- status
	}()
	<-begun
	stop()
	close(proceed)
	if status := <-answered; status != http.StatusTeapot {
		t.Errorf("answered %d", status)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
