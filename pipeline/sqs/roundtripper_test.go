package sqs

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
)

// hastyBody is a request body as the SDK makes it: closed as soon as the response is there, after which net/http's
// look for surplus bytes gets io.EOF as an error. The look waits for the close, so that the race is always lost.
type hastyBody struct {
	io.Reader
	closed chan struct{}
	close  sync.Once
}

func (b *hastyBody) Close() error {
	b.close.Do(func() { close(b.closed) })
	return nil
}

func (b *hastyBody) WriteTo(io.Writer) (int64, error) {
	<-b.closed
	return 0, io.EOF
}

func TestBodyClosedEarlyLeavesTheResponseWhole(t *testing.T) {
	answer := strings.Repeat("message ", 1<<17)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "request" {
			t.Errorf("server read %q, %v", body, err)
		}
		if _, err := io.WriteString(w, answer); err != nil {
			t.Errorf("server: %v", err)
		}
	}))
	defer server.Close()
	transport := &BufferingTransport{Base: server.Client().Transport}

	for i, wantReused := range []bool{false, true} {
		var reused bool
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused },
		})
		body := &hastyBody{Reader: strings.NewReader("request"), closed: make(chan struct{})}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, body)
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = int64(len("request"))
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if err := body.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(response.Body)
		if err != nil || string(got) != answer {
			t.Errorf("request %d: response of %d bytes, %v; want %d", i, len(got), err, len(answer))
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		if reused != wantReused {
			t.Errorf("request %d: connection reused: %t", i, reused)
		}
	}
}

// recorder is a RoundTripper that keeps the request it was given.
type recorder struct{ request *http.Request }

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	r.request = request
	return &http.Response{Body: http.NoBody}, nil
}

func TestBufferingTransportBuffersSmallBodiesOnly(t *testing.T) {
	for name, test := range map[string]struct {
		length   int64
		buffered bool
	}{
		"small":          {bufferLimit, true},
		"large":          {bufferLimit + 1, false},
		"unknown length": {-1, false},
	} {
		t.Run(name, func(t *testing.T) {
			base := &recorder{}
			content := bytes.Repeat([]byte("x"), int(max(test.length, 1)))
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://sqs", io.NopCloser(bytes.NewReader(content)))
			if err != nil {
				t.Fatal(err)
			}
			request.ContentLength = test.length
			response, err := (&BufferingTransport{Base: base}).RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			if err := response.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if buffered := base.request.GetBody != nil; buffered != test.buffered {
				t.Errorf("buffered: %t", buffered)
			}
			if got, err := io.ReadAll(base.request.Body); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d of %d bytes passed on, %v", len(got), len(content), err)
			}
		})
	}
}

func TestBodyShorterThanDeclaredIsAnError(t *testing.T) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://sqs", strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = 4
	if _, err := (&BufferingTransport{Base: &recorder{}}).RoundTrip(request); err == nil { //nolint:bodyclose // there is none
		t.Error("no error")
	}
}
