package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/sagas"
)

const (
	idempotencyHeader = "Idempotency-Key"
	replayedHeader    = "Idempotency-Replayed"
	maxIdempotencyKey = 255 // bytes

	forgetEvery = time.Minute
	forgetMost  = 1000 // rows in a statement
)

// onceOnly are the parameters of an operation that is done once under one key, as
// draft-ietf-httpapi-idempotency-key-header has it.
var onceOnly = []*huma.Param{{
	Name: idempotencyHeader, In: "header",
	Description: "A new UUID for each file, and the same when a request is repeated because its answer was lost: the answer is then the first one's.",
	Schema:      &huma.Schema{Type: huma.TypeString, Examples: []any{`"8e03978e-40d5-43e8-bc93-6894a57f9324"`}},
}}

func isOnceOnly(op huma.Operation) bool {
	return slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == idempotencyHeader })
}

// keptAnswer is a response as it is kept.
type keptAnswer struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}

// once is the middleware of operations that are done once under one key. A request that has claimed its key is
// answered even if its client goes away: that is the client that comes again.
func (s *server) once(ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	values := r.Header.Values(idempotencyHeader)
	if len(values) == 0 {
		next(ctx)
		return
	}
	key, err := parseIdempotencyKey(values)
	if err != nil {
		s.refuse(ctx, s.explain(ctx.Context(), err))
		return
	}
	sum, err := fingerprint(r)
	if err != nil {
		s.refuse(ctx, s.explain(ctx.Context(), err))
		return
	}
	claim := sagas.KeyClaim{ID: uuid.New(), Owner: callOf(ctx.Context()).principal.Owner, Key: key, Fingerprint: sum}
	kept, err := s.store.ClaimKey(ctx.Context(), claim, s.config.IdempotencyLease)
	switch {
	case errors.Is(err, sagas.ErrInFlight):
		err = keyInFlight.problem().with("Retry-After", "1")
	case errors.Is(err, sagas.ErrReused):
		err = keyReused.problem()
	case err == nil && kept != nil:
		err = s.replay(ctx, claim, kept)
	case err == nil:
		err = s.answerOnce(ctx, claim, next)
	}
	if err != nil {
		s.refuse(ctx, s.explain(ctx.Context(), err))
	}
}

// answerOnce lets the request be answered and keeps the answer before anybody sees it, if it is a success.
func (s *server) answerOnce(ctx huma.Context, claim sagas.KeyClaim, next func(huma.Context)) error {
	working, cancel := context.WithTimeout(context.WithoutCancel(ctx.Context()), s.config.IdempotencyLease)
	defer cancel()
	held := &heldContext{humaContext: huma.WithContext(ctx, working), header: http.Header{}}
	next(held)
	a := keptAnswer{Status: held.status, Header: held.header, Body: held.body.Bytes()}
	if a.Status/100 != 2 {
		if err := s.store.ReleaseKey(working, claim); err != nil {
			s.log.WarnContext(working, "an idempotency key stays claimed until its lease ends", "error", err)
		}
		return a.send(ctx)
	}
	data, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	err = s.store.AnswerKey(working, claim, s.sealer.Seal(data, sealContext(claim)), s.config.IdempotencyLifetime)
	if errors.Is(err, sagas.ErrClaimLost) {
		return keyInFlight.problem().with("Retry-After", "1") // another's answer is the one that counts
	}
	if err != nil {
		s.log.ErrorContext(working, "an answer could not be kept: if it is lost, the request is done again", "error", err)
	}
	return a.send(ctx)
}

func (s *server) replay(ctx huma.Context, claim sagas.KeyClaim, kept []byte) error {
	data, err := s.sealer.Open(kept, sealContext(claim))
	if err != nil {
		return fmt.Errorf("opening a kept answer: %w", err)
	}
	var a keptAnswer
	if err := json.Unmarshal(data, &a); err != nil {
		return fmt.Errorf("decoding a kept answer: %w", err)
	}
	a.Header.Set(replayedHeader, "true")
	return a.send(ctx)
}

func (a keptAnswer) send(ctx huma.Context) error {
	for name, values := range a.Header {
		for _, value := range values {
			ctx.SetHeader(name, value)
		}
	}
	ctx.SetStatus(a.Status)
	if _, err := ctx.BodyWriter().Write(a.Body); err != nil {
		return nil //nolint:nilerr // the client has gone: nobody is left to tell
	}
	return nil
}

// sealContext keeps an answer from being moved to another owner or key.
func sealContext(c sagas.KeyClaim) []byte {
	return []byte(c.Owner.Tenant + "\x00" + c.Owner.Subject + "\x00" + c.Key)
}

// parseIdempotencyKey takes a string as RFC 8941, section 3.3.3, which the draft wants, and a bare word, which
// most clients send.
func parseIdempotencyKey(values []string) (string, error) {
	wrong := keyInvalid.because("%s must be one string of 1 to %d printable ASCII characters, quoted or without quotes and spaces.",
		idempotencyHeader, maxIdempotencyKey)
	if len(values) != 1 {
		return "", wrong
	}
	key := strings.Trim(values[0], " \t")
	if quoted, ok := strings.CutPrefix(key, `"`); ok {
		if key, ok = unquote(quoted); !ok {
			return "", wrong
		}
	} else if strings.ContainsAny(key, ` ",;\`) {
		return "", wrong
	}
	notPrintable := func(r rune) bool { return r < ' ' || r > '~' }
	if key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, notPrintable) {
		return "", wrong
	}
	return key, nil
}

// unquote reads a string up to the quote that ends it, which must be the end of everything.
func unquote(s string) (string, bool) {
	var text strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return text.String(), i == len(s)-1
		case '\\':
			i++
			if i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", false
			}
		}
		text.WriteByte(s[i])
	}
	return "", false
}

// fingerprint tells requests apart: by method, path and body, but not by how the body's JSON is laid out. The body
// has been read into memory by now, and can be read again afterwards.
func fingerprint(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the body again: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%s %s\n%s", r.Method, r.URL.EscapedPath(), canonical(body)) // a hash takes everything
	return sum.Sum(nil), nil
}

// canonical is the same JSON with sorted names and no spaces; what is not JSON stays as it is.
func canonical(body []byte) []byte {
	var v any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil || d.More() {
		return body
	}
	out, err := json.Marshal(v)
	if err != nil {
		return body
	}
	return out
}

// forget removes idempotency keys that are void and passes that have ended until ctx ends. Every process of the API does.
func (s *server) forget(ctx context.Context) {
	ticker := time.NewTicker(forgetEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s.forgetAll(ctx, s.store.ForgetKeys)
		s.forgetAll(ctx, s.store.ForgetPasses)
	}
}

func (s *server) forgetAll(ctx context.Context, forget func(ctx context.Context, most int) (int64, error)) {
	for {
		n, err := forget(ctx, forgetMost)
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "could not remove what is void", "error", err)
		}
		if err != nil || n < forgetMost {
			return
		}
	}
}

// heldContext keeps back the response.
type heldContext struct {
	humaContext
	status int
	header http.Header
	body   bytes.Buffer
}

// Unwrap lets humago find its own context.
func (c *heldContext) Unwrap() huma.Context { return c.humaContext }

// SetStatus implements huma.Context.
func (c *heldContext) SetStatus(status int) { c.status = status }

// Status implements huma.Context.
func (c *heldContext) Status() int { return c.status }

// SetHeader implements huma.Context.
func (c *heldContext) SetHeader(name, value string) { c.header.Set(name, value) }

// AppendHeader implements huma.Context.
func (c *heldContext) AppendHeader(name, value string) { c.header.Add(name, value) }

// BodyWriter implements huma.Context.
func (c *heldContext) BodyWriter() io.Writer { return &c.body }
