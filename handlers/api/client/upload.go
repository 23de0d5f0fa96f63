package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

// Options are what Upload does besides uploading. The zero value is fine.
type Options struct {
	Resume   string                 // id of an upload that was begun for the same file, as OnBegun was told; empty begins one
	Parallel int                    // parts in flight at most; 0 is 4
	NoWait   bool                   // return when the file has arrived, not when it has its outcome
	OnBegun  func(v1.Upload) error  // is told of an upload before any byte is sent: the time to note its id for Resume
	Progress func(sent int64)       // is told how many bytes are sent, first how many storage had before; the number goes back when some are sent again
	PartSent func(v1.CompletedPart) // is told of every part that has arrived
	OnChange func(v1.Upload)        // is told of every change while Upload waits
}

// codes of problems, as the API's table of errors has them
const (
	codeNotUploaded = "not_uploaded"
	codeNotFound    = "not_found"
	codeSettled     = "upload_settled"
	codeMissing     = "parts_missing"
)

// Upload sends a file of n.Size bytes by whichever method n or the service chooses, and returns it with its outcome,
// good or bad. With an error, an upload that has an id was begun and may be resumed; what cannot be resumed any more is
// begun anew.
func (c *Client) Upload(ctx context.Context, file io.ReaderAt, n v1.NewUpload, o Options) (v1.Upload, error) {
	u, err := c.deliverFile(ctx, file, n, o)
	if err != nil || o.NoWait || u.Settled() {
		return u, err
	}
	waited, err := c.Wait(ctx, u.ID, o.OnChange)
	if waited.ID == "" {
		waited = u
	}
	return waited, err
}

// deliverFile brings the file to storage and has that confirmed.
func (c *Client) deliverFile(ctx context.Context, file io.ReaderAt, n v1.NewUpload, o Options) (v1.Upload, error) {
	if o.Resume != "" {
		u, err := c.resume(ctx, file, n, o)
		if !isGone(err) {
			return u, err
		}
	}
	begun, err := c.Begin(ctx, n)
	if err != nil {
		return v1.Upload{}, err
	}
	if o.OnBegun != nil {
		if err := o.OnBegun(begun.Upload); err != nil {
			return begun.Upload, err
		}
	}
	var done v1.Upload
	switch p := begun.Permission; {
	case p.PartCount > 0:
		done, err = c.sendParts(ctx, begun.ID, p, file, n, nil, o)
	case len(p.Fields) > 0:
		err = c.Post(ctx, p, file, n.Size, o.Progress)
	default:
		err = c.Put(ctx, p, file, n.Size, o.Progress)
	}
	if err == nil && done.ID == "" {
		done, err = c.Complete(ctx, begun.ID)
	}
	if err != nil {
		return begun.Upload, err
	}
	return done, nil
}

// resume goes on with an upload where it stands. Its error is of isGone when nothing can be made of it.
func (c *Client) resume(ctx context.Context, file io.ReaderAt, n v1.NewUpload, o Options) (v1.Upload, error) {
	u, err := c.Get(ctx, o.Resume)
	switch {
	case err != nil:
		return u, err
	case u.State == "expired", u.State == "aborted", u.State == "deleted":
		return u, &Error{Status: http.StatusConflict, Code: codeSettled, Detail: fmt.Sprintf("The upload is %s.", u.State)}
	case u.State != "initiated":
		return u, nil
	case u.Method != "multipart":
		done, err := c.Complete(ctx, u.ID)
		if err != nil {
			return u, err
		}
		return done, nil
	}
	stored, err := c.StoredParts(ctx, u.ID)
	var done v1.Upload
	if isCode(err, codeSettled) { // the parts were joined, and nobody has noticed yet; or it is over
		done, err = c.Complete(ctx, u.ID)
	} else if err == nil {
		cut := v1.Permission{Method: http.MethodPut, PartSize: stored.PartSize, PartCount: stored.PartCount}
		done, err = c.sendParts(ctx, u.ID, cut, file, n, stored.Parts, o)
	}
	if err != nil {
		return u, err
	}
	return done, nil
}

// sendParts sends what is missing and has all of it joined. Parts that storage has lost by then are sent again once.
func (c *Client) sendParts(
	ctx context.Context, id string, cut v1.Permission, file io.ReaderAt, n v1.NewUpload, stored []v1.StoredPart, o Options,
) (v1.Upload, error) {
	parts := Parts{
		File: file, Size: n.Size, Stored: stored, SHA256: n.PartSHA256, Parallel: o.Parallel, Progress: o.Progress, PartSent: o.PartSent,
	}
	sent, err := c.Multipart(ctx, id, cut, parts)
	if err != nil {
		return v1.Upload{}, err
	}
	u, err := c.Complete(ctx, id, sent...)
	if !isCode(err, codeMissing) {
		return u, err
	}
	has, err := c.StoredParts(ctx, id)
	if err != nil {
		return v1.Upload{}, err
	}
	cut.Parts, parts.Stored = nil, has.Parts
	if sent, err = c.Multipart(ctx, id, cut, parts); err != nil {
		return v1.Upload{}, err
	}
	return c.Complete(ctx, id, sent...)
}

// isGone reports an upload that takes no bytes any more, or whose permission was lost with the process that had it.
func isGone(err error) bool {
	return isCode(err, codeNotFound) || isCode(err, codeSettled) || isCode(err, codeNotUploaded)
}

func isCode(err error, code string) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Code == code
}
