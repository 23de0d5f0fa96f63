package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

// Put sends size bytes of file to object storage, as p permits, in constant memory. It tells progress, which may
// be nil, how many bytes are sent; the number starts again from 0 when the file has to be sent again.
func (c *Client) Put(ctx context.Context, p v1.Permission, file io.ReaderAt, size int64, progress func(sent int64)) error {
	if signed := p.Headers["Content-Length"]; signed != "" && signed != strconv.FormatInt(size, 10) {
		return fmt.Errorf("the permission is for %s bytes, not for %d", signed, size)
	}
	unclear := false // whether an earlier try may have arrived
	_, err := retry(ctx, sendTries, func() (struct{}, error) {
		_, err := c.deliver(ctx, delivery{
			method: p.Method, url: p.URL, header: p.Headers, size: size, sent: telling(progress),
			open: func() io.Reader { return io.NewSectionReader(file, 0, size) },
		})
		if unclear && isRefused(err, http.StatusPreconditionFailed) {
			return struct{}{}, nil // only the file itself can be there: its key is nobody else's
		}
		unclear = unclear || temporary(err)
		return struct{}{}, err
	})
	return err
}

// Post sends size bytes of file to object storage as the form that p permits, in constant memory, and tells progress as
// Put does.
func (c *Client) Post(ctx context.Context, p v1.Permission, file io.ReaderAt, size int64, progress func(sent int64)) error {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for _, name := range slices.Sorted(maps.Keys(p.Fields)) {
		if err := w.WriteField(name, p.Fields[name]); err != nil {
			return fmt.Errorf("writing a form: %w", err)
		}
	}
	if _, err := w.CreateFormFile("file", "file"); err != nil {
		return fmt.Errorf("writing a form: %w", err)
	}
	before := int64(form.Len())
	if err := w.Close(); err != nil {
		return fmt.Errorf("writing a form: %w", err)
	}
	head, tail := form.Bytes()[:before], form.Bytes()[before:]
	told := telling(progress)
	_, err := retry(ctx, sendTries, func() (struct{}, error) {
		_, err := c.deliver(ctx, delivery{
			method: p.Method, url: p.URL, header: map[string]string{"Content-Type": w.FormDataContentType()},
			size: int64(form.Len()) + size,
			sent: func(n int64) { told(min(max(n-before, 0), size)) },
			open: func() io.Reader {
				return io.MultiReader(bytes.NewReader(head), io.NewSectionReader(file, 0, size), bytes.NewReader(tail))
			},
		})
		return struct{}{}, err
	})
	return err
}

func telling(progress func(int64)) func(int64) {
	if progress == nil {
		return func(int64) {}
	}
	return progress
}

func isRefused(err error, status int) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Status == status
}
