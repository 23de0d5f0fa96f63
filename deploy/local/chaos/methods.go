package chaos

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"time"
)

// The kinds of customers that use the other ways to send a file, and to get rid of one.
const (
	poster    = "poster"    // sends a form
	piecemeal = "piecemeal" // sends parts, in any order
	deserter  = "deserter"  // sends one part and goes away
	repenter  = "repenter"  // sends a photo and deletes it, on its way or at its end
)

// twoParts is what a file must have to be sent in parts: one of the smallest size that S3 takes, and some more.
const twoParts = 5<<20 + 64<<10 // bytes

// large pads a photo so that it takes two parts.
func large(f file) file {
	f.body = append(f.body, make([]byte, twoParts-len(f.body))...)
	return f
}

// post sends a photo as a browser's form does.
func (c *customers) post(ctx context.Context, kind string, dice *rand.Rand) error {
	f, err := c.photos.photo(dice)
	if err != nil {
		return err
	}
	id, p, err := c.beginBy(ctx, kind, "post", f)
	if err != nil {
		return err
	}
	c.intend(id, f)
	if c.persist(ctx, func(ctx context.Context) int { return c.form(ctx, p, f.body) }, func(status int) { c.enter(id, f, status) }) {
		c.complete(ctx, id)
	}
	return nil
}

// form makes one transfer and returns S3's status as put does.
func (c *customers) form(ctx context.Context, p permission, body []byte) int {
	var form bytes.Buffer
	writer := multipart.NewWriter(&form)
	for _, name := range sorted(p.Fields) {
		_ = writer.WriteField(name, p.Fields[name]) // a buffer takes everything
	}
	if part, err := writer.CreateFormFile("file", "photo.jpg"); err == nil {
		_, _ = part.Write(body)
	}
	_ = writer.Close()
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, &form)
	if err != nil {
		return 0
	}
	request.Header.Set("Content-Type", writer.FormDataContentType())
	if _, err = exchange(c.http, request); err == nil {
		return http.StatusOK
	}
	return statusOf(err)
}

// sendParts sends a large photo in parts and completes it; a deserter leaves after the first.
func (c *customers) sendParts(ctx context.Context, kind string, dice *rand.Rand) error {
	f, err := c.photos.photo(dice)
	if err != nil {
		return err
	}
	f = large(f)
	id, p, err := c.beginBy(ctx, kind, "multipart", f)
	if err != nil {
		return err
	}
	parts := p.Parts
	dice.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	if kind == deserter {
		parts = parts[:1]
	} else {
		c.intend(id, f)
	}
	for _, part := range parts {
		body := f.body[part.Offset : part.Offset+part.Size]
		one := permission{URL: part.URL, Headers: part.Headers}
		if !c.persist(ctx, func(ctx context.Context) int { return c.put(ctx, one, body) }, func(int) {}) {
			return nil
		}
	}
	if kind == deserter {
		return nil
	}
	c.join(ctx, id, f)
	return nil
}

// join completes the upload. Only the service can, so its word is what S3's is otherwise.
func (c *customers) join(ctx context.Context, id string, f file) {
	ctx, cancel := context.WithTimeout(ctx, talkFor)
	defer cancel()
	err := c.door.call(ctx, http.MethodPost, "/v1/uploads/"+id+"/complete", nil, nil)
	status := statusOf(err)
	if err == nil {
		status = http.StatusOK
	}
	c.enter(id, f, status)
}

// persist sends until S3 accepts or refuses, or the permission is about to end, and notes every answer.
func (c *customers) persist(ctx context.Context, send func(context.Context) int, note func(status int)) (accepted bool) {
	ctx, cancel := context.WithTimeout(ctx, sendFor)
	defer cancel()
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, longPause) {
		status := send(ctx)
		note(status)
		if status == http.StatusOK || status == http.StatusPreconditionFailed {
			return true
		}
		if status >= 400 && status < 500 {
			return false
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return false
}

// repent deletes its upload, at once or a little later. An answer that was lost leaves it open what came of it.
func (c *customers) repent(ctx context.Context, kind string, dice *rand.Rand) error {
	return c.uploadAnd(ctx, kind, dice, func(id string) error {
		if err := wait(ctx, time.Duration(dice.IntN(3))*time.Second/2); err != nil {
			return err
		}
		c.ledger.note(id, func(r *Receipt) { r.Cancelling = true })
		talking, cancel := context.WithTimeout(ctx, talkFor)
		defer cancel()
		if err := c.door.call(talking, http.MethodDelete, "/v1/uploads/"+id, nil, nil); err == nil {
			c.ledger.note(id, func(r *Receipt) { r.Cancelled = true })
		} else if status := statusOf(err); status != 0 {
			return fmt.Errorf("delete upload %s: %w", id, err)
		}
		return nil
	})
}
