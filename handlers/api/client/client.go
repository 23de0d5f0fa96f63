// Package client uploads files through Sluice's API from Go. Files go straight to object storage; only what is
// known about them goes through the API:
//
//	c := client.New("https://uploads.example.com", token, nil)
//	upload, err := c.Upload(ctx, file, v1.NewUpload{Filename: "a.jpg", ContentType: "image/jpeg", Size: size}, client.Options{})
//
// Upload is Begin, then Put, Post or Multipart as the permission demands, then Complete and Wait, which can be called
// one by one as well. Memory does not grow with the size of a file. A context that ends ends everything at once; what
// was begun can be resumed by its id where it is sent in parts.
//
// Failures that may pass are tried again, at growing intervals and when the service says: a restart of it is not
// noticed. What is refused is an Error.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

const (
	tries       = 8
	firstPause  = 100 * time.Millisecond
	longPause   = 2 * time.Second
	callTimeout = 30 * time.Second
	joinTimeout = 2 * time.Minute // storage may take its time to join thousands of parts
	maxAnswer   = 4 << 20         // bytes
)

// Client calls one API on behalf of one token's bearer. It is safe for concurrent use.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New returns a client of the API at baseURL. A nil h is http.DefaultClient.
func New(baseURL, token string, h *http.Client) *Client {
	if h == nil {
		h = http.DefaultClient
	}
	return &Client{base: strings.TrimSuffix(baseURL, "/"), token: token, http: h}
}

// Begin asks for permission to upload. However often the question is repeated because an answer was lost, one upload
// is begun.
func (c *Client) Begin(ctx context.Context, n v1.NewUpload) (v1.Begun, error) {
	return c.BeginOnce(ctx, uuid.NewString(), n)
}

// BeginOnce is Begin for callers that may ask again after they have crashed: with the same key, of up to 250 characters
// of their own, and the same n the answer is the same upload.
func (c *Client) BeginOnce(ctx context.Context, key string, n v1.NewUpload) (v1.Begun, error) {
	return retry(ctx, tries, func() (b v1.Begun, err error) {
		_, err = c.call(ctx, http.MethodPost, "/v1/uploads", http.Header{"Idempotency-Key": {`"` + key + `"`}}, n, &b)
		return b, err
	})
}

// Complete says that the file was sent. Of a multipart upload it may list the parts, which are then compared with what
// storage has. It may be said any number of times.
func (c *Client) Complete(ctx context.Context, id string, parts ...v1.CompletedPart) (v1.Upload, error) {
	return retry(ctx, tries, func() (u v1.Upload, err error) {
		_, err = c.callFor(ctx, joinTimeout, http.MethodPost, "/v1/uploads/"+url.PathEscape(id)+"/complete", nil, v1.Completion{Parts: parts}, &u)
		return u, err
	})
}

// Delete ends an upload that is on its way, or removes a file with its renditions from everywhere. It may be said any
// number of times.
func (c *Client) Delete(ctx context.Context, id string) (v1.Upload, error) {
	return retry(ctx, tries, func() (u v1.Upload, err error) {
		_, err = c.call(ctx, http.MethodDelete, "/v1/uploads/"+url.PathEscape(id), nil, nil, &u)
		return u, err
	})
}

// call makes one request, decodes the answer into out, or into the error, and returns the ETag. A 304 leaves out
// alone.
func (c *Client) call(ctx context.Context, method, path string, header http.Header, in, out any) (etag string, err error) {
	return c.callFor(ctx, callTimeout, method, path, header, in, out)
}

// callFor is call for requests that take as long as timeout.
func (c *Client) callFor(ctx context.Context, timeout time.Duration, method, path string, header http.Header, in, out any) (etag string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := c.request(ctx, method, path, header, in)
	if err != nil {
		return "", err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return "", &connectionError{c.unanswered(err)}
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return "", &connectionError{fmt.Errorf("reading the answer to %s %s: %w", method, path, err)}
	}
	switch {
	case res.StatusCode == http.StatusNotModified:
		return res.Header.Get("ETag"), nil
	case res.StatusCode >= 300:
		return "", apiError(res, body)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return "", fmt.Errorf("decoding the answer to %s %s: %w", method, path, err)
	}
	return res.Header.Get("ETag"), nil
}

// unanswered leaves out of an error of the connection the path, of which there is nothing to be learnt.
func (c *Client) unanswered(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return fmt.Errorf("no answer from %s: %w", c.base, err)
}

func (c *Client) request(ctx context.Context, method, path string, header http.Header, in any) (*http.Request, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encoding a request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("making a request to %s: %w", c.base, err)
	}
	if header != nil {
		req.Header = header.Clone()
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	return req, nil
}

// retry tries again while the failure may pass, and not before the server wants to be asked again.
func retry[T any](ctx context.Context, tries uint, operation func() (T, error)) (T, error) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = firstPause, longPause, 2
	return backoff.Retry(ctx, func() (T, error) {
		v, err := operation()
		var e *Error
		switch {
		case err != nil && (!temporary(err) || ctx.Err() != nil):
			err = backoff.Permanent(err)
		case errors.As(err, &e) && e.retryAfter > 0:
			err = &postponed{err, &backoff.RetryAfterError{Duration: e.retryAfter}}
		}
		return v, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(tries), backoff.WithMaxElapsedTime(0))
}

// postponed is an error with the time until the next try, which is nobody's business but retry's.
type postponed struct {
	error
	until *backoff.RetryAfterError
}

// Unwrap returns both.
func (p *postponed) Unwrap() []error { return []error{p.error, p.until} }
