package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

const checkTimeout = 3 * time.Second

// Check asks after one thing that the service depends on.
type Check struct {
	Name string

	// Run returns within its context. The detail is shown to anyone, the error only logged.
	Run func(ctx context.Context) (detail string, err error)
}

type healthOutput struct {
	Body struct {
		Status string `json:"status" enum:"ok"`
	}
}

// healthz says that the process answers.
func healthz(context.Context, *struct{}) (*healthOutput, error) {
	out := &healthOutput{}
	out.Body.Status = "ok"
	return out, nil
}

type readyOutput struct {
	Status int
	Body   v1.Readiness
}

// readyz runs all checks at once.
func (s *server) readyz(ctx context.Context, _ *struct{}) (*readyOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	results := make([]v1.Check, len(s.checks))
	var wg sync.WaitGroup
	for i, check := range s.checks {
		wg.Go(func() { results[i] = s.check(ctx, check) })
	}
	wg.Wait()

	out := &readyOutput{Status: http.StatusOK, Body: v1.Readiness{Status: "ok", Checks: map[string]v1.Check{}}}
	for i, check := range s.checks {
		out.Body.Checks[check.Name] = results[i]
		if results[i].Status != "ok" {
			out.Status, out.Body.Status = http.StatusServiceUnavailable, "failing"
		}
	}
	return out, nil
}

func (s *server) check(ctx context.Context, c Check) v1.Check {
	detail, err := c.Run(ctx)
	if err != nil {
		s.log.WarnContext(ctx, "not ready", "check", c.Name, "error", err)
		return v1.Check{Status: "failing", Detail: detail}
	}
	return v1.Check{Status: "ok", Detail: detail}
}
