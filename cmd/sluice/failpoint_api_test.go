//go:build failpoints

package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sluice-media/sluice/handlers/api/client"
	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/sagas"
)

// apiCall is something that a client wants of the API, and the points that the API comes to on the way.
type apiCall struct {
	points []string // the beginnings of their names
	want   sagas.State
	// prepare returns what the client then does, as often as it takes.
	prepare func(t *testing.T, b *operatorBundle) func(ctx context.Context, c *client.Client) (v1.Upload, error)
}

var apiCalls = map[string]apiCall{
	"a file": {[]string{"api.begin."}, sagas.Ready, sending("put")},
	"a file in parts": {[]string{"s3.CreateMultipartUpload.", "s3.CompleteMultipartUpload.", "intake.work.", "intake.commit.", "intake.send.",
		"sqs.SendMessageBatch."}, sagas.Ready, sending("multipart")},
	"a deletion": {[]string{"api.commit.", "s3.DeleteObjects.", "sqs.SendMessageBatch."}, sagas.Deleted, deleting},
}

func sending(method string) func(*testing.T, *operatorBundle) func(context.Context, *client.Client) (v1.Upload, error) {
	return func(t *testing.T, _ *operatorBundle) func(context.Context, *client.Client) (v1.Upload, error) {
		t.Helper()
		photo, err := os.ReadFile("../../testdata/photo.jpg")
		if err != nil {
			t.Fatal(err)
		}
		var begun string
		return func(ctx context.Context, c *client.Client) (v1.Upload, error) {
			return c.Upload(ctx, bytes.NewReader(photo),
				v1.NewUpload{Filename: "a.jpg", ContentType: "image/jpeg", Size: int64(len(photo)), Method: method},
				client.Options{Resume: begun, NoWait: true, OnBegun: func(u v1.Upload) error { begun = u.ID; return nil }})
		}
	}
}

func deleting(t *testing.T, b *operatorBundle) func(context.Context, *client.Client) (v1.Upload, error) {
	t.Helper()
	u := b.begin(t, sagas.Uploaded, sagas.Verified, sagas.Clean, sagas.Processed, sagas.Ready)
	b.put(t, os.Getenv("SLUICE_S3_MEDIA_BUCKET"), u.Key, []byte("hello"))
	return func(ctx context.Context, c *client.Client) (v1.Upload, error) { return c.Delete(ctx, u.ID.String()) }
}

// TestTheAPIMayDieAnywhere kills a real server at each point in turn, while a client waits for it. The client asks its
// successor until it has an answer; then everything ends as if nothing had happened.
func TestTheAPIMayDieAnywhere(t *testing.T) {
	program := buildSluice(t, "-tags", "failpoints")
	for what, call := range apiCalls {
		for _, name := range pipeline.Failpoints() {
			if !begins(name, call.points) {
				continue
			}
			t.Run(what+"/"+name, func(t *testing.T) {
				b := newOperatorBundle(t)
				receiver, address := newReceiver(t), closedAddress(t)
				first := process{t: t, program: program, command: "api", env: apiEnvironment(address, name+"=crash")}
				first.start()
				answers := make(chan v1.Upload, 1)
				wish := call.prepare(t, b)
				go func() { answers <- persist(t, address, wish) }()
				if err := first.wait(crashLimit); !killed(err) {
					t.Fatalf("the server ended with %v, and was to die at the point\n%s", err, &first.log)
				}
				second := process{t: t, program: program, command: "api", env: apiEnvironment(address, "")}
				second.start()
				u := <-answers
				second.stop()
				worker := process{t: t, program: program, command: "worker", env: quickly(receiver.URL)}
				worker.start()
				b.judgeAll(t, u, call.want, receiver, &worker)
				worker.stop()
			})
		}
	}
}

// persist is a client that asks until it has an answer.
func persist(t *testing.T, address string, wish func(context.Context, *client.Client) (v1.Upload, error)) v1.Upload {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "ann", "tenant": "acme", "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(testSecret))
	if err != nil {
		t.Error(err)
		return v1.Upload{}
	}
	c := client.New("http://"+address, token, &http.Client{})
	for deadline := time.Now().Add(crashLimit); ; time.Sleep(100 * time.Millisecond) {
		u, err := wish(t.Context(), c)
		if err == nil {
			return u
		}
		if time.Now().After(deadline) {
			t.Errorf("the client gave up: %v", err)
			return u
		}
	}
}

// judgeAll sees that the client's upload comes to the end that it should, and that whatever else was begun for it comes to
// nothing, in both cases told under one id.
func (b *operatorBundle) judgeAll(t *testing.T, u v1.Upload, want sagas.State, receiver *receiver, worker *process) {
	t.Helper()
	uploads, err := b.store.List(t.Context(), sagas.Owner{Tenant: "acme", Subject: "ann"}, sagas.Selection{Most: 10})
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(uploads, func(is sagas.Upload) bool { return is.ID.String() == u.ID })
	if at < 0 {
		t.Fatalf("the client's upload %q is not among %d", u.ID, len(uploads))
	}
	for i, other := range uploads {
		state := sagas.Expired
		if i == at {
			state = want
		}
		b.settles(t, other.ID, state, &worker.log)
	}
	if ids := receiver.ids(); len(ids) != len(uploads) {
		t.Errorf("webhooks with the ids %q, want %d", ids, len(uploads))
	}
	b.judgeLeftovers(t, uploads[at], want)
}

// apiEnvironment lets what was begun for nothing expire soon.
func apiEnvironment(address, failpoints string) map[string]string {
	return map[string]string{
		"SLUICE_FAILPOINTS":         failpoints,
		"SLUICE_LISTEN":             address,
		"SLUICE_JWT_SECRET":         testSecret,
		"SLUICE_PRESIGN_LIFETIME":   "8s",
		"SLUICE_ARRIVAL_GRACE":      "0s",
		"SLUICE_PART_LIFETIME":      "8s",
		"SLUICE_MULTIPART_LIFETIME": "8s",
		"SLUICE_IDEMPOTENCY_LEASE":  "1s",
	}
}
