package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

const aFile = `{"filename":"a.png","content_type":"image/png","size":7}`

// later calls f when somebody waits for news: nothing of the API's tells that, so it gives them a moment.
func later(f func()) { time.AfterFunc(50*time.Millisecond, f) }

func TestWaitEndsWithTheNextVersion(t *testing.T) {
	b := newTestBundle(t)
	for name, c := range map[string]struct{ query, ifNoneMatch string }{
		"after":         {"?wait=30s&after=1", ""},
		"if-none-match": {"?wait=30s", `"1"`},
		"both":          {"?wait=30s&after=1", `"1"`},
		"newest of all": {"?wait=30s&after=0", `W/"0", "1"`},
	} {
		t.Run(name, func(t *testing.T) {
			u := b.begin(aFile)
			later(func() { b.advance(u.ID, sagas.Initiated, sagas.Uploaded, sagas.Facts{}, sagas.Reason{}) })
			began := time.Now()
			res := b.call("GET", "/v1/uploads/"+u.ID+c.query, "", append(b.as(b.token), "If-None-Match", c.ifNoneMatch)...)
			got := decode[v1.Upload](t, res.body)
			if res.status != http.StatusOK || got.Version != 2 || len(got.History) != 2 || res.header.Get("ETag") != `"2"` {
				t.Errorf("%d %s", res.status, res.body)
			}
			if took := time.Since(began); took < 50*time.Millisecond || took > 20*time.Second {
				t.Errorf("answered after %s", took)
			}
		})
	}
}

func TestWaitThatHasNothingToWaitFor(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(aFile)
	b.advance(u.ID, sagas.Initiated, sagas.Uploaded, sagas.Facts{}, sagas.Reason{})
	for _, query := range []string{"?wait=60s", "?wait=60s&after=1", "?wait=1m&after=0"} {
		if res := b.call("GET", "/v1/uploads/"+u.ID+query, "", b.as(b.token)...); res.status != http.StatusOK {
			t.Errorf("%s: %d %s", query, res.status, res.body)
		}
	}
}

func TestWaitThatIsOver(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(aFile)
	path := "/v1/uploads/" + u.ID + "?wait=50ms&after=1"
	if res := b.call("GET", path, "", b.as(b.token)...); res.status != http.StatusOK || res.header.Get("ETag") != `"1"` {
		t.Errorf("%d %s", res.status, res.body)
	}
	if res := b.call("GET", path, "", append(b.as(b.token), "If-None-Match", `"1"`)...); res.status != http.StatusNotModified {
		t.Errorf("%d %s", res.status, res.body)
	}
}

func TestBadWaits(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(aFile)
	for _, query := range []string{
		"wait=0s", "wait=-1s", "wait=61s", "wait=30", "wait=soon", "wait=9999999h", "wait=NaNs",
		"wait=1s&after=-1", "wait=1s&after=1.5", "wait=1s&after=x", "wait=1s&after=9223372036854775808",
	} {
		res := b.call("GET", "/v1/uploads/"+u.ID+"?"+query, "", b.as(b.token)...)
		p := wantProblem(t, res, http.StatusUnprocessableEntity, "invalid_request")
		if len(p.Errors) != 1 || !strings.HasPrefix(p.Errors[0].Location, "query.") {
			t.Errorf("%s: %s", query, res.body)
		}
	}
}

// Nobody learns anything of somebody else's upload by waiting for it.
func TestWaitingAndStreamingAreForTheOwner(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(aFile)
	for _, other := range []string{token(t, "acme", "bob"), token(t, "rival", "alice")} {
		for _, id := range []string{u.ID, uuid.NewString(), "x"} {
			for _, path := range []string{"?wait=30s&after=1", "?wait=30s&after=0", "/events"} {
				wantProblem(t, b.call("GET", "/v1/uploads/"+id+path, "", b.as(other)...), http.StatusNotFound, "not_found")
			}
			wantProblem(t, b.call("GET", "/v1/uploads/"+id, "", append(b.as(other), "If-None-Match", `"1"`)...), http.StatusNotFound, "not_found")
		}
	}
	wantProblem(t, b.call("GET", "/v1/uploads/"+u.ID+"/events", ""), http.StatusUnauthorized, "token_missing")
}

// The server's own timeouts are for clients that dawdle, not for those who wait.
func TestWaitOutlastsTheServersTimeouts(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(aFile)
	server := httptest.NewUnstartedServer(b.handler)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond
	server.Start()
	defer server.Close()
	b.url = server.URL
	time.AfterFunc(400*time.Millisecond, func() { b.advance(u.ID, sagas.Initiated, sagas.Uploaded, sagas.Facts{}, sagas.Reason{}) })
	for range 2 { // on the same connection: the second request has its own deadlines
		res := b.call("GET", "/v1/uploads/"+u.ID+"?wait=30s&after=1", "", b.as(b.token)...)
		if res.status != http.StatusOK || res.header.Get("ETag") != `"2"` {
			t.Errorf("%d %s", res.status, res.body)
		}
	}
}

func TestWaitersAreAnsweredWhenTheProcessStops(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(aFile)
	later(b.stopChanges)
	began := time.Now()
	res := b.call("GET", "/v1/uploads/"+u.ID+"?wait=60s&after=1", "", b.as(b.token)...)
	if res.status != http.StatusOK || res.header.Get("ETag") != `"1"` || time.Since(began) > 30*time.Second {
		t.Errorf("%d %s after %s", res.status, res.body, time.Since(began))
	}
}

// With two connections to the database more than two can wait, and others go on working.
func TestWaitersHoldNoConnection(t *testing.T) {
	b := newTestBundle(t)
	b.serve(func(_ *Config, d *Deps) {
		config := b.pool.Config()
		config.MaxConns = 2
		pool, err := pgxpool.NewWithConfig(context.Background(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		d.Store = sagas.NewStore(pool, "test")
	})
	u := b.begin(aFile)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			res := b.call("GET", "/v1/uploads/"+u.ID+"?wait=30s&after=1", "", b.as(b.token)...)
			if res.status != http.StatusOK || res.header.Get("ETag") != `"2"` {
				t.Errorf("%d %s", res.status, res.body)
			}
		})
	}
	later(func() { b.advance(u.ID, sagas.Initiated, sagas.Uploaded, sagas.Facts{}, sagas.Reason{}) })
	wg.Wait()
}

func TestListUploads(t *testing.T) {
	b := newTestBundle(t)
	var all []string // newest first
	for i := range 5 {
		u := b.begin(strings.Replace(aFile, "a.png", strconv.Itoa(i)+".png", 1))
		if i%2 == 0 {
			b.advance(u.ID, sagas.Initiated, sagas.Expired, sagas.Facts{}, sagas.Reason{})
		}
		all = append([]string{u.ID}, all...)
	}
	list := func(token, query string) v1.UploadList {
		t.Helper()
		res := b.call("GET", "/v1/uploads"+query, "", b.as(token)...)
		if res.status != http.StatusOK || res.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %d %s", query, res.status, res.body)
		}
		return decode[v1.UploadList](t, res.body)
	}
	var pages []string
	for query := "?limit=2"; ; {
		page := list(b.token, query)
		pages = append(pages, idsOf(page)...)
		if page.Next == "" {
			break
		}
		if len(page.Uploads) != 2 {
			t.Fatalf("%s: %d uploads and there are more", query, len(page.Uploads))
		}
		b.begin(aFile) // what comes meanwhile shifts nothing
		query = "?limit=2&cursor=" + page.Next
	}
	if want := strings.Join(all, " "); strings.Join(pages, " ") != want {
		t.Errorf("pages %v, want %v", pages, want)
	}
	for query, want := range map[string][]string{
		"?state=expired":                                     {all[0], all[2], all[4]},
		"?state=expired&state=ready&limit=3":                 {all[0], all[2], all[4]},
		"?state=infected":                                    {},
		"?state=expired&created_before=2020-01-01T00:00:00Z": {},
		"?state=expired&created_after=2020-01-01T00:00:00Z":  {all[0], all[2], all[4]},
	} {
		got := list(b.token, query)
		if strings.Join(idsOf(got), " ") != strings.Join(want, " ") || got.Next != "" {
			t.Errorf("%s: %+v, want %v", query, got, want)
		}
	}
	if got := list(b.token, "?limit=1&state=expired").Uploads[0]; got.State != "expired" || got.Version != 2 || got.History != nil {
		t.Errorf("listed %+v", got)
	}
	for _, other := range []string{token(t, "acme", "bob"), token(t, "rival", "alice")} {
		if got := list(other, ""); len(got.Uploads) != 0 || got.Next != "" {
			t.Errorf("somebody else sees %+v", got)
		}
	}
	foreign := list(b.token, "?limit=1").Next
	if got := list(token(t, "rival", "alice"), "?cursor="+foreign); len(got.Uploads) != 0 {
		t.Errorf("a cursor opens somebody else's list: %+v", got)
	}
}

func idsOf(l v1.UploadList) (ids []string) {
	for _, u := range l.Uploads {
		ids = append(ids, u.ID)
	}
	return ids
}

func TestBadLists(t *testing.T) {
	b := newTestBundle(t)
	good := cursor(sagas.Position{CreatedAt: time.Now(), ID: uuid.New()})
	for _, query := range []string{
		"limit=0", "limit=101", "limit=-1", "limit=x", "state=done", "state=ready&state=", "state=ready,infected",
		"cursor=x", "cursor=" + good[1:], "cursor=" + good + "A", "cursor=__________________8", "cursor=" + strings.Repeat("A", 32),
		"cursor=" + strings.Repeat("_", 32), "cursor=" + uuid.NewString(), "cursor=" + strings.Repeat("A", 5000),
		"created_after=yesterday", "created_before=2026-13-01T00:00:00Z", "created_before=1",
	} {
		res := b.call("GET", "/v1/uploads?"+query, "", b.as(b.token)...)
		p := wantProblem(t, res, http.StatusUnprocessableEntity, "invalid_request")
		if len(p.Errors) == 0 || !strings.HasPrefix(p.Errors[0].Location, "query.") {
			t.Errorf("%s: %s", query, res.body)
		}
	}
	for _, query := range []string{"cursor=" + good, "created_after=0000-01-01T00:00:00Z&created_before=9999-12-31T23:59:59Z", "limit="} {
		if res := b.call("GET", "/v1/uploads?"+query, "", b.as(b.token)...); res.status != http.StatusOK {
			t.Errorf("%s: %d %s", query, res.status, res.body)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add("")
	f.Add(cursor(sagas.Position{CreatedAt: time.Now(), ID: uuid.New()}))
	f.Add(strings.Repeat("_", 32))
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := parseCursor(s); ok && cursor(p) != s {
			t.Errorf("%q is %v is %q", s, p, cursor(p))
		}
	})
}
