package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

const (
	putTries  = 5
	maxReason = 64 << 10 // bytes of storage's explanation that are read
)

// Put sends size bytes of file to object storage, as p permits, in constant memory. It tells progress, which may
// be nil, how many bytes are sent; the number starts again from 0 when the file has to be sent again.
func (c *Client) Put(ctx context.Context, p v1.Permission, file io.ReaderAt, size int64, progress func(sent int64)) error {
	if signed := p.Headers["Content-Length"]; signed != "" && signed != strconv.FormatInt(size, 10) {
		return fmt.Errorf("the permission is for %s bytes, not for %d", signed, size)
	}
	if progress == nil {
		progress = func(int64) {}
	}
	unclear := false // whether an earlier try may have arrived
	_, err := retry(ctx, putTries, func() (struct{}, error) {
		err := c.put(ctx, p, size, func() io.ReadCloser {
			progress(0)
			return io.NopCloser(&countingReader{io.NewSectionReader(file, 0, size), 0, progress})
		})
		var refused *Error
		if unclear && errors.As(err, &refused) && refused.Status == http.StatusPreconditionFailed {
			return struct{}{}, nil // only the file itself can be there: its key is nobody else's
		}
		unclear = unclear || temporary(err)
		return struct{}{}, err
	})
	return err
}

func (c *Client) put(ctx context.Context, p v1.Permission, size int64, open func() io.ReadCloser) error {
	req, err := http.NewRequestWithContext(ctx, p.Method, p.URL, open())
	if err != nil {
		return errors.New("the permission's URL is not valid")
	}
	for name, value := range p.Headers {
		req.Header.Set(name, value)
	}
	req.ContentLength = size
	req.GetBody = func() (io.ReadCloser, error) { return open(), nil }
	res, err := c.http.Do(req)
	if err != nil {
		return &connectionError{withoutURL(err)}
	}
	reason, err := io.ReadAll(io.LimitReader(res.Body, maxReason))
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return &connectionError{fmt.Errorf("reading storage's answer: %w", err)}
	}
	if res.StatusCode >= 300 {
		return storageError(res, reason)
	}
	return nil
}

// withoutURL drops the presigned URL, which is a secret, from an error.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return fmt.Errorf("sending the file: %w", e.Err)
	}
	return err
}

// countingReader tells progress how much was read.
type countingReader struct {
	io.Reader
	sent     int64
	progress func(int64)
}

// Read implements io.Reader.
func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.sent += int64(n)
	r.progress(r.sent)
	return n, err
}
