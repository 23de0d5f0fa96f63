package api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

func (b *testBundle) setLimits(l sagas.Limits) {
	b.t.Helper()
	if _, err := b.store.SetLimits(b.t.Context(), l); err != nil {
		b.t.Fatal(err)
	}
}

func TestRateLimit(t *testing.T) {
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.RateLimit = 0.5 })
	if res := b.call("GET", "/v1/uploads", "", b.as(b.token)...); res.status != http.StatusOK {
		t.Fatalf("%d %s", res.status, res.body)
	}
	res := b.call("GET", "/v1/uploads", "", b.as(token(t, "acme", "bob"))...) // the tenant counts, not the subject
	wantProblem(t, res, http.StatusTooManyRequests, "rate_limited")
	if wait, err := strconv.Atoi(res.header.Get("Retry-After")); err != nil || wait < 1 || wait > 2 {
		t.Errorf("Retry-After: %q", res.header.Get("Retry-After"))
	}
	if res := b.call("GET", "/v1/uploads", "", b.as(token(t, "rival", "alice"))...); res.status != http.StatusOK {
		t.Errorf("another tenant: %d %s", res.status, res.body)
	}
	wantProblem(t, b.call("GET", "/v1/uploads", ""), http.StatusUnauthorized, "token_missing")
	if res := b.call("GET", "/healthz", ""); res.status != http.StatusOK {
		t.Errorf("/healthz: %d", res.status)
	}
	metrics := string(b.call("GET", "/metrics", "").body)
	for _, want := range []string{`sluice_refused_total{reason="rate_limited"} 1`, `sluice_refused_total{reason="token_missing"} 1`} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

func TestRequestsOfASecondMayComeAtOnce(t *testing.T) {
	tenants, now := newTenants(testConfig(), nil), time.Now()
	for _, c := range []struct {
		tenant    string
		perSecond float64
		after     time.Duration
		want      int // of 1000 requests
	}{
		{"none", 0, 0, 1000},
		{"acme", 5, 0, 5},
		{"rival", 5, 0, 5},
		{"acme", 5, 399 * time.Millisecond, 1},
		{"acme", 5, time.Hour, 5},
		{"acme", 100, 0, 0}, // a new limit brings no new second's worth
		{"acme", 100, 20 * time.Millisecond, 2},
		{"slow", 0.1, 0, 1},
		{"slow", 0.1, 9 * time.Second, 0},
	} {
		now = now.Add(c.after)
		passed := 0
		for range 1000 {
			if tenants.wait(c.tenant, c.perSecond, now) == 0 {
				passed++
			}
		}
		if passed != c.want {
			t.Errorf("%+v: %d passed", c, passed)
		}
	}
}

func TestWhatIsInFlightIsLimited(t *testing.T) {
	const requests = 20
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.MaxFilesInFlight = 3 })
	var begun, refused atomic.Int32
	var wg sync.WaitGroup
	for range requests {
		wg.Go(func() {
			res := b.call("POST", "/v1/uploads", declaring(picture), b.as(b.token)...)
			switch {
			case res.status == http.StatusCreated:
				begun.Add(1)
			case res.status == http.StatusTooManyRequests && strings.Contains(string(res.body), `"too_many_in_flight"`) && res.header.Get("Retry-After") != "":
				refused.Add(1)
			default:
				t.Errorf("%d %s", res.status, res.body)
			}
		})
	}
	wg.Wait()
	if begun.Load() != 3 || refused.Load() != requests-3 {
		t.Errorf("%d begun, %d refused", begun.Load(), refused.Load())
	}
	b.wantUploads(3)
	for path, body := range map[string]string{
		"/get-upload-url":  `{"filename":"a.jpg","contentType":"image/jpeg"}`,
		"/start-multipart": `{"contentType":"image/jpeg","partCount":2}`,
	} {
		wantSimpleError(t, b.call("POST", path, body, b.as(b.token)...), http.StatusTooManyRequests, "At most 3 files may be on their way at once.")
	}
	// One that is refused is not remembered under its key.
	wantProblem(t, b.call("POST", "/v1/uploads", declaring(picture), b.withKey("k")...), http.StatusTooManyRequests, "too_many_in_flight")
	if _, err := b.pool.Exec(t.Context(), "UPDATE uploads SET state = 'ready'"); err != nil {
		t.Fatal(err)
	}
	if res := b.call("POST", "/v1/uploads", declaring(picture), b.withKey("k")...); res.status != http.StatusCreated {
		t.Errorf("%d %s", res.status, res.body)
	}
}

func TestBytesInFlightAreLimited(t *testing.T) {
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.MaxBytesInFlight = 2*int64(len(picture)) - 1 })
	b.begin(declaring(picture))
	wantProblem(t, b.call("POST", "/v1/uploads", declaring(picture), b.as(b.token)...), http.StatusTooManyRequests, "too_many_in_flight")
	b.wantUploads(1)
}

func TestATenantHasLimitsOfItsOwn(t *testing.T) {
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.MaxFilesInFlight, c.LimitsCache = 1, 50*time.Millisecond })
	size, none := int64(len(picture)-1), int64(0)
	b.setLimits(sagas.Limits{Tenant: "small", MaxSize: &size})
	b.setLimits(sagas.Limits{Tenant: "png", AllowedTypes: []string{"image/png", "text/html"}})
	b.setLimits(sagas.Limits{Tenant: "big", FilesInFlight: &none})
	begin := func(tenant, body string) response {
		return b.call("POST", "/v1/uploads", body, b.as(token(t, tenant, "alice"))...)
	}
	wantProblem(t, begin("small", declaring(picture)), http.StatusRequestEntityTooLarge, "too_large")
	wantProblem(t, begin("png", declaring(picture)), http.StatusUnprocessableEntity, "type_not_allowed")
	wantProblem(t, begin("png", strings.Replace(declaring(picture), "image/jpeg", "text/html", 1)), http.StatusUnprocessableEntity, "type_not_allowed")
	wantSimpleError(t, b.call("POST", "/get-upload-url", `{"filename":"a.jpg","contentType":"image/jpeg"}`, b.as(token(t, "png", "alice"))...),
		http.StatusBadRequest, "File type not allowed")
	for range 2 {
		if res := begin("big", declaring(picture)); res.status != http.StatusCreated {
			t.Errorf("%d %s", res.status, res.body)
		}
	}
	if res := begin("acme", declaring(picture)); res.status != http.StatusCreated {
		t.Errorf("%d %s", res.status, res.body)
	}
	wantProblem(t, begin("acme", declaring(picture)), http.StatusTooManyRequests, "too_many_in_flight")

	two := int64(2)
	b.setLimits(sagas.Limits{Tenant: "acme", FilesInFlight: &two})
	b.eventually(func() bool { return begin("acme", declaring(picture)).status == http.StatusCreated })
	wantProblem(t, begin("acme", declaring(picture)), http.StatusTooManyRequests, "too_many_in_flight")
}

// What limits a tenant limits what Uppy begins for it, too.
func TestUppyIsLimited(t *testing.T) {
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.MaxFilesInFlight, c.MaxBytesInFlight = 2, 10_000 })
	size, one := int64(1000), 1.0
	b.setLimits(sagas.Limits{Tenant: "small", MaxSize: &size})
	b.setLimits(sagas.Limits{Tenant: "png", AllowedTypes: []string{"image/png"}})
	b.setLimits(sagas.Limits{Tenant: "slow", RequestsPerSecond: &one})
	ways := map[string]func(tenant string, size int) response{
		"form": func(tenant string, size int) response {
			return b.call("GET", form(size), "", b.as(token(t, tenant, "alice"))...)
		},
		"parts": func(tenant string, size int) response {
			return b.call("POST", "/s3/multipart", `{"filename":"a.jpg","type":"image/jpeg","metadata":{"size":`+strconv.Itoa(size)+`}}`, b.as(token(t, tenant, "alice"))...)
		},
		"signed": func(tenant string, size int) response {
			return b.call("POST", "/s3/sign", `{"method":"PUT","key":"a.jpg","contentType":"image/jpeg","size":`+strconv.Itoa(size)+`}`, b.as(token(t, tenant, "alice"))...)
		},
	}
	for name, begin := range ways {
		wantMessage(t, begin("small", 1001), http.StatusRequestEntityTooLarge)
		wantMessage(t, begin("png", 1000), http.StatusUnprocessableEntity)
		begin("slow", 1000)
		if res := begin("slow", 1000); res.status != http.StatusTooManyRequests || res.header.Get("Retry-After") == "" {
			t.Errorf("%s: a second request at once: %d %s", name, res.status, res.body)
		}
		b.wantUploads(1)
		for _, c := range []struct{ size, status int }{{9000, 200}, {1001, 429}, {1000, 200}, {0, 422}} {
			if res := begin("acme", c.size); res.status != c.status {
				t.Errorf("%s: %d more bytes: %d %s", name, c.size, res.status, res.body)
			}
		}
		wantMessage(t, begin("acme", 1), http.StatusTooManyRequests) // the files are too many
		if _, err := b.pool.Exec(t.Context(), "DELETE FROM upload_transitions; DELETE FROM uploads"); err != nil {
			t.Fatal(err)
		}
		b.serve(func(c *Config, _ *Deps) { c.MaxFilesInFlight, c.MaxBytesInFlight = 2, 10_000 }) // it remembers no rate
	}
}

// Where bytes are counted, an upload whose size is not told would count for nothing.
func TestUppyTellsSizesThatAreCounted(t *testing.T) {
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.MaxBytesInFlight = 100 << 20 })
	for _, c := range [][3]string{
		{"GET", "/s3/params?filename=a.jpg&type=image/jpeg", ""},
		{"POST", "/s3/multipart", `{"filename":"a.mp4","type":"video/mp4"}`},
		{"POST", "/s3/sign", `{"method":"POST","key":"a.mp4","contentType":"video/mp4"}`},
	} {
		wantMessage(t, b.call(c[0], c[1], c[2], b.as(b.token)...), http.StatusUnprocessableEntity)
	}
	b.wantUploads(0)
	u := b.startUppy(`{"size":5242881}`)
	to := answer[params](t, b.call("GET", u.path("/2"), "", b.as(b.token)...))
	if res := b.put(v1.Permission{Method: http.MethodPut, URL: to.URL}, []byte("ab")); res.status != http.StatusForbidden {
		t.Errorf("a byte more than was counted: %d %s", res.status, res.body)
	}
}

// A size that was declared and not planned is compared when the parts are joined.
func TestUppySendsAsMuchAsItDeclares(t *testing.T) {
	b := newTestBundle(t)
	u := b.startUppy(`{"size":` + strconv.Itoa(len(film)+1) + `}`)
	wantMessage(t, b.call("POST", u.path("/complete"), partsBody(b.sendUppy(u)...), b.as(b.token)...), http.StatusConflict)
	if got := b.upload(u.id()); got.State != string(sagas.Initiated) {
		t.Errorf("it is %+v", got)
	}
}

// What has no signed size is held to its tenant's largest one: by the form where there is one, and by the row for verify.
func TestATenantsLargestSizeGoesWithTheUpload(t *testing.T) {
	b := newTestBundle(t)
	size := int64(len(picture))
	b.setLimits(sagas.Limits{Tenant: "small", MaxSize: &size})
	small := b.as(token(t, "small", "alice"))
	form := answer[params](t, b.call("GET", "/s3/params?filename=a.jpg&type=image%2Fjpeg", "", small...))
	if res := b.post(form.permission(), append(slices.Clone(picture), 0)); res.status != http.StatusBadRequest {
		t.Errorf("a byte more by the form: %d %s", res.status, res.body)
	}
	if res := b.post(form.permission(), picture); res.status != http.StatusCreated {
		t.Errorf("by the form: %d %s", res.status, res.body)
	}
	for path, body := range map[string]string{
		"/get-upload-url":  `{"filename":"a.jpg","contentType":"image/jpeg"}`,
		"/start-multipart": `{"contentType":"image/jpeg","partCount":1}`,
		"/s3/multipart":    `{"filename":"a.jpg","type":"image/jpeg"}`,
		"/v1/uploads":      declaring(picture),
	} {
		if res := b.call("POST", path, body, small...); !granted(res) {
			t.Fatalf("%s: %d %s", path, res.status, res.body)
		}
	}
	uploads, err := b.store.List(t.Context(), sagas.Owner{Tenant: "small", Subject: "alice"}, sagas.Selection{Most: 10})
	if err != nil || len(uploads) != 5 {
		t.Fatalf("%d uploads, %v", len(uploads), err)
	}
	for _, u := range uploads {
		if u.MaxSize != size {
			t.Errorf("%+v", u)
		}
	}
}
