//go:build failpoints

package main

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sluice-media/sluice/handlers/api/client"
	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

func apiStories() map[string]story {
	return map[string]story{
		"a client sends a file": {[]string{"api.begin."}, apiDies(sending("put"), sagas.Ready)},
		"a client sends a file in parts": {[]string{
			"s3.CreateMultipartUpload.", "s3.CompleteMultipartUpload.", "intake.work.", "intake.commit.", "intake.send.", "sqs.SendMessageBatch.",
		}, apiDies(sending("multipart"), sagas.Ready)},
		"a client deletes a file": {[]string{"api.commit.", "s3.DeleteObjects.", "sqs.SendMessageBatch."}, apiDies(deleting, sagas.Deleted)},
	}
}

// wish is what a client wants of the API, as often as it takes.
type wish func(ctx context.Context, c *client.Client) (v1.Upload, error)

func sending(method string) func(*testing.T, *operatorBundle) wish {
	return func(t *testing.T, _ *operatorBundle) wish {
		t.Helper()
		photo := photograph(t)
		var begun string
		return func(ctx context.Context, c *client.Client) (v1.Upload, error) {
			return c.Upload(ctx, bytes.NewReader(photo),
				v1.NewUpload{Filename: "a.jpg", ContentType: "image/jpeg", Size: int64(len(photo)), Method: method},
				client.Options{Resume: begun, NoWait: true, OnBegun: func(u v1.Upload) error { begun = u.ID; return nil }})
		}
	}
}

func deleting(t *testing.T, b *operatorBundle) wish {
	t.Helper()
	u := b.begin(t, sagas.Uploaded, sagas.Verified, sagas.Clean, sagas.Processed, sagas.Ready)
	b.put(t, b.media, u.Key, []byte("hello"))
	return func(ctx context.Context, c *client.Client) (v1.Upload, error) { return c.Delete(ctx, u.ID.String()) }
}

// apiDies is about a server that dies while a client waits for it. The client asks its successor until it has an answer;
// then everything ends as if nothing had happened.
func apiDies(prepare func(*testing.T, *operatorBundle) wish, want sagas.State) func(*testing.T, *crash) {
	return func(t *testing.T, c *crash) {
		t.Helper()
		address := closedAddress(t)
		first := c.startDoomed(t, apiEnvironment(address), nil, "api")
		answers := make(chan v1.Upload, 1)
		wished := prepare(t, c.operatorBundle)
		go func() { answers <- persist(t, address, wished) }()
		first.dies()
		second := c.start(t, apiEnvironment(address), "api")
		u := <-answers
		second.stop()
		c.allEnd(t, u, want)
	}
}

// persist is a client that asks until it has an answer.
func persist(t *testing.T, address string, wished wish) v1.Upload {
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
		u, err := wished(t.Context(), c)
		if err == nil {
			return u
		}
		if time.Now().After(deadline) {
			t.Errorf("the client gave up: %v", err)
			return u
		}
	}
}

// allEnd has a worker bring the client's upload to the end that it should come to, and whatever else was begun for it to
// nothing, in both cases told under one id.
func (c *crash) allEnd(t *testing.T, u v1.Upload, want sagas.State) {
	t.Helper()
	worker := c.start(t, quickly(c.receiver.URL), "worker")
	uploads, err := c.store.List(t.Context(), sagas.Owner{Tenant: "acme", Subject: "ann"}, sagas.Selection{Most: 10})
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
		c.settles(t, other.ID, state, &worker.log)
	}
	worker.stop()
	if ids := c.receiver.ids(); len(ids) != len(uploads) {
		t.Errorf("webhooks with the ids %q, want %d", ids, len(uploads))
	}
	c.judgeLeftovers(t, uploads[at], want)
}

// apiEnvironment lets what was begun for nothing expire soon.
func apiEnvironment(address string) map[string]string {
	return map[string]string{
		"SLUICE_LISTEN":             address,
		"SLUICE_JWT_SECRET":         testSecret,
		"SLUICE_PRESIGN_LIFETIME":   "8s",
		"SLUICE_ARRIVAL_GRACE":      "0s",
		"SLUICE_PART_LIFETIME":      "8s",
		"SLUICE_MULTIPART_LIFETIME": "8s",
		"SLUICE_IDEMPOTENCY_LEASE":  "1s",
	}
}
