package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

// longPoll is how long the server is asked to wait for news: less than callTimeout, and than proxies allow by default.
const longPoll = 20 * time.Second

// Get returns an upload as it stands.
func (c *Client) Get(ctx context.Context, id string) (v1.Upload, error) {
	return retry(ctx, tries, func() (v1.Upload, error) {
		u, _, err := c.getIfChanged(ctx, id, "", 0)
		return u, err
	})
}

// Filter says which uploads to list. The zero Filter is the first page of all of them.
type Filter struct {
	States        []string  // any of them; none: all
	CreatedAfter  time.Time // zero: however old
	CreatedBefore time.Time // zero: however new
	Limit         int       // most uploads in the page, at most 100; 0 leaves it to the server
	Cursor        string    // the Next of the page before
}

// List returns a page of the uploads of the token's bearer, newest first.
func (c *Client) List(ctx context.Context, f Filter) (v1.UploadList, error) {
	query := url.Values{"state": f.States}
	if !f.CreatedAfter.IsZero() {
		query.Set("created_after", f.CreatedAfter.Format(time.RFC3339Nano))
	}
	if !f.CreatedBefore.IsZero() {
		query.Set("created_before", f.CreatedBefore.Format(time.RFC3339Nano))
	}
	if f.Limit != 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	if f.Cursor != "" {
		query.Set("cursor", f.Cursor)
	}
	return retry(ctx, tries, func() (l v1.UploadList, err error) {
		_, err = c.call(ctx, http.MethodGet, "/v1/uploads?"+query.Encode(), nil, nil, &l)
		return l, err
	})
}

// Wait returns the upload when it has its outcome, good or bad. Until then it tells onChange, which may be nil,
// of every change it sees, the present state first. Interruptions of the service are waited out; only ctx ends
// the waiting for a service that does not come back.
//
// The server is asked to answer when there is news. Where something refuses that, or answers at once all the same, Wait
// asks again in growing intervals.
func (c *Client) Wait(ctx context.Context, id string, onChange func(v1.Upload)) (v1.Upload, error) {
	var u v1.Upload
	etag, poll, pause := "", longPoll, firstPause
	for {
		asked := time.Now()
		news, newTag, err := c.getIfChanged(ctx, id, etag, poll)
		switch {
		case ctx.Err() != nil:
			return u, fmt.Errorf("waiting for upload %s: %w", id, context.Cause(ctx))
		case poll > 0 && isInvalid(err):
			poll = 0
			continue
		case err != nil && !temporary(err):
			return u, err
		case err == nil && news.Version > u.Version:
			u, etag, pause = news, newTag, firstPause
			if onChange != nil {
				onChange(u)
			}
			if u.Settled() {
				return u, nil
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause - time.Since(asked)): // at once when the server has waited
		}
		pause = min(longPause, pause*3/2)
	}
}

// isInvalid reports a request that the server does not understand.
func isInvalid(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity)
}

// getIfChanged reads an upload and its ETag. When the ETag is still the given one after wait, the upload is zero.
func (c *Client) getIfChanged(ctx context.Context, id, etag string, wait time.Duration) (u v1.Upload, newTag string, err error) {
	path, header := "/v1/uploads/"+url.PathEscape(id), http.Header{}
	if etag != "" {
		header.Set("If-None-Match", etag)
		if wait > 0 {
			path += "?wait=" + wait.String()
		}
	}
	newTag, err = c.call(ctx, http.MethodGet, path, header, nil, &u)
	return u, newTag, err
}
