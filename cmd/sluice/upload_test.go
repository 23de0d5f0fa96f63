package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/jpeg"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-media/sluice/handlers/api"
	"github.com/sluice-media/sluice/handlers/api/auth"
	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/handlers/intake"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

const testSecret = "a-secret-of-the-tests-of-thirty-two-bytes-or-more"

// startAPI serves the real API into the environment. A confirmed upload goes through its stages at once and
// becomes ready, or is rejected when its name says so; one called "slow" stays where it is.
// What is sent to storage goes through around, if it is given.
func startAPI(t *testing.T, around ...func(s3 http.Handler) http.Handler) (base, token string) {
	t.Helper()
	config := storagetest.Config(t)
	for _, f := range around {
		config.Endpoint = proxy(t, config.Endpoint, f)
	}
	pool, objects := sagatest.Pool(t), storage.New(storagetest.AWS(t), config)
	store := sagas.NewStore(pool, "test")
	changes, _ := sagatest.Changes(t, pool)
	h, err := api.New(t.Context(), api.Config{
		Listen: "127.0.0.1:0", MediaURL: "https://media.example.com",
		IdempotencyLifetime: time.Hour, StorageTimeout: 10 * time.Second, IdempotencyLease: 30 * time.Second, LimitsCache: time.Minute,
		Auth:         auth.Config{JWTSecret: testSecret, JWTAlgorithms: []string{"HS256"}, JWTTenantClaim: "tenant", CapabilityLifetime: time.Hour},
		AllowedTypes: []string{"image/jpeg", "image/png"}, MaxSize: 5 << 30, PresignLifetime: time.Minute,
		MultipartThreshold: 10 << 20, PartLifetime: time.Minute, MultipartLifetime: time.Hour,
		Heartbeat: time.Minute, StreamTimeout: time.Second,
	}, api.Deps{
		Store: store, Changes: changes, Objects: objects, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		Cancel: func(ctx context.Context, u sagas.Upload) (sagas.Upload, error) {
			if u.State == sagas.Aborted || u.State == sagas.Deleted {
				return u, nil
			}
			to := sagas.Aborted
			if u.State == sagas.Ready {
				to = sagas.Deleted
			}
			return store.Advance(ctx, sagas.Change{ID: u.ID, Stage: "test", From: u.State, To: to, StartedAt: u.ReadAt})
		},
		Confirm: func(ctx context.Context, u sagas.Upload) (sagas.Upload, error) {
			out, err := intake.New(intake.Config{}, objects).Run(ctx, u)
			if err != nil || strings.HasPrefix(u.Filename, "slow") {
				return u, err
			}
			line := []sagas.State{sagas.Initiated, sagas.Uploaded, sagas.Verified, sagas.Clean, sagas.Processed, sagas.Ready}
			facts, why := out.Facts, sagas.Reason{}
			if strings.HasPrefix(u.Filename, "bad") {
				line = []sagas.State{sagas.Initiated, sagas.Uploaded, sagas.Rejected}
			}
			for i, to := range line[1:] {
				if to == sagas.Rejected {
					why = sagas.Reason{Code: sagas.Undecodable, Detail: "it is half a picture"}
				}
				u, err = store.Advance(ctx, sagas.Change{ID: u.ID, Stage: "test", From: line[i], To: to, StartedAt: u.ReadAt, Facts: facts, Reason: why})
				if err != nil {
					return u, err
				}
			}
			return u, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	token, err = jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "dev", "tenant": "dev", "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	t.Setenv("SLUICE_URL", server.URL)
	t.Setenv("SLUICE_TOKEN", token)
	return server.URL, token
}

func proxy(t *testing.T, endpoint string, around func(http.Handler) http.Handler) string {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(around(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}))
	t.Cleanup(server.Close)
	return server.URL
}

func writeFile(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeJPEG(t *testing.T, dir, name string) string {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 48)), nil); err != nil {
		t.Fatal(err)
	}
	return writeFile(t, dir, name, b.Bytes())
}

func (l *lockedBuffer) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// sluice runs the program as main does.
func sluice(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs lockedBuffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.b.String(), errs.b.String()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func TestUploadForScripts(t *testing.T) {
	startAPI(t)
	dir := t.TempDir()
	// Named for what it is not: the content decides.
	code, stdout, stderr := sluice(t, "upload", "--json", writeJPEG(t, dir, "photo.png"))
	if code != 0 || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("exit %d, %s, %s", code, stdout, stderr)
	}
	var u v1.Upload
	if err := json.Unmarshal([]byte(stdout), &u); err != nil {
		t.Fatal(err)
	}
	if u.State != "ready" || u.ContentType != "image/jpeg" || u.Filename != "photo.png" || len(u.SHA256) != 64 || len(u.History) != 6 {
		t.Errorf("printed %+v", u)
	}
	if u.URL != "https://media.example.com/uploads/"+u.ID+".jpg" {
		t.Errorf("url %s", u.URL)
	}
	for _, step := range []string{"sending", "initiated", "uploaded", "verified", "clean", "processed", "ready"} {
		if !strings.Contains(stderr, "photo.png: "+step) {
			t.Errorf("%s is not among the progress: %s", step, stderr)
		}
	}

	code, status, stderr := sluice(t, "status", "--json", u.ID)
	var shown v1.Upload
	if err := json.Unmarshal([]byte(status), &shown); code != 0 || err != nil || !reflect.DeepEqual(shown, u) {
		t.Errorf("exit %d, %s\nis not\n%s, %s, %v", code, status, stdout, stderr, err)
	}
}

func TestUploadForPeople(t *testing.T) {
	startAPI(t)
	dir := t.TempDir()
	code, stdout, stderr := sluice(t, "upload", "-j", "2", writeJPEG(t, dir, "a.jpg"), writeJPEG(t, dir, "b.jpg"), writeJPEG(t, dir, "c.jpg"))
	if code != 0 || strings.Contains(stdout, "{") {
		t.Fatalf("exit %d, %s, %s", code, stdout, stderr)
	}
	a, b, c := strings.Index(stdout, "a.jpg  ready"), strings.Index(stdout, "b.jpg  ready"), strings.Index(stdout, "c.jpg  ready")
	if a < 0 || a > b || b > c || strings.Count(stdout, "https://media.example.com/uploads/") != 3 {
		t.Errorf("printed %s", stdout)
	}
}

func TestUploadOfMixedFiles(t *testing.T) {
	startAPI(t)
	dir := t.TempDir()
	files := []string{
		writeJPEG(t, dir, "good.jpg"), writeJPEG(t, dir, "bad.jpg"), filepath.Join(dir, "nothing.jpg"),
		writeFile(t, dir, "notes.txt", []byte("only text")), writeFile(t, dir, "empty.jpg", nil), os.DevNull,
	}
	code, stdout, stderr := sluice(t, append([]string{"upload", "--json"}, files...)...)
	if code != exitFailed || !strings.Contains(stderr, "5 of 6 files are not ready") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	type printed struct {
		Filename, State string
		Reason, Error   *v1.Reason
	}
	got := map[string]string{}
	for line := range strings.Lines(stdout) {
		var p printed
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		switch {
		case p.Error != nil:
			got[p.Filename] = "error " + p.Error.Code
		case p.Reason != nil:
			got[p.Filename] = p.State + " " + p.Reason.Code
		default:
			got[p.Filename] = p.State
		}
	}
	want := map[string]string{
		"good.jpg": "ready", "bad.jpg": "rejected undecodable", "nothing.jpg": "error unreadable",
		"notes.txt": "error type_not_allowed", "empty.jpg": "error empty", "null": "error unreadable",
	}
	for name, result := range want {
		if got[name] != result {
			t.Errorf("%s: %q, want %q", name, got[name], result)
		}
	}
	if len(got) != len(want) {
		t.Errorf("printed %s", stdout)
	}

	code, stdout, _ = sluice(t, append([]string{"upload"}, files[1:3]...)...)
	if code != exitFailed || !strings.Contains(stdout, "undecodable: it is half a picture") || !strings.Contains(stdout, "nothing.jpg  not sent") {
		t.Errorf("exit %d, %s", code, stdout)
	}
}

func TestTypeOf(t *testing.T) {
	for name, tc := range map[string]struct{ body, want string }{
		"picture.jpg": {"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png"}, // content tells more than a name
		"text.jpg":    {"only text", "image/jpeg"},                          // what it claims to be is for the server to check
		"text":        {"only text", "text/plain"},
		"page.jpg":    {"<html><body>", "text/html"},
		"noise.png":   {"\x00\x01\x02\x03", "image/png"},
	} {
		file, err := os.Open(writeFile(t, t.TempDir(), name, []byte(tc.body)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := typeOf(file)
		if err != nil || got != tc.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, tc.want)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestUploadThatDeclaresOtherwise(t *testing.T) {
	startAPI(t)
	path := writeFile(t, t.TempDir(), "text.jpg", []byte("only text"))
	code, stdout, stderr := sluice(t, "upload", "--json", "--content-type", "image/jpeg", path)
	if code != 0 || !strings.Contains(stdout, `"content_type":"image/jpeg"`) {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}
}

func TestUploadWithoutOutcome(t *testing.T) {
	startAPI(t)
	path := writeJPEG(t, t.TempDir(), "slow.jpg")
	code, stdout, stderr := sluice(t, "upload", "--json", "--timeout", "200ms", path)
	if code != exitFailed || !strings.Contains(stdout, `"state":"initiated"`) || !strings.Contains(stderr, "no outcome in time") {
		t.Fatalf("exit %d, %s, %s", code, stdout, stderr)
	}
	var u v1.Upload
	if err := json.Unmarshal([]byte(stdout), &u); err != nil {
		t.Fatal(err)
	}
	code, stdout, _ = sluice(t, "status", u.ID)
	if code != 0 || !strings.Contains(stdout, "slow.jpg  initiated") {
		t.Errorf("exit %d, %s", code, stdout)
	}
}

func TestStatusThatWaits(t *testing.T) {
	startAPI(t)
	_, stdout, _ := sluice(t, "upload", "--json", writeJPEG(t, t.TempDir(), "bad.jpg"))
	var u v1.Upload
	if err := json.Unmarshal([]byte(stdout), &u); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := sluice(t, "status", "--wait", u.ID); code != exitFailed || !strings.Contains(stderr, "the upload is rejected") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if code, stdout, _ := sluice(t, "status", u.ID); code != 0 || !strings.Contains(stdout, "undecodable: it is half a picture") {
		t.Errorf("exit %d, %s", code, stdout)
	}
	if code, _, stderr := sluice(t, "status", "0199c1f2-0000-7000-8000-000000000000"); code != exitFailed || !strings.Contains(stderr, "not_found") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

func TestWhereTheAPIIs(t *testing.T) {
	url, token := startAPI(t)
	dir := t.TempDir()
	t.Chdir(dir)
	photo := writeJPEG(t, dir, "a.jpg")
	if err := os.Mkdir(".sluice", 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, localEnv, []byte("# local\nSLUICE_URL='"+url+"'\nSLUICE_TOKEN="+token+"\n"))
	other := writeFile(t, dir, "other.env", []byte("SLUICE_TOKEN="+token+"\n"))

	for name, c := range map[string]struct {
		env  [2]string // SLUICE_URL, SLUICE_TOKEN
		args []string
		code int
		says string
	}{
		"environment":           {[2]string{url, token}, nil, 0, ""},
		"file":                  {[2]string{"", ""}, nil, 0, ""},
		"environment over file": {[2]string{"http://127.0.0.1:1/", "x"}, []string{"--url", url, "--token", token}, 0, ""},
		"half and half":         {[2]string{url, ""}, []string{"--env-file", other}, 0, ""},
		"bad token":             {[2]string{url, "x"}, nil, exitFailed, ""},
		"no such file":          {[2]string{url, token}, []string{"--env-file", "nowhere"}, exitUsage, "env-file"},
		"no URL":                {[2]string{"localhost:8080", token}, nil, exitUsage, "url"},
		"no parallel":           {[2]string{url, token}, []string{"-j", "0"}, exitUsage, "parallel"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SLUICE_URL", c.env[0])
			t.Setenv("SLUICE_TOKEN", c.env[1])
			code, stdout, stderr := sluice(t, append([]string{"upload", photo}, c.args...)...)
			if code != c.code || !strings.Contains(stderr, c.says) {
				t.Errorf("exit %d, %s, %s", code, stdout, stderr)
			}
		})
	}

	t.Run("nothing known", func(t *testing.T) {
		t.Chdir(t.TempDir())
		t.Setenv("SLUICE_TOKEN", "")
		if code, _, stderr := sluice(t, "upload", photo); code != exitUsage || !strings.Contains(stderr, "SLUICE_TOKEN") {
			t.Errorf("exit %d, %s", code, stderr)
		}
	})
	t.Run("no file", func(t *testing.T) {
		if code, _, _ := sluice(t, "upload"); code != exitUsage {
			t.Errorf("exit %d", code)
		}
	})
}
