package api

import (
	"context"
	"net/http"

	"github.com/sluice-media/sluice/handlers/ops"
)

type healthOutput struct {
	Body struct {
		Status string `json:"status" enum:"ok"`
	}
}

// healthz says that the process answers.
func healthz(context.Context, *struct{}) (*healthOutput, error) {
	out := &healthOutput{}
	out.Body.Status = ops.OK
	return out, nil
}

type readyOutput struct {
	Status int
	Body   ops.Readiness
}

// readyz says whether everything that the API depends on answers.
func (s *server) readyz(ctx context.Context, _ *struct{}) (*readyOutput, error) {
	out := &readyOutput{Status: http.StatusOK, Body: ops.Ready(ctx, s.checks, s.log)}
	if out.Body.Status != ops.OK {
		out.Status = http.StatusServiceUnavailable
	}
	return out, nil
}
