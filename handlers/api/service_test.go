package api

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-media/sluice/handlers/api/auth"
	"github.com/sluice-media/sluice/handlers/ops"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// The committed document is what the code serves: go test ./handlers/api -run OpenAPI -update
func TestOpenAPI(t *testing.T) {
	b := newTestBundle(t)
	res := b.call("GET", "/openapi.json", "")
	if res.status != http.StatusOK {
		t.Fatalf("%d %s", res.status, res.body)
	}
	got := indented(t, res.body)
	if *update {
		if err := os.WriteFile("openapi.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("openapi.json is not what is served: run go test ./handlers/api -run OpenAPI -update")
	}
	if res := b.call("GET", "/openapi.yaml", ""); res.status != http.StatusOK || !strings.HasPrefix(string(res.body), "components:") {
		t.Errorf("/openapi.yaml: %d %.40s", res.status, res.body)
	}
}

// The documentation must work where there is no internet.
func TestDocs(t *testing.T) {
	b := newTestBundle(t)
	if res := b.call("GET", "/docs", ""); res.status/100 != 3 || res.header.Get("Location") != "/docs/" {
		t.Errorf("/docs: %d to %q", res.status, res.header.Get("Location"))
	}
	page := string(b.call("GET", "/docs/", "").body)
	if !strings.Contains(page, "/openapi.json") {
		t.Error("the page does not name the document")
	}
	for _, attr := range []string{`src="`, `href="`} {
		for _, rest := range strings.Split(page, attr)[1:] {
			link, _, _ := strings.Cut(rest, `"`)
			if !strings.HasPrefix(link, "/docs/") {
				t.Errorf("the page needs %s", link)
				continue
			}
			if res := b.call("GET", link, ""); res.status != http.StatusOK || len(res.body) == 0 {
				t.Errorf("%s: %d", link, res.status)
			}
		}
	}
}

func TestUnknownRoutesAndMethods(t *testing.T) {
	b := newTestBundle(t)
	for _, path := range []string{"/", "/v1", "/v1/uploads/", "/v1/uploads/x/y", "/v2/uploads", "/.env"} {
		wantProblem(t, b.call("GET", path, ""), http.StatusNotFound, "not_found")
	}
	for method, path := range map[string]string{"PUT": "/v1/uploads", "DELETE": "/healthz", "PATCH": "/get-upload-url", "BREW": "/readyz"} {
		res := b.call(method, path, "")
		wantProblem(t, res, http.StatusMethodNotAllowed, "method_not_allowed")
		if res.header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow header", method, path)
		}
	}
	u := b.begin(declaring(picture))
	for _, id := range []string{
		"x", "00000000-0000-0000-0000-000000000000", "%00", "..%2f..",
		"{" + u.ID + "}", strings.ToUpper(u.ID), strings.ReplaceAll(u.ID, "-", ""), "urn:uuid:" + u.ID, // one name each
	} {
		wantProblem(t, b.call("GET", "/v1/uploads/"+id, "", b.as(b.token)...), http.StatusNotFound, "not_found")
		wantProblem(t, b.call("POST", "/v1/uploads/"+id+"/complete", "", b.as(b.token)...), http.StatusNotFound, "not_found")
	}
	wantProblem(t, b.call("POST", "/v1/uploads", "<upload/>", append(b.as(b.token), "Content-Type", "text/xml")...), http.StatusUnsupportedMediaType, "unsupported_media_type")
}

// A client that goes away in the middle of its body has made a mistake; the server has not.
func TestBodyThatBreaksOff(t *testing.T) {
	b := newTestBundle(t)
	address, err := net.ResolveTCPAddr("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTCP("tcp", nil, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing is left to lose
	request := "POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + b.token + "\r\nContent-Length: 100\r\n\r\n{"
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // as above
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestFailuresInside(t *testing.T) {
	why := errors.New("dial tcp 10.0.0.7:5432: password authentication failed for user \"sluice\"")
	fail := func(context.Context, sagas.Upload) (sagas.Upload, error) { return sagas.Upload{}, why }
	crash := func(context.Context, sagas.Upload) (sagas.Upload, error) { panic(why) }
	for name, confirm := range map[string]func(context.Context, sagas.Upload) (sagas.Upload, error){"error": fail, "panic": crash} {
		t.Run(name, func(t *testing.T) {
			b := newTestBundle(t, func(_ *Config, d *Deps) { d.Confirm = confirm })
			u := b.begin(declaring(picture))
			res := b.call("POST", "/v1/uploads/"+u.ID+"/complete", "", b.as(b.token)...)
			p := wantProblem(t, res, http.StatusInternalServerError, "internal")
			if strings.Contains(string(res.body), "10.0.0.7") {
				t.Errorf("the inside shows: %s", res.body)
			}
			if log := b.log.String(); !strings.Contains(log, "10.0.0.7") || !strings.Contains(log, p.RequestID) {
				t.Errorf("the cause is not in the log: %s", log)
			}
			res = b.call("POST", "/confirm-upload", `{"key":"uploads/`+u.ID+`.jpg"}`, b.as(b.token)...)
			if res.status != http.StatusInternalServerError || strings.Contains(string(res.body), "10.0.0.7") {
				t.Errorf("%d %s", res.status, res.body)
			}
		})
	}
}

func TestADatabaseThatIsAwayIsWorthAnotherTry(t *testing.T) {
	b := newTestBundle(t, func(_ *Config, d *Deps) {
		pool, err := sagas.Connect(t.Context(), sagas.Config{
			URL: "postgres://sluice@127.0.0.1:1/sluice", MaxConns: 1, ConnectTimeout: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		d.Store = sagas.NewStore(pool, "test")
	})
	res := b.call("GET", "/v1/uploads/"+uuid.NewString(), "", b.as(b.token)...)
	wantProblem(t, res, http.StatusServiceUnavailable, "unavailable")
	if res.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// What reading a request may take says nothing about the work on it.
func TestASlowAnswerIsNotALostClient(t *testing.T) {
	t.Parallel()
	const slow = 5500 * time.Millisecond // huma's own default for reading is 5 s
	var b *testBundle
	b = newTestBundle(t, func(_ *Config, d *Deps) {
		d.Confirm = func(ctx context.Context, u sagas.Upload) (sagas.Upload, error) {
			select {
			case <-ctx.Done():
			case <-time.After(slow):
			}
			return b.confirm(ctx, u)
		}
	})
	u := b.begin(declaring(picture))
	if res := b.put(u.Permission, picture); res.status != http.StatusOK {
		t.Fatalf("%d %s", res.status, res.body)
	}
	res := b.call("POST", "/confirm-upload", `{"key":"uploads/`+u.ID+`.jpg"}`, b.as(b.token)...)
	if res.status != http.StatusOK {
		t.Errorf("%d %s", res.status, res.body)
	}
}

// A stage may be faster than the client's confirmation.
func TestConfirmThatComesSecond(t *testing.T) {
	var b *testBundle
	b = newTestBundle(t, func(_ *Config, d *Deps) {
		d.Confirm = func(ctx context.Context, u sagas.Upload) (sagas.Upload, error) {
			if _, err := b.confirm(ctx, u); err != nil {
				return u, err
			}
			return b.confirm(ctx, u) // finds that the upload has moved
		}
	})
	u := b.begin(declaring(picture))
	if res := b.put(u.Permission, picture); res.status != http.StatusOK {
		t.Fatalf("%d %s", res.status, res.body)
	}
	res := b.call("POST", "/v1/uploads/"+u.ID+"/complete", "", b.as(b.token)...)
	if res.status != http.StatusOK || res.header.Get("ETag") != `"2"` {
		t.Errorf("%d %s", res.status, res.body)
	}
}

func TestReadyz(t *testing.T) {
	check := func(name, detail string, err error) ops.Check {
		return ops.Check{Name: name, Run: func(context.Context) (string, error) { return detail, err }}
	}
	good := newTestBundle(t, func(_ *Config, d *Deps) { d.Checks = []ops.Check{check("scanner", "test signatures only", nil)} })
	res := good.call("GET", "/readyz", "")
	got := decode[ops.Readiness](t, res.body)
	if res.status != http.StatusOK || got.Status != "ok" || got.Checks["scanner"] != (ops.Result{Status: "ok", Detail: "test signatures only"}) {
		t.Errorf("%d %s", res.status, res.body)
	}

	bad := newTestBundle(t, func(_ *Config, d *Deps) {
		d.Checks = []ops.Check{check("s3", "", nil), check("database", "", errors.New("password failed"))}
	})
	res = bad.call("GET", "/readyz", "")
	got = decode[ops.Readiness](t, res.body)
	if res.status != http.StatusServiceUnavailable || got.Status != "failing" || got.Checks["database"].Status != "failing" || got.Checks["s3"].Status != "ok" {
		t.Errorf("%d %s", res.status, res.body)
	}
	if res := bad.call("GET", "/healthz", ""); res.status != http.StatusOK || string(res.body) != "{\"status\":\"ok\"}\n" {
		t.Errorf("/healthz: %d %s", res.status, res.body)
	}
}

func TestCORS(t *testing.T) {
	preflight := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type"}
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.AllowedOrigins = []string{"https://app.example.com"} })
	res := b.call("OPTIONS", "/v1/uploads", "", append(preflight, "Origin", "https://app.example.com")...)
	if res.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || !strings.Contains(res.header.Get("Access-Control-Allow-Headers"), "authorization") {
		t.Errorf("preflight: %d %v", res.status, res.header)
	}
	res = b.call("POST", "/v1/uploads", declaring(picture), append(b.as(b.token), "Origin", "https://app.example.com")...)
	exposed := res.header.Get("Access-Control-Expose-Headers")
	if res.status != http.StatusCreated || !strings.Contains(strings.ToLower(exposed), "etag, location") || res.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("call: %d %v", res.status, res.header)
	}

	nobody := newTestBundle(t)
	for name, c := range map[string]struct {
		bundle *testBundle
		origin string
	}{"foreign": {b, "https://evil.example.com"}, "none allowed": {nobody, "https://app.example.com"}} {
		res := c.bundle.call("OPTIONS", "/v1/uploads", "", append(preflight, "Origin", c.origin)...)
		if got := res.header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s: allowed %q", name, got)
		}
	}
}

func TestMetrics(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(declaring(picture))
	b.begin(declaringFilm(""))
	b.call("GET", "/v1/uploads/"+u.ID, "", b.as(b.token)...)
	b.call("GET", "/v1/uploads/"+u.ID, "")
	b.call("BREW", "/coffee/"+u.ID, "")
	got := string(b.call("GET", "/metrics", "").body)
	for _, want := range []string{
		`sluice_http_requests_total{code="201",method="POST",route="/v1/uploads"} 2`,
		`sluice_http_requests_total{code="200",method="GET",route="/v1/uploads/{id}"} 1`,
		`sluice_http_requests_total{code="401",method="GET",route="/v1/uploads/{id}"} 1`,
		`sluice_http_requests_total{code="404",method="other",route="unmatched"} 1`,
		`sluice_http_request_seconds_count{route="/v1/uploads/{id}"} 2`,
		`sluice_presigned_total{method="put"} 1`,
		`sluice_presigned_total{method="multipart"} 1`,
		`sluice_presigned_parts_total 3`,
		`sluice_completed_total{method="post"} 0`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(got, u.ID) {
		t.Error("an id is in the metrics")
	}
}

func TestTheLogKeepsSecretsOut(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(declaring(picture))
	b.put(u.Permission, picture)
	b.call("POST", "/v1/uploads/"+u.ID+"/complete?X-Amz-Signature=abc", "", b.as(b.token)...)
	b.call("POST", "/v1/session", "", b.as(b.token)...)
	b.call("GET", "/v1/uploads/"+u.ID, "", "Cookie", sessionCookie+"="+b.token)
	b.call("GET", "/v1/uploads/"+u.ID, "", b.as(b.token+"x")...)
	b.call("POST", "/get-upload-url", `{"filename":"a.jpg","contentType":"image/jpeg"}`, b.as(b.token)...)

	log := b.log.String()
	_, signature, _ := strings.Cut(u.Permission.URL, "X-Amz-Signature=")
	parts := strings.Split(b.token, ".")
	for _, hidden := range []string{"X-Amz", signature, parts[1], parts[2], secret} {
		if strings.Contains(log, hidden) {
			t.Errorf("%q is in the log", hidden)
		}
	}
	lines := strings.Split(strings.TrimSpace(log), "\n")
	if len(lines) != 6 {
		t.Errorf("%d lines for 6 requests:\n%s", len(lines), log)
	}
	for _, line := range lines[:2] {
		for _, part := range []string{`"upload_id":"` + u.ID + `"`, `"tenant":"acme"`, `"request_id":"`, `"status":20`} {
			if !strings.Contains(line, part) {
				t.Errorf("no %s in %s", part, line)
			}
		}
	}
}

func TestRequestID(t *testing.T) {
	b := newTestBundle(t)
	if got := b.call("GET", "/healthz", "", requestIDHeader, "abc-123").header.Get(requestIDHeader); got != "abc-123" {
		t.Errorf("a good id became %q", got)
	}
	if got := b.call("GET", "/healthz", "", requestIDHeader, "a b\"c").header.Get(requestIDHeader); got == "" || strings.Contains(got, " ") {
		t.Errorf("a bad id became %q", got)
	}
}

func TestNothingIsBegunWhenSigningFails(t *testing.T) {
	b := newTestBundle(t, func(_ *Config, d *Deps) {
		unsigned := storage.New(anonymous(), storage.Config{Endpoint: "http://127.0.0.1:1", IncomingBucket: "i", MediaBucket: "m"})
		d.Objects = unsigned
	})
	wantProblem(t, b.call("POST", "/v1/uploads", declaring(picture), b.as(b.token)...), http.StatusInternalServerError, "internal")
	if n := b.count(); n != 0 {
		t.Errorf("%d uploads without a permission", n)
	}
}

func TestConfigReportsEveryMistake(t *testing.T) {
	err := Config{
		Listen: "x", PublicURL: "ftp://x", MediaURL: "media", Auth: auth.Config{JWTSecret: "short"}, AllowedOrigins: []string{"example.com", "https://a/b"},
		AllowedTypes: []string{"text/html"}, MaxSize: 6 << 40, ArrivalGrace: -1, MultipartLifetime: -1,
	}.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{"listen", "public-url", "media-url", "jwt-secret", `"example.com"`, `"https://a/b"`, `"text/html"`, "max-size", "multipart-threshold", "presign-lifetime", "arrival-grace", "part-lifetime", "multipart-lifetime"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s is not reported: %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "short") {
		t.Error("the secret is in the error")
	}
	if err := testConfig().Validate(); err != nil {
		t.Error(err)
	}
}
