package prometheus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluice-media/sluice/deploy/local/localtest"
	"github.com/sluice-media/sluice/deploy/local/prometheus"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

func TestTargetsAreScraped(t *testing.T) {
	program, ok := prometheus.Find()
	if !ok {
		t.Fatal("prometheus is not installed: deploy/local/install.sh does it")
	}
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "sluice_answer 42")
	}))
	defer target.Close()

	config := prometheus.Config{
		Dir: localtest.Folder(t), Port: localtest.Port(t),
		Targets: map[string]string{"api": strings.TrimPrefix(target.URL, "http://")},
	}
	supervisor := &supervise.Supervisor{Logs: t.TempDir(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	service, err := prometheus.Launch(t.Context(), supervisor, program, config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := service.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := service.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for answer(ctx, t, config) != "42" {
		select {
		case <-ctx.Done():
			t.Fatal("the target was never scraped")
		case <-poll.C:
		}
	}
}

// answer is the value of sluice_answer of the job api, or "" while there is none.
func answer(ctx context.Context, t *testing.T, config prometheus.Config) string {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.URL()+`/api/v1/query?query=sluice_answer{job="api"}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var found struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
		t.Fatal(err)
	}
	if len(found.Data.Result) == 0 {
		return ""
	}
	return fmt.Sprint(found.Data.Result[0].Value[1])
}
