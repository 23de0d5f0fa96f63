package api

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

// follower reads a stream as a browser would.
type follower struct {
	t      *testing.T
	res    *http.Response
	lines  *bufio.Scanner
	close  func()
	id     int64
	retry  time.Duration
	beats  int
	upload v1.Upload
}

func (b *testBundle) follow(t *testing.T, id string, lastEventID int64, headers ...string) *follower {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/v1/uploads/"+id+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	if lastEventID > 0 {
		req.Header.Set("Last-Event-ID", strconv.FormatInt(lastEventID, 10))
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req) //nolint:bodyclose // close does
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	f := &follower{t: t, res: res, lines: bufio.NewScanner(res.Body)}
	f.lines.Buffer(nil, 1<<20)
	f.close = func() {
		once.Do(func() {
			cancel()
			_ = res.Body.Close()
		})
	}
	t.Cleanup(f.close)
	return f
}

// next reads the next event; false means that the stream has ended.
func (f *follower) next() bool {
	f.t.Helper()
	name, seen := "", false
	for f.lines.Scan() {
		field, value, _ := strings.Cut(f.lines.Text(), ": ")
		switch field {
		case "event":
			name, seen = value, true
		case "id":
			f.id, _ = strconv.ParseInt(value, 10, 64)
		case "data":
			f.upload = decode[v1.Upload](f.t, []byte(value))
		case "retry":
			ms, _ := strconv.Atoi(value)
			f.retry = time.Duration(ms) * time.Millisecond
		case "":
			if value == "heartbeat" {
				f.beats++
			} else if seen {
				if name != "upload" || f.upload.Version != f.id {
					f.t.Errorf("event %q with id %d and version %d", name, f.id, f.upload.Version)
				}
				return true
			}
		default:
			f.t.Errorf("line %q", f.lines.Text())
		}
	}
	return false
}

func (f *follower) want(version int64, state sagas.State) {
	f.t.Helper()
	if !f.next() {
		f.t.Fatalf("the stream ended before version %d", version)
	}
	if f.id != version || f.upload.State != string(state) || int64(len(f.upload.History)) != version {
		f.t.Errorf("event %d: %+v, want version %d, %s", f.id, f.upload, version, state)
	}
}

func (b *testBundle) step(id string, from, to sagas.State) {
	b.t.Helper()
	b.advance(id, from, to, sagas.Facts{}, sagas.Reason{})
}

func TestEvents(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(aFile)
	f := b.follow(t, u.ID, 0)
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
		if got := f.res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	f.want(1, sagas.Initiated)
	if f.retry < time.Second || f.retry > 10*time.Second {
		t.Errorf("retry after %s", f.retry)
	}
	b.step(u.ID, sagas.Initiated, sagas.Uploaded)
	f.want(2, sagas.Uploaded)
	b.step(u.ID, sagas.Uploaded, sagas.Rejected)
	f.want(3, sagas.Rejected)
	if f.next() {
		t.Error("the stream goes on after the outcome")
	}
	b.step(u.ID, sagas.Rejected, sagas.Rejected) // delivered
	late := b.follow(t, u.ID, 3)
	late.want(4, sagas.Rejected)
	if late.next() {
		t.Error("a stream of an outcome goes on")
	}
	if again := b.follow(t, u.ID, 4); again.res.StatusCode != http.StatusNoContent || again.next() {
		t.Errorf("to whom knows the outcome: %d", again.res.StatusCode)
	}
}

func TestEventsAfterTheLastOne(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(aFile)
	b.step(u.ID, sagas.Initiated, sagas.Uploaded)
	known, behind, wrong := b.follow(t, u.ID, 2), b.follow(t, u.ID, 1), b.follow(t, u.ID, 99)
	behind.want(2, sagas.Uploaded)
	b.step(u.ID, sagas.Uploaded, sagas.Verified)
	for _, f := range []*follower{known, behind, wrong} {
		f.want(3, sagas.Verified)
	}
	for _, bad := range []string{"x", "-1", "1.5"} {
		res := b.call("GET", "/v1/uploads/"+u.ID+"/events", "", append(b.as(b.token), "Last-Event-ID", bad)...)
		wantProblem(t, res, http.StatusUnprocessableEntity, "invalid_request")
	}
}

// A client whose server goes away takes up the stream at another one, and misses nothing that happened in between.
func TestEventsGoOnAtAnotherServer(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(aFile)
	f := b.follow(t, u.ID, 0)
	f.want(1, sagas.Initiated)
	b.stopChanges()
	if f.next() {
		t.Error("the stream outlives its process")
	}
	b.step(u.ID, sagas.Initiated, sagas.Uploaded)
	b.step(u.ID, sagas.Uploaded, sagas.Verified)
	b.serve()
	f = b.follow(t, u.ID, f.id)
	f.want(3, sagas.Verified)
	b.step(u.ID, sagas.Verified, sagas.Infected)
	f.want(4, sagas.Infected)
}

func TestHeartbeats(t *testing.T) {
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.Heartbeat = 10 * time.Millisecond })
	u := b.begin(aFile)
	f := b.follow(t, u.ID, 1)
	time.AfterFunc(200*time.Millisecond, func() { b.step(u.ID, sagas.Initiated, sagas.Uploaded) })
	f.want(2, sagas.Uploaded)
	if f.beats == 0 {
		t.Error("no heartbeat")
	}
}

func TestStreamsEndWithTheCredential(t *testing.T) {
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.Heartbeat = 50 * time.Millisecond })
	u := b.begin(aFile)
	b.token = sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"exp": time.Now().Add(2 * time.Second).Unix()})
	if f := b.follow(t, u.ID, 1); f.next() {
		t.Error("an event out of nothing")
	}
}

// Fifty streams of one upload: each gets every version, and the upload is read once for all of them.
func TestManyFollowOneUpload(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(aFile)
	var followers []*follower
	for range 50 {
		f := b.follow(t, u.ID, 0)
		f.want(1, sagas.Initiated)
		followers = append(followers, f)
	}
	b.step(u.ID, sagas.Initiated, sagas.Uploaded)
	for _, f := range followers {
		f.want(2, sagas.Uploaded)
	}
	b.step(u.ID, sagas.Uploaded, sagas.Failed)
	for _, f := range followers {
		f.want(3, sagas.Failed)
		if f.next() {
			t.Error("the stream goes on")
		}
	}
}

// A database that is away for a moment ends no stream.
func TestAChangeThatCannotBeReadIsReadLater(t *testing.T) {
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.Heartbeat = 50 * time.Millisecond })
	u := b.begin(aFile)
	f := b.follow(t, u.ID, 0)
	f.want(1, sagas.Initiated)
	rename := func(from, to string) {
		if _, err := b.pool.Exec(context.Background(), "ALTER TABLE "+from+" RENAME TO "+to); err != nil {
			t.Error(err)
		}
	}
	b.step(u.ID, sagas.Initiated, sagas.Uploaded)
	f.want(2, sagas.Uploaded)
	rename("upload_transitions", "hidden")
	if _, err := b.pool.Exec(t.Context(), "UPDATE uploads SET version = 3, state = 'expired' WHERE id = $1", u.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.pool.Exec(t.Context(), "SELECT pg_notify('sluice_uploads', $1)", u.ID+" 3"); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(b.log.String(), "could not read a change") {
		time.Sleep(5 * time.Millisecond)
	}
	rename("hidden", "upload_transitions")
	if !f.next() || f.id != 3 {
		t.Errorf("event %d after the outage", f.id)
	}
}

// narrow is a listener whose connections hold back little of what is not read.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetWriteBuffer(1)
	}
	return conn, err
}

// A client that does not read is cut off; it must not hold on to what others need.
func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.Heartbeat, c.StreamTimeout = 50*time.Microsecond, 200*time.Millisecond })
	u := b.begin(aFile)
	server := httptest.NewUnstartedServer(b.handler)
	server.Listener = narrow{server.Listener}
	server.Start()
	defer server.Close()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing is left to lose
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("%T", conn)
	}
	if err := tcp.SetReadBuffer(1); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET /v1/uploads/%s/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", u.ID, b.token); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(b.log.String(), "stream cut off") {
		if time.Now().After(deadline) {
			t.Fatal("it is still served")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
