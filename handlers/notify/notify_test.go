package notify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/sagas"
)

var _ pipeline.Stage = (*Stage)(nil)

const secret = "whsec_c2x1aWNlIHRlc3Qgc2VjcmV0IG9mIDMyIGJ5dGVz"

// delivery is one request as the receiver got it.
type delivery struct {
	method string
	header http.Header
	body   []byte
}

// receiver answers with the statuses in turn, the last one for good, and passes on what it got.
func receiver(t *testing.T, statuses ...int) (*httptest.Server, <-chan delivery) {
	t.Helper()
	deliveries := make(chan delivery, 10)
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		deliveries <- delivery{r.Method, r.Header, body}
		i := min(int(n.Add(1)), len(statuses)) - 1
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(statuses[i])
	}))
	t.Cleanup(server.Close)
	return server, deliveries
}

func stageFor(server *httptest.Server) *Stage {
	return New(Config{URL: server.URL + "/hook?token=in-the-url", Secret: secret, Timeout: 10 * time.Second}, "https://media.example.com/")
}

func readyUpload() sagas.Upload {
	return sagas.Upload{
		ID: uuid.MustParse("0195939f-5f6e-7c5a-9c0b-2f4b1f6f7a10"), State: sagas.Ready, Version: 6,
		Filename: "été & <co>.jpg", Bucket: "incoming", Key: "uploads/0195939f.jpg",
		Declared: sagas.Content{Type: "image/jpg", Size: 1},
		Observed: sagas.Content{Type: "image/jpeg", Size: 4194831, SHA256: []byte{0xab, 0xcd}},
		Variants: []sagas.Variant{{Name: "200", Key: "thumbnails/0195939f/200.jpg", Type: "image/jpeg", Width: 200, Height: 150, Size: 9000, ETag: "e", VersionID: "v"}},
		Metadata: map[string]string{"album": "7"},
		// The database's time zone is not the receiver's business.
		UpdatedAt: time.Date(2026, 3, 14, 10, 26, 53, 589_000_000, time.FixedZone("", 3600)),
	}
}

func TestRunDeliversASignedWebhook(t *testing.T) {
	server, deliveries := receiver(t, http.StatusNoContent)
	u := readyUpload()
	out, err := stageFor(server).Run(t.Context(), u)
	if err != nil || !reflect.DeepEqual(out, pipeline.Outcome{State: sagas.Ready}) {
		t.Fatalf("got %+v, %v", out, err)
	}
	got := <-deliveries
	if got.method != http.MethodPost || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s of %s", got.method, got.header.Get("Content-Type"))
	}
	if id := got.header.Get("Webhook-Id"); id != "msg_0195939f-5f6e-7c5a-9c0b-2f4b1f6f7a10_6" {
		t.Errorf("got the id %s", id)
	}
	verifier(t).mustVerify(t, got)
	got.body[len(got.body)/2] ^= 1
	if err := verifier(t).Verify(got.body, got.header); err == nil {
		t.Error("the signature does not cover the body")
	}
}

func TestRunTellsHowItEnded(t *testing.T) {
	infected := readyUpload()
	infected.State, infected.Version = sagas.Infected, 4
	infected.Variants = nil
	infected.Reason = sagas.Reason{Code: sagas.Malware, Detail: "Eicar-Signature"}
	expired := sagas.Upload{
		ID: infected.ID, State: sagas.Expired, Version: 2, Filename: "a.png", Key: "uploads/a.png", UpdatedAt: infected.UpdatedAt,
		Declared: sagas.Content{Type: "image/png", Size: 12, SHA256: []byte{1, 2}}, Reason: sagas.Reason{Code: sagas.NeverUploaded},
	}
	for want, u := range map[string]sagas.Upload{
		`{"type":"upload.ready","timestamp":"2026-03-14T09:26:53.589Z","data":{
			"id":"0195939f-5f6e-7c5a-9c0b-2f4b1f6f7a10","state":"ready","key":"uploads/0195939f.jpg","url":"https://media.example.com/uploads/0195939f.jpg",
			"filename":"été & <co>.jpg","content_type":"image/jpeg","size":4194831,"sha256":"abcd",
			"variants":[{"name":"200","url":"https://media.example.com/thumbnails/0195939f/200.jpg","content_type":"image/jpeg","width":200,"height":150,"size":9000}],
			"metadata":{"album":"7"}}}`: readyUpload(),
		`{"type":"upload.infected","timestamp":"2026-03-14T09:26:53.589Z","data":{
			"id":"0195939f-5f6e-7c5a-9c0b-2f4b1f6f7a10","state":"infected","key":"uploads/0195939f.jpg",
			"filename":"été & <co>.jpg","content_type":"image/jpeg","size":4194831,"sha256":"abcd","variants":[],
			"reason":{"code":"malware","detail":"Eicar-Signature"},"metadata":{"album":"7"}}}`: infected,
		`{"type":"upload.expired","timestamp":"2026-03-14T09:26:53.589Z","data":{
			"id":"0195939f-5f6e-7c5a-9c0b-2f4b1f6f7a10","state":"expired","key":"uploads/a.png",
			"filename":"a.png","content_type":"image/png","size":12,"sha256":"0102","variants":[],"reason":{"code":"never_uploaded"}}}`: expired,
	} {
		t.Run(string(u.State), func(t *testing.T) {
			server, deliveries := receiver(t, http.StatusOK)
			out, err := stageFor(server).Run(t.Context(), u)
			if err != nil || out.State != u.State {
				t.Fatalf("got %+v, %v", out, err)
			}
			if got := (<-deliveries).body; !reflect.DeepEqual(decoded(t, got), decoded(t, []byte(want))) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestRunTriesAgainWithTheSameIDAndBody(t *testing.T) {
	server, deliveries := receiver(t, http.StatusInternalServerError, http.StatusOK)
	stage := stageFor(server)
	began := time.Now()
	stage.now = func() time.Time { return began }
	if out, err := stage.Run(t.Context(), readyUpload()); err == nil {
		t.Fatalf("got %+v for a 500", out)
	}
	stage.now = func() time.Time { return began.Add(time.Minute) }
	if _, err := stage.Run(t.Context(), readyUpload()); err != nil {
		t.Fatal(err)
	}
	first, second := <-deliveries, <-deliveries
	if first.header.Get("Webhook-Id") != second.header.Get("Webhook-Id") || string(first.body) != string(second.body) {
		t.Errorf("the second attempt is %v %s, the first was %v %s", second.header, second.body, first.header, first.body)
	}
	if first.header.Get("Webhook-Timestamp") == second.header.Get("Webhook-Timestamp") {
		t.Error("both attempts have one timestamp")
	}
	verifier(t).mustVerify(t, first)
	verifier(t).mustVerify(t, second)
}

func TestRunByStatus(t *testing.T) {
	for status, delivered := range map[int]bool{
		200: true, 201: true, 202: true, 204: true, 299: true, 410: true,
		300: false, 301: false, 302: false, 303: false, 307: false, 308: false, 304: false,
		400: false, 401: false, 404: false, 409: false, 429: false, 500: false, 502: false, 503: false, 504: false,
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			server, deliveries := receiver(t, status)
			out, err := stageFor(server).Run(t.Context(), readyUpload())
			if (err == nil) != delivered || (out.State == sagas.Ready) != delivered {
				t.Errorf("%d: got %+v, %v", status, out, err)
			}
			if n := len(deliveries); n != 1 {
				t.Errorf("%d: %d requests, want 1", status, n)
			}
		})
	}
}

func TestRunGivesUpOnASlowReceiver(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the end of the connection goes unnoticed
		<-r.Context().Done()
	}))
	defer server.Close()
	stage := New(Config{URL: server.URL, Secret: secret, Timeout: 100 * time.Millisecond}, "")
	if out, err := stage.Run(t.Context(), readyUpload()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %+v and error %v, want a deadline", out, err)
	}
}

func TestRunReadsLittleOfAnEndlessAnswer(t *testing.T) {
	var sent atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			n, err := w.Write(make([]byte, maxAnswer))
			if err != nil {
				return
			}
			sent.Add(int64(n))
		}
	}))
	if _, err := stageFor(server).Run(t.Context(), readyUpload()); err != nil {
		t.Error(err)
	}
	server.Close()           // waits for the handler, which ends with its connection
	const buffers = 64 << 20 // generously, what the sockets hold
	if n := sent.Load(); n == 0 || n > buffers {
		t.Errorf("the receiver could send %d bytes", n)
	}
}

func TestRunKeepsSecretsOutOfErrors(t *testing.T) {
	down, _ := receiver(t, http.StatusOK)
	down.Close()
	failing, _ := receiver(t, http.StatusInternalServerError)
	for name, server := range map[string]*httptest.Server{"down": down, "failing": failing} {
		_, err := stageFor(server).Run(t.Context(), readyUpload())
		if err == nil {
			t.Fatalf("%s: got no error", name)
		}
		if strings.Contains(err.Error(), "in-the-url") || strings.Contains(err.Error(), strings.TrimPrefix(secret, "whsec_")) {
			t.Errorf("%s: %q tells a secret", name, err)
		}
	}
}

func TestRunWithoutWebhook(t *testing.T) {
	out, err := New(Config{}, "").Run(t.Context(), readyUpload())
	if err != nil || out.State != sagas.Ready {
		t.Errorf("got %+v, %v", out, err)
	}
}

// webhookVerifier is the receiver's side of the signature.
type webhookVerifier struct{ *standardwebhooks.Webhook }

func verifier(t *testing.T) webhookVerifier {
	t.Helper()
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return webhookVerifier{w}
}

func (v webhookVerifier) mustVerify(t *testing.T, d delivery) {
	t.Helper()
	if err := v.Verify(d.body, d.header); err != nil {
		t.Error(err)
	}
}

func decoded(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
