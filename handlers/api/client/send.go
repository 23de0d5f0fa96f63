package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	sendTries  = 8
	stallAfter = 2 * time.Minute // without a byte sent, or without an answer to the last one
	maxReason  = 64 << 10        // bytes of storage's explanation that are read
)

var errStalled = errors.New("nothing has moved for two minutes")

// delivery is one request that carries bytes to object storage.
type delivery struct {
	method, url string
	header      map[string]string
	size        int64 // bytes of the body
	open        func() io.Reader
	sent        func(n int64) // how many bytes of the body have left; starts at 0 each time that it is sent
}

// deliver makes the request once and returns the ETag that storage gives the bytes. It ends when nothing moves any
// more, however long the whole takes.
func (c *Client) deliver(ctx context.Context, d delivery) (etag string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(stallAfter, func() { cancel(&connectionError{errStalled}) })
	defer stalled.Stop()
	m := meter{size: d.size, told: func(n int64) {
		stalled.Reset(stallAfter)
		d.sent(n)
	}}
	defer m.stop()
	open := func() io.ReadCloser { return m.start(d.open()) }
	req, err := http.NewRequestWithContext(ctx, d.method, d.url, open())
	if err != nil {
		return "", errors.New("the permission's URL is not valid")
	}
	for name, value := range d.header {
		req.Header.Set(name, value)
	}
	req.ContentLength = d.size
	req.GetBody = func() (io.ReadCloser, error) { return open(), nil }
	res, err := c.http.Do(req)
	if err != nil {
		return "", sendingFailed(ctx, err)
	}
	reason, err := io.ReadAll(io.LimitReader(res.Body, maxReason))
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return "", &connectionError{fmt.Errorf("reading storage's answer: %w", err)}
	}
	if res.StatusCode >= 300 {
		return "", storageError(res, reason)
	}
	return strings.Trim(res.Header.Get("ETag"), `"`), nil
}

// sendingFailed drops the presigned URL, which is a secret, from an error, and tells the file that cannot be read
// from the connection that has failed.
func sendingFailed(ctx context.Context, err error) error {
	var unreadable *FileError
	switch {
	case errors.As(err, &unreadable):
		return unreadable
	case errors.Is(context.Cause(ctx), errStalled):
		return context.Cause(ctx)
	}
	var e *url.Error
	if errors.As(err, &e) {
		err = fmt.Errorf("sending the file: %w", e.Err)
	}
	return &connectionError{err}
}

// FileError is a file that cannot be read any more, or has become shorter.
type FileError struct{ err error }

// Error implements error.
func (e *FileError) Error() string { return "reading the file: " + e.err.Error() }

// Unwrap returns what reading it came to.
func (e *FileError) Unwrap() error { return e.err }

// meter tells how much of a body was read. The transport may go on reading after it has answered, and begin anew before
// it has: only the latest reader counts, and none after stop.
type meter struct {
	size int64
	told func(int64)

	mu     sync.Mutex
	latest *meteredReader
}

func (m *meter) start(r io.Reader) io.ReadCloser {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latest = &meteredReader{from: r, meter: m}
	m.told(0)
	return m.latest
}

func (m *meter) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latest = nil
}

type meteredReader struct {
	from  io.Reader
	meter *meter
	n     int64
}

// Read implements io.Reader.
func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.n += int64(n)
	if errors.Is(err, io.EOF) && r.n < r.meter.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, &FileError{err}
	}
	r.meter.mu.Lock()
	defer r.meter.mu.Unlock()
	if r.meter.latest == r {
		r.meter.told(r.n)
	}
	return n, err
}

// Close implements io.Closer.
func (r *meteredReader) Close() error { return nil }
