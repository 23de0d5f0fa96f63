package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
)

// stored is what S3 has when all of film has arrived as it was planned.
func stored() []storage.Part {
	return []storage.Part{{Number: 1, Size: partSize, ETag: "a"}, {Number: 2, Size: partSize, ETag: `"b"`}, {Number: 3, Size: 1000, ETag: "c"}}
}

func TestPartsAreComparedWithThePlan(t *testing.T) {
	s := &server{config: testConfig()}
	s.config.MaxSize = 3 * partSize
	planned := sagas.Upload{
		Declared:  sagas.Content{Size: int64(len(film))},
		Multipart: sagas.Multipart{PartSize: partSize, PartCount: 3},
	}
	loose := sagas.Upload{Multipart: sagas.Multipart{PartCount: 3}}
	resized := func(i int, size int64) []storage.Part {
		parts := stored()
		parts[i].Size = size
		return parts
	}
	for name, c := range map[string]struct {
		u      sagas.Upload
		stored []storage.Part
		listed []storage.Part
		code   string // empty: accepted
		detail string
		faults []string // locations
	}{
		"all of them":            {planned, stored(), nil, "", "", nil},
		"nothing":                {planned, nil, nil, "parts_missing", "3 of 3 parts are missing: 1-3.", []string{"part 1", "part 2", "part 3"}},
		"without the second":     {planned, slices.Delete(stored(), 1, 2), nil, "parts_missing", "1 of 3 parts are missing: 2.", []string{"part 2"}},
		"one is short":           {planned, resized(1, partSize-1), nil, "part_size_mismatch", "", []string{"part 2"}},
		"the last is long":       {planned, resized(2, 1001), nil, "part_size_mismatch", "", []string{"part 3"}},
		"one too many":           {planned, append(stored(), storage.Part{Number: 4, Size: 1}), nil, "part_size_mismatch", "", []string{"part 4"}},
		"listed":                 {planned, stored(), []storage.Part{{Number: 1, ETag: `"a"`}, {Number: 2, ETag: "b"}, {Number: 3, ETag: "c"}}, "", "", nil},
		"one is not listed":      {planned, stored(), []storage.Part{{Number: 1, ETag: "a"}, {Number: 3, ETag: "c"}}, "parts_missing", "1 of 3 parts are not listed: 2.", []string{"part 2"}},
		"the last is not listed": {planned, stored(), []storage.Part{{Number: 1, ETag: "a"}, {Number: 2, ETag: "b"}}, "parts_missing", "1 of 3 parts are not listed: 3.", []string{"part 3"}},
		"listed as another":      {planned, stored(), []storage.Part{{Number: 1, ETag: "a"}, {Number: 2, ETag: "x"}, {Number: 3, ETag: "c"}}, "part_etag_mismatch", "", []string{"part 2"}},
		"cut as one likes":       {loose, resized(0, storage.MinPart), nil, "", "", nil},
		"cut too small":          {loose, resized(0, storage.MinPart-1), nil, "part_size_mismatch", "", []string{"part 1"}},
		"more than is allowed":   {loose, resized(2, partSize+1), nil, "too_large", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := s.checkStored(c.u, c.stored, c.listed, s.config.MaxSize)
			if c.code == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			var p *problem
			if !errors.As(err, &p) || p.Code != c.code || c.detail != "" && p.Detail != c.detail {
				t.Fatalf("got %v, want %s: %s", err, c.code, c.detail)
			}
			var faults []string
			for _, f := range p.Errors {
				faults = append(faults, f.Location)
			}
			if !slices.Equal(faults, c.faults) {
				t.Errorf("faults %v, want %v", faults, c.faults)
			}
		})
	}
}

func TestRanges(t *testing.T) {
	var odd []int
	for i := 1; i < 100; i += 2 {
		odd = append(odd, i)
	}
	for want, numbers := range map[string][]int{"": nil, "7": {7}, "1-3, 7, 9-10": {1, 2, 3, 7, 9, 10}} {
		if got := ranges(numbers); got != want {
			t.Errorf("%v is %q, want %q", numbers, got, want)
		}
	}
	if got := ranges(odd); !strings.HasSuffix(got, "37, 39 and more") {
		t.Errorf("fifty numbers are %q", got)
	}
}

// Whatever is wrong, the upload stays as it is, and can be completed when it is right.
func TestBadCompletionsChangeNothing(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(declaringFilm(""))
	b.sendParts(u, 1, 2)
	wantProblem(t, b.complete(u.ID, ""), http.StatusConflict, "parts_missing")
	b.sendParts(u, 3)
	var etags []string
	for _, p := range b.listParts(u.ID).Parts {
		etags = append(etags, p.ETag)
	}
	list := func(parts ...string) string { return `{"parts":[` + strings.Join(parts, ",") + `]}` }
	part := func(number int, etag string) string { return fmt.Sprintf(`{"number":%d,"etag":%q}`, number, etag) }
	for name, c := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"not JSON":        {`{`, 400, "invalid_request"},
		"a list":          {`[]`, 422, "invalid_request"},
		"unknown member":  {`{"part":[]}`, 422, "invalid_request"},
		"no ETag":         {list(`{"number":1}`), 422, "invalid_request"},
		"empty ETag":      {list(part(1, "")), 422, "invalid_request"},
		"number 0":        {list(part(0, "x")), 422, "invalid_request"},
		"number 10001":    {list(part(10001, "x")), 422, "invalid_request"},
		"beyond the plan": {list(part(1, etags[0]), part(2, etags[1]), part(3, etags[2]), part(4, "x")), 422, "invalid_request"},
		"wrong order":     {list(part(2, etags[1]), part(1, etags[0]), part(3, etags[2])), 422, "part_order"},
		"twice":           {list(part(1, etags[0]), part(1, etags[0]), part(2, etags[1]), part(3, etags[2])), 422, "part_order"},
		"one unlisted":    {list(part(1, etags[0]), part(3, etags[2])), 409, "parts_missing"},
		"another ETag":    {list(part(1, etags[0]), part(2, etags[0]), part(3, "x")), 409, "part_etag_mismatch"},
		"too large":       {`{"parts":["` + strings.Repeat("x", maxPartList) + `"]}`, 413, "body_too_large"},
	} {
		t.Run(name, func(t *testing.T) { wantProblem(t, b.complete(u.ID, c.body), c.status, c.code) })
	}
	if got := b.listParts(u.ID); len(got.Parts) != 3 {
		t.Fatalf("parts %+v", got)
	}
	res := b.complete(u.ID, list(part(1, `"`+etags[0]+`"`), part(2, etags[1]), part(3, etags[2])))
	if res.status != http.StatusOK || res.header.Get("ETag") != `"2"` {
		t.Errorf("%d %s", res.status, res.body)
	}
}

func TestConcurrentCompletionsAgree(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(declaringFilm(""))
	b.sendParts(u, 1, 2, 3)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if res := b.complete(u.ID, ""); res.status != http.StatusOK {
				t.Errorf("%d %s", res.status, res.body)
			}
		})
	}
	wg.Wait()
	got := decode[v1.Upload](t, b.call("GET", "/v1/uploads/"+u.ID, "", b.as(b.token)...).body)
	if got.State != "uploaded" || got.Version != 2 {
		t.Errorf("ended as %+v", got)
	}
}

// faulty is S3 behind a proxy in which spoil may answer a request instead, before or after it was passed on.
func faulty(t *testing.T, spoil func(w http.ResponseWriter, r *http.Request, pass http.Handler)) func(*Config, *Deps) {
	t.Helper()
	c := storagetest.Config(t)
	target, err := url.Parse(os.Getenv("SLUICE_S3_ENDPOINT"))
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { spoil(w, r, pass) }))
	t.Cleanup(proxy.Close)
	c.Endpoint, c.PublicEndpoint = proxy.URL, os.Getenv("SLUICE_S3_ENDPOINT")
	return func(_ *Config, d *Deps) { d.Objects = storage.New(storagetest.AWS(t), c) }
}

func isCompletion(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

func isCreation(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploads")
}

func TestALostReplyOfTheCompletionIsFoundOut(t *testing.T) {
	var b *testBundle
	lost := faulty(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if isCompletion(r) {
			pass.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		pass.ServeHTTP(w, r)
	})
	b = newTestBundle(t, lost, func(_ *Config, d *Deps) {
		b2 := &testBundle{t: t, store: d.Store, objects: d.Objects}
		d.Confirm = b2.confirm
	})
	u := b.begin(declaringFilm(""))
	b.sendParts(u, 1, 2, 3)
	if res := b.complete(u.ID, ""); res.status != http.StatusOK || res.header.Get("ETag") != `"2"` {
		t.Errorf("%d %s", res.status, res.body)
	}
}

func TestACompletionThatFailsCanBeRepeated(t *testing.T) {
	broken := true
	failing := faulty(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if isCompletion(r) && broken {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		pass.ServeHTTP(w, r)
	})
	b := newTestBundle(t, failing, func(_ *Config, d *Deps) {
		b2 := &testBundle{t: t, store: d.Store, objects: d.Objects}
		d.Confirm = b2.confirm
	})
	u := b.begin(declaringFilm(""))
	b.sendParts(u, 1, 2, 3)
	wantProblem(t, b.complete(u.ID, ""), http.StatusServiceUnavailable, "unavailable")
	if got := b.listParts(u.ID); len(got.Parts) != 3 {
		t.Errorf("parts %+v", got)
	}
	broken = false
	if res := b.complete(u.ID, ""); res.status != http.StatusOK {
		t.Errorf("%d %s", res.status, res.body)
	}
}

// What S3 may have begun must have a saga that ends it.
func TestAMultipartUploadThatDoesNotBeginIsKnown(t *testing.T) {
	failing := faulty(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if isCreation(r) {
			pass.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		pass.ServeHTTP(w, r)
	})
	b := newTestBundle(t, failing)
	wantProblem(t, b.call("POST", "/v1/uploads", declaringFilm(""), b.as(b.token)...), http.StatusServiceUnavailable, "unavailable")
	var id, state string
	if err := b.pool.QueryRow(t.Context(), "SELECT id, state FROM uploads").Scan(&id, &state); err != nil {
		t.Fatal(err)
	}
	if state != "aborted" {
		t.Errorf("it is %s", state)
	}
	u, err := b.store.Load(context.Background(), uuid.MustParse(id))
	if err != nil {
		t.Fatal(err)
	}
	if u.Multipart.PartCount != 3 || u.Multipart.UploadID != "" {
		t.Errorf("kept %+v", u.Multipart)
	}
}
