package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
)

const settleLimit = time.Minute // until workers have put everything right

// While the receiver of webhooks is down, notify rests. What has come to nothing is cleaned up all the same, and is told
// of when the receiver is back.
func TestCleaningUpDoesNotWaitForTheReceiver(t *testing.T) {
	b := newOperatorBundle(t)
	address := closedAddress(t)
	for name, value := range quickly("http://" + address) {
		t.Setenv(name, value)
	}
	t.Setenv("SLUICE_INCOMING_KEEP_REFUSED", "false")
	log := startWorker(t)
	first := b.begin(t, sagas.Aborted)
	b.queues.Send(pipeline.Settle, settleJob(first))
	b.restsAt(t, pipeline.Notify, log)

	deleted := b.begin(t, sagas.Uploaded, sagas.Verified, sagas.Clean, sagas.Processed, sagas.Ready, sagas.Deleted)
	b.put(t, b.media, deleted.Key, []byte("hello"))
	rejected, expired := b.sentAs(t, []byte("no photograph")), b.neverSent(t)
	b.queues.Send(pipeline.Settle, settleJob(deleted))
	uploads := map[sagas.State]sagas.Upload{
		sagas.Aborted: first, sagas.Deleted: deleted, sagas.Rejected: rejected, sagas.Expired: expired,
	}
	await(t, log, func() bool {
		for state, u := range uploads {
			if is, err := b.store.Load(t.Context(), u.ID); err != nil || is.State != state {
				return false
			}
		}
		return len(storagetest.Keys(t, b.bucket))+len(storagetest.Keys(t, b.media)) == 0
	})
	for state, u := range uploads {
		if is, err := b.store.Load(t.Context(), u.ID); err != nil || is.NotifiedAt != nil {
			t.Errorf("%s: told at %v, %v", state, is.NotifiedAt, err)
		}
	}

	receiver := &receiver{}
	receiver.Server = httptest.NewUnstartedServer(receiver)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	receiver.Listener = listener
	receiver.Start()
	t.Cleanup(receiver.Close)
	for state, u := range uploads {
		b.settles(t, u.ID, state, log)
	}
	var want []string
	for _, u := range uploads {
		is, err := b.store.Load(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("msg_%s_%d", u.ID, is.Version-1)) // the delivery is a version, too
	}
	slices.Sort(want)
	if got := receiver.ids(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// quickly is the environment of a worker that makes up fast for what goes wrong.
func quickly(receiver string) map[string]string {
	return map[string]string{
		"SLUICE_METRICS_LISTEN":         "127.0.0.1:0",
		"SLUICE_SQS_VISIBILITY_TIMEOUT": "1s",
		"SLUICE_SQS_BACKOFF_BASE":       "200ms",
		"SLUICE_SWEEP_EVERY":            "500ms",
		"SLUICE_SWEEP_ARRIVAL_AGE":      "200ms",
		"SLUICE_SWEEP_STILLNESS_AGE":    "3s",
		"SLUICE_WEBHOOK_URL":            receiver,
		"SLUICE_WEBHOOK_SECRET":         "whsec_c2x1aWNlIHRlc3Qgc2VjcmV0IG9mIDMyIGJ5dGVz",
	}
}

// startWorker runs a worker until the test ends, and returns its log.
func startWorker(t *testing.T) fmt.Stringer {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	log := &lockedBuffer{}
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"worker"}, io.Discard, log) }()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("the worker ended with %d\n%s", code, log)
		}
	})
	return log
}

// closedAddress is one on which nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}

func settleJob(u sagas.Upload) string { return fmt.Sprintf(`{"upload_id":%q}`, u.ID) }

// restsAt waits until a stage has left a message alone for longer than a gate's answer holds.
func (b *operatorBundle) restsAt(t *testing.T, stage string, log fmt.Stringer) {
	t.Helper()
	const alone = 3 * time.Second
	since := time.Now()
	await(t, log, func() bool {
		if visible, inFlight := b.queues.Depth(pipeline.Topic(stage)); visible == 0 || inFlight > 0 {
			since = time.Now()
		}
		return time.Since(since) > alone
	})
}

// await looks again and again until what is waited for is so.
func await(t *testing.T, log fmt.Stringer, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(settleLimit); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain\n%s", log)
		}
	}
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// sentAs is an upload of what is said to be a photograph.
func (b *operatorBundle) sentAs(t *testing.T, body []byte) sagas.Upload {
	t.Helper()
	u := b.stored(t, body)
	b.queues.Send(pipeline.EventsTopic, arrival(u.Bucket, u.Key))
	return u
}

// stored is one whose event has not come.
func (b *operatorBundle) stored(t *testing.T, body []byte) sagas.Upload {
	t.Helper()
	u := b.declare(t, sagas.Beginning{Method: sagas.MethodPut, Declared: sagas.Content{Size: int64(len(body))}, Lifetime: time.Hour})
	b.put(t, u.Bucket, u.Key, body)
	return u
}

// arrival is the event of an object.
func arrival(bucket, key string) string {
	return fmt.Sprintf(`{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put",
		"s3":{"bucket":{"name":%q},"object":{"key":%q,"size":1,"eTag":"x"}}}]}`, bucket, key)
}

func (b *operatorBundle) put(t *testing.T, bucket, key string, body []byte) *s3.PutObjectOutput {
	t.Helper()
	out, err := storagetest.Admin(t, os.Getenv("SLUICE_S3_ENDPOINT")).PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(body),
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// neverSent is an upload whose time is over, and of which nothing came but a beginning.
func (b *operatorBundle) neverSent(t *testing.T) sagas.Upload {
	t.Helper()
	u := b.declare(t, sagas.Beginning{
		Method: sagas.MethodMultipart, Declared: sagas.Content{Size: 1}, Multipart: sagas.Multipart{PartSize: 1, PartCount: 1}, Lifetime: -time.Second,
	})
	if _, err := storagetest.Admin(t, os.Getenv("SLUICE_S3_ENDPOINT")).CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
		Bucket: &u.Bucket, Key: &u.Key,
	}); err != nil {
		t.Fatal(err)
	}
	return u
}

// declare begins what is said to be a photograph.
func (b *operatorBundle) declare(t *testing.T, what sagas.Beginning) sagas.Upload {
	t.Helper()
	what.ID, what.Owner, what.Filename, what.Declared.Type = uuid.New(), sagas.Owner{Tenant: "acme", Subject: "ann"}, "a.jpg", "image/jpeg"
	what.Bucket, what.Key = b.bucket, "uploads/"+what.ID.String()+".jpg"
	u, err := b.store.Begin(t.Context(), what)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// settles waits until the upload has its outcome, everyone was told and no message is left.
func (b *operatorBundle) settles(t *testing.T, id uuid.UUID, want sagas.State, log fmt.Stringer) {
	t.Helper()
	for deadline := time.Now().Add(settleLimit); ; time.Sleep(20 * time.Millisecond) {
		u, err := b.store.Load(t.Context(), id)
		if err == nil && u.NotifiedAt != nil && b.handled() {
			if u.State != want {
				t.Errorf("it is %s, want %s", u.State, want)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it is still %s (%v)\n%s", u.State, err, log)
		}
	}
}

func (b *operatorBundle) handled() bool {
	return !slices.ContainsFunc(pipeline.Stages(), func(stage string) bool {
		visible, inFlight := b.queues.Depth(pipeline.Topic(stage))
		return visible+inFlight > 0
	})
}

// receiver takes webhooks.
type receiver struct {
	*httptest.Server
	mu  sync.Mutex
	got []string
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, req.Header.Get("Webhook-Id"))
	w.WriteHeader(http.StatusNoContent)
}

func (r *receiver) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := slices.Clone(r.got)
	slices.Sort(ids)
	return slices.Compact(ids)
}
