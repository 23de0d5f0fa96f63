package api

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
)

// maxStream is what an open stream may cost the process, in bytes. This test's ends of the connections are in it.
const maxStream = 25 << 10

func TestStreamsAreSmall(t *testing.T) {
	const streams = 500
	b := newTestBundle(t)
	u := b.begin(aFile)
	b.openStream(u.ID) // what is made once is made
	before := inUse()
	for range streams {
		b.openStream(u.ID)
	}
	each := (inUse() - before) / streams
	t.Logf("%d bytes for each of %d streams", each, streams)
	if each > maxStream {
		t.Errorf("%d bytes for each of %d streams, want at most %d", each, streams, maxStream)
	}
}

// openStream opens a stream with as little of its own as possible, and reads its first event.
func (b *testBundle) openStream(id string) {
	b.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "GET /v1/uploads/%s/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", id, b.token); err != nil {
		b.t.Fatal(err)
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "data: ") {
			return
		}
	}
	b.t.Fatal("the stream ended")
}

// inUse is the memory that is in use after a collection, stacks included.
func inUse() int64 {
	var m runtime.MemStats
	for range 4 { // stacks shrink by half each time
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// BenchmarkNotModified is what polling costs while nothing happens, without the network.
func BenchmarkNotModified(b *testing.B) {
	bundle := newTestBundle(b)
	u := bundle.begin(aFile)
	bench(b, bundle, http.StatusNotModified, func() *http.Request {
		req := httptest.NewRequest(http.MethodGet, "/v1/uploads/"+u.ID, nil)
		req.Header.Set("If-None-Match", `"1"`)
		return req
	})
}

// BenchmarkBegin is what permission to upload costs, without the network.
func BenchmarkBegin(b *testing.B) {
	bench(b, newTestBundle(b), http.StatusCreated, func() *http.Request {
		req := httptest.NewRequest(http.MethodPost, "/v1/uploads", strings.NewReader(`{"filename":"holiday.jpg","content_type":"image/jpeg","size":3145728}`))
		req.Header.Set("Content-Type", "application/json")
		return req
	})
}

// bench makes the same request again and again, from 16 clients for each processor.
func bench(b *testing.B, bundle *testBundle, want int, request func() *http.Request) {
	b.Helper()
	bundle.serve(func(_ *Config, d *Deps) { d.Log = slog.New(slog.NewTextHandler(io.Discard, nil)) }) //nolint:sloglint // writing the log is part of the cost
	b.ReportAllocs()
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req := request()
			req.Header.Set("Authorization", "Bearer "+bundle.token)
			res := httptest.NewRecorder()
			bundle.handler.ServeHTTP(res, req)
			if res.Code != want {
				b.Fatal(res.Code, res.Body)
			}
		}
	})
}
