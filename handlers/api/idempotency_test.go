package api

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-media/sluice/sagas"
)

// withKey are the headers of a call of alice's under an idempotency key.
func (b *testBundle) withKey(key string) []string {
	return append(b.as(b.token), idempotencyHeader, key)
}

func (b *testBundle) wantUploads(want int) {
	b.t.Helper()
	if n := b.count(); n != want {
		b.t.Errorf("%d uploads, want %d", n, want)
	}
}

func TestARepeatedRequestGetsTheFirstAnswer(t *testing.T) {
	b := newTestBundle(t)
	body := declaring(picture)
	first := b.call("POST", "/v1/uploads", body, b.withKey(`"key 1"`)...)
	if first.status != http.StatusCreated || first.header.Get(replayedHeader) != "" {
		t.Fatalf("%d %s", first.status, first.body)
	}
	for name, again := range map[string]string{"same": body, "other layout": " " + strings.ReplaceAll(body, ",", ",\n ")} {
		res := b.call("POST", "/v1/uploads", again, b.withKey(`"key 1"`)...)
		if res.status != http.StatusCreated || !bytes.Equal(res.body, first.body) || res.header.Get(replayedHeader) != "true" {
			t.Errorf("%s: %d %s", name, res.status, res.body)
		}
		for _, header := range []string{"Location", "ETag", "Content-Type", "Cache-Control"} {
			if got, want := res.header.Get(header), first.header.Get(header); got != want || want == "" {
				t.Errorf("%s: %s %q, want %q", name, header, got, want)
			}
		}
	}
	b.wantUploads(1)

	other := strings.Replace(body, "{", `{"metadata":{"a":"b"},`, 1)
	wantProblem(t, b.call("POST", "/v1/uploads", other, b.withKey(`"key 1"`)...), http.StatusUnprocessableEntity, "idempotency_key_reused")
	wantSimpleError(t, b.call("POST", "/get-upload-url", body, b.withKey(`"key 1"`)...), http.StatusBadRequest, keyReused.detail)
	b.wantUploads(1)

	for _, who := range []string{token(t, "acme", "bob"), token(t, "rival", "alice")} {
		res := b.call("POST", "/v1/uploads", body, append(b.as(who), idempotencyHeader, `"key 1"`)...)
		if res.status != http.StatusCreated || bytes.Equal(res.body, first.body) || res.header.Get(replayedHeader) != "" {
			t.Errorf("a stranger's key: %d %s", res.status, res.body)
		}
	}
	b.call("POST", "/v1/uploads", body, b.withKey("key-2")...)
	b.call("POST", "/v1/uploads", body, b.as(b.token)...)
	b.wantUploads(5)
}

func TestOneKeyBeginsOneUpload(t *testing.T) {
	const requests = 50
	b := newTestBundle(t)
	instances := []string{b.url}
	b.serve()
	instances = append(instances, b.url)
	var mu sync.Mutex
	answers := map[string]int{}
	var wg sync.WaitGroup
	for i := range requests {
		wg.Go(func() {
			caller := *b
			caller.url = instances[i%len(instances)]
			for {
				res := caller.call("POST", "/v1/uploads", declaring(picture), b.withKey("k")...)
				if res.status == http.StatusConflict && strings.Contains(string(res.body), keyInFlight.code) && res.header.Get("Retry-After") != "" {
					continue
				}
				mu.Lock()
				defer mu.Unlock()
				answers[string(res.body)]++
				return
			}
		})
	}
	wg.Wait()
	if len(answers) != 1 {
		t.Errorf("%d different answers: %v", len(answers), answers)
	}
	b.wantUploads(1)
}

func TestARefusedRequestIsNotRemembered(t *testing.T) {
	b := newTestBundle(t)
	bad := strings.Replace(declaring(picture), "image/jpeg", "text/html", 1)
	for range 2 {
		wantProblem(t, b.call("POST", "/v1/uploads", bad, b.withKey("k")...), http.StatusUnprocessableEntity, "type_not_allowed")
	}
	if res := b.call("POST", "/v1/uploads", declaring(picture), b.withKey("k")...); res.status != http.StatusCreated {
		t.Errorf("%d %s", res.status, res.body)
	}
	b.wantUploads(1)
}

func TestAKeyOfACrashedRequestIsFreeAfterItsLease(t *testing.T) {
	b := newTestBundle(t)
	claim := sagas.KeyClaim{
		ID: uuid.New(), Owner: sagas.Owner{Tenant: "acme", Subject: "alice"}, Key: "k",
		Fingerprint: b.fingerprint("POST", "/v1/uploads", declaring(picture)),
	}
	if _, err := b.store.ClaimKey(t.Context(), claim, time.Hour); err != nil {
		t.Fatal(err)
	}
	res := b.call("POST", "/v1/uploads", declaring(picture), b.withKey("k")...)
	wantProblem(t, res, http.StatusConflict, "idempotency_key_in_flight")
	if res.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if _, err := b.pool.Exec(t.Context(), "UPDATE idempotency_keys SET expires_at = now() - interval '1 second'"); err != nil {
		t.Fatal(err)
	}
	if res := b.call("POST", "/v1/uploads", declaring(picture), b.withKey("k")...); res.status != http.StatusCreated {
		t.Errorf("%d %s", res.status, res.body)
	}
	b.wantUploads(1)
}

func (b *testBundle) fingerprint(method, path, body string) []byte {
	b.t.Helper()
	r, err := http.NewRequest(method, path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	sum, err := fingerprint(r)
	if err != nil {
		b.t.Fatal(err)
	}
	return sum
}

// Who was so slow that another was let in must not tell of a second upload.
func TestAnAnswerWithoutAClaimIsNotGiven(t *testing.T) {
	b := newTestBundle(t)
	_, err := b.pool.Exec(t.Context(), `
		CREATE FUNCTION take_over() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN UPDATE idempotency_keys SET claim = gen_random_uuid(); RETURN NEW; END $$;
		CREATE TRIGGER take_over AFTER INSERT ON uploads FOR EACH ROW EXECUTE FUNCTION take_over()`)
	if err != nil {
		t.Fatal(err)
	}
	wantProblem(t, b.call("POST", "/v1/uploads", declaring(picture), b.withKey("k")...), http.StatusConflict, "idempotency_key_in_flight")
}

func TestARequestIsAnsweredAfterItsClientHasGone(t *testing.T) {
	b := newTestBundle(t)
	lock, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), "LOCK TABLE uploads IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/v1/uploads", strings.NewReader(declaring(picture)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	headers := b.withKey("k")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	gone := make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(req) //nolint:bodyclose // there is no response
		gone <- err
	}()
	b.eventually(func() bool { // begin waits for the lock
		var waiting bool
		err := b.pool.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'uploads'::regclass)").Scan(&waiting)
		return err == nil && waiting
	})
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	var res response
	b.eventually(func() bool {
		res = b.call("POST", "/v1/uploads", declaring(picture), b.withKey("k")...)
		return res.status != http.StatusConflict
	})
	if res.status != http.StatusCreated || res.header.Get(replayedHeader) != "true" {
		t.Errorf("%d %s", res.status, res.body)
	}
	b.wantUploads(1)
}

func (b *testBundle) eventually(done func() bool) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatal("waited in vain")
		}
	}
}

func TestKeptAnswersCannotBeReadInTheDatabase(t *testing.T) {
	b := newTestBundle(t)
	b.call("POST", "/v1/uploads", declaring(picture), b.withKey("k")...)
	var kept []byte
	if err := b.pool.QueryRow(t.Context(), "SELECT answer FROM idempotency_keys").Scan(&kept); err != nil {
		t.Fatal(err)
	}
	if len(kept) == 0 || bytes.Contains(kept, []byte("uploads")) || bytes.Contains(kept, []byte("Status")) {
		t.Errorf("kept as %q", kept)
	}
}

func TestSimpleRequestsCanBeRepeated(t *testing.T) {
	b := newTestBundle(t)
	body := `{"filename":"a.jpg","contentType":"image/jpeg"}`
	first := b.call("POST", "/get-upload-url", body, b.withKey("k")...)
	second := b.call("POST", "/get-upload-url", body, b.withKey("k")...)
	if first.status != http.StatusOK || second.status != http.StatusOK || !bytes.Equal(first.body, second.body) {
		t.Errorf("%d %s, then %d %s", first.status, first.body, second.status, second.body)
	}
	b.wantUploads(1)
}

func TestIdempotencyKeysThatCannotBeRead(t *testing.T) {
	b := newTestBundle(t)
	for _, key := range []string{"", `""`, `"a`, `a"`, `"a"b`, `"a";b=c`, `"a", "b"`, "a b", "a,b", `"a\b"`, `"\`, "clé", "\"a\tb\"", strings.Repeat("a", 256)} {
		req, err := http.NewRequest(http.MethodPost, b.url+"/v1/uploads", strings.NewReader(declaring(picture)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+b.token)
		req.Header[idempotencyHeader] = []string{key}
		wantProblem(t, b.do(req), http.StatusBadRequest, "idempotency_key_invalid")
		req.Body, req.Header[idempotencyHeader] = http.NoBody, []string{"a", "a"}
		wantProblem(t, b.do(req), http.StatusBadRequest, "idempotency_key_invalid")
	}
	b.wantUploads(0)
	for value, want := range map[string]string{
		`abc`: "abc", ` abc `: "abc", `"abc"`: "abc", `"a \"b\" \\"`: `a "b" \`, strings.Repeat("a", 255): strings.Repeat("a", 255),
	} {
		if got, err := parseIdempotencyKey([]string{value}); got != want || err != nil {
			t.Errorf("%s is %q, %v", value, got, err)
		}
	}
}

func FuzzIdempotencyKey(f *testing.F) {
	for _, seed := range []string{`"abc"`, `abc`, `"a\"b"`, `"a";b`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		key, err := parseIdempotencyKey([]string{value})
		if err != nil {
			return
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
		if again, err := parseIdempotencyKey([]string{quoted}); err != nil || again != key || key == "" || len(key) > maxIdempotencyKey {
			t.Errorf("%q is %q, and %s is %q, %v", value, key, quoted, again, err)
		}
	})
}

func FuzzFingerprint(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":[true]}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, body []byte) {
		once := canonical(body)
		if twice := canonical(once); !bytes.Equal(once, twice) {
			t.Errorf("%q is %q, and then %q", body, once, twice)
		}
	})
}
