package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-media/sluice/handlers/doctor"
	"github.com/sluice-media/sluice/pipeline"
)

func TestDoctor(t *testing.T) {
	b := newOperatorBundle(t)
	t.Setenv("SLUICE_ALLOWED_ORIGINS", "")
	t.Setenv("SLUICE_CLAMD_TEST_SIGNATURES", "true")
	t.Setenv("SLUICE_EVENT_WAIT", "100ms")
	t.Setenv("SLUICE_MAX_ATTEMPTS", "1")
	b.queues.Send("s3-events", "nobody takes this") // without a worker that is worth a warning, without a message a failure

	code, stdout, stderr := sluice(t, "doctor")
	if code != 0 || !strings.Contains(stdout, "ok    migrations") || !strings.Contains(stdout, "warn  event") || !strings.Contains(stdout, "; fix: run `sluice worker`") {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}

	t.Setenv("SLUICE_MAX_ATTEMPTS", "2")
	code, stdout, stderr = sluice(t, "doctor")
	if code != exitFailed || strings.Count(stdout, "FAIL  queue of ") != len(pipeline.Stages()) || !strings.Contains(stdout, "lower SLUICE_MAX_ATTEMPTS") {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}

	code, stdout, stderr = sluice(t, "doctor", "--json")
	var r doctor.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitFailed || r.Status != doctor.Fail || len(r.Findings) < 20 {
		t.Errorf("exit %d, %s, %s, %v", code, stdout, stderr, err)
	}

	if code, _, stderr := sluice(t, "doctor", "--event-wait", "0s"); code != exitUsage || !strings.Contains(stderr, "event-wait") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}
