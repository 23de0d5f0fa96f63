package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
)

func TestSagaShow(t *testing.T) {
	b := newOperatorBundle(t)
	u := b.begin(t, sagas.Uploaded, sagas.Verified)
	_, err := b.store.Advance(t.Context(), sagas.Change{
		ID: u.ID, Stage: "scan", From: sagas.Verified, To: sagas.Infected, Attempt: 3, StartedAt: u.ReadAt,
		Reason: sagas.Reason{Code: sagas.Malware, Detail: "Eicar\x1b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := sluice(t, "saga", "show", u.ID.String())
	if code != 0 || strings.Contains(stdout, "\x1b") {
		t.Fatalf("exit %d, %q, %s", code, stdout, stderr)
	}
	for _, want := range []string{"infected", "waits for  settle", `tenant "acme"`, u.Key, "etag e7a9, version v1", `malware: "Eicar\x1b"`, "host/7"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}

	code, stdout, stderr = sluice(t, "saga", "show", "--json", u.ID.String())
	var r sagaRecord
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 {
		t.Fatalf("exit %d, %s, %s, %v", code, stdout, stderr, err)
	}
	if r.State != sagas.Infected || r.Object.VersionID != "v1" || r.Reason.Code != sagas.Malware || len(r.History) != 4 ||
		r.History[3].Worker != "host/7" || r.History[3].Attempt != 3 || r.History[3].From != sagas.Verified {
		t.Errorf("printed %s", stdout)
	}

	if code, _, stderr := sluice(t, "saga", "show", uuid.NewString()); code != exitFailed || !strings.Contains(stderr, "no such upload") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

func TestSagaRetry(t *testing.T) {
	b := newOperatorBundle(t)
	for name, c := range map[string]struct {
		states []sagas.State
		sentTo string // empty: nothing to retry
	}{
		"on the line":    {[]sagas.State{sagas.Uploaded, sagas.Verified}, "scan"},
		"not delivered":  {[]sagas.State{sagas.Uploaded, sagas.Rejected}, "settle"},
		"all delivered":  {[]sagas.State{sagas.Uploaded, sagas.Rejected, sagas.Rejected}, ""},
		"nothing before": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			u := b.begin(t, c.states...)
			code, stdout, stderr := sluice(t, "saga", "retry", "--json", u.ID.String())
			if c.sentTo == "" {
				if code != exitFailed || stdout != "" || stderr == "" {
					t.Errorf("exit %d, %s, %s", code, stdout, stderr)
				}
				return
			}
			var got moved
			if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || got != (moved{u.ID, u.State, c.sentTo}) {
				t.Errorf("exit %d, %s, %s, %v", code, stdout, stderr, err)
			}
			if queue, _ := b.depths(t, c.sentTo); queue != 1 {
				t.Errorf("%s has %d messages", c.sentTo, queue)
			}
		})
	}
}

// There is no message that brings an upload past initiated: S3 sends it. The object itself has to do.
func TestSagaRetryOfALostEvent(t *testing.T) {
	b := newOperatorBundle(t)
	u := b.begin(t)
	_, err := storagetest.Admin(t, os.Getenv("SLUICE_S3_ENDPOINT")).PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &u.Bucket, Key: &u.Key, Body: strings.NewReader("hello"),
	})
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := sluice(t, "saga", "retry", u.ID.String())
	if code != 0 || !strings.Contains(stdout, "is uploaded; sent to verify") {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}
	if u, err = b.store.Load(t.Context(), u.ID); err != nil || u.State != sagas.Uploaded || u.VersionID == "" {
		t.Errorf("%+v, %v", u, err)
	}
	if queue, _ := b.depths(t, "verify"); queue != 1 {
		t.Errorf("verify has %d messages", queue)
	}
	if queue, _ := b.depths(t, "intake"); queue != 0 {
		t.Errorf("intake has %d messages that it cannot read", queue)
	}
}

func TestSagaAbort(t *testing.T) {
	b := newOperatorBundle(t)
	line := []sagas.State{sagas.Uploaded, sagas.Verified, sagas.Clean, sagas.Processed}
	for n := range len(line) + 1 {
		u := b.begin(t, line[:n]...)
		t.Run(string(u.State), func(t *testing.T) {
			code, stdout, stderr := sluice(t, "saga", "abort", u.ID.String())
			if code != 0 || !strings.Contains(stdout, "is aborted; sent to settle") {
				t.Errorf("exit %d, %s, %s", code, stdout, stderr)
			}
			after, err := b.store.Load(t.Context(), u.ID)
			if err != nil || after.State != sagas.Aborted || after.Reason.Code != sagas.OperatorAborted || after.NotifiedAt != nil {
				t.Errorf("%+v, %v", after, err)
			}
			if queue, _ := b.depths(t, "settle"); queue != int64(n+1) {
				t.Errorf("settle has %d messages, want %d", queue, n+1)
			}
			// Once more must not count as the delivery of the outcome.
			if code, _, stderr := sluice(t, "saga", "abort", u.ID.String()); code != exitFailed || !strings.Contains(stderr, "is aborted already") {
				t.Errorf("exit %d, %s", code, stderr)
			}
			if again, err := b.store.Load(t.Context(), u.ID); err != nil || again.Version != after.Version || again.NotifiedAt != nil {
				t.Errorf("%+v, %v", again, err)
			}
		})
	}
	ready := b.begin(t, append(line, sagas.Ready)...)
	if code, _, stderr := sluice(t, "saga", "abort", ready.ID.String()); code != exitFailed || !strings.Contains(stderr, "is ready already") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if code, _, stderr := sluice(t, "saga", "abort", uuid.NewString()); code != exitFailed || !strings.Contains(stderr, "no such upload") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}
