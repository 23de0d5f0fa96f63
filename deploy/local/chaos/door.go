package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	callLimit  = 8 * time.Second
	firstPause = 50 * time.Millisecond
	longPause  = time.Second
	maxAnswer  = 4 << 20 // bytes
)

// door is the public API as a customer calls it: several processes, any of which may be away.
type door struct {
	bases []string
	token string
	http  *http.Client
	turn  atomic.Int64
}

// refusal is an answer that trying again will not change.
type refusal struct {
	status int
	body   string
}

func (r *refusal) Error() string { return fmt.Sprintf("answered %d: %.200s", r.status, r.body) }

// status of a refusal, or 0.
func statusOf(err error) int {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.status
	}
	return 0
}

// call makes one request, again and again at one process after the other until there is an answer that is not a
// trouble of the moment, or ctx ends. in and out may be nil.
func (d *door) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		base := d.bases[int(d.turn.Add(1))%len(d.bases)]
		err := d.once(ctx, method, base+path, body, out)
		var refused *refusal
		if err == nil || errors.As(err, &refused) && refused.status < 500 && refused.status != http.StatusTooManyRequests {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s %s: %w", method, path, errors.Join(err, ctx.Err()))
		case <-time.After(pause):
		}
	}
}

func (d *door) once(ctx context.Context, method, url string, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+d.token)
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := exchange(d.http, request)
	if err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("decode the answer to %s %s: %w", method, url, err)
	}
	return nil
}

// exchange sends a request and returns the body of a good answer, or a refusal.
func exchange(client *http.Client, request *http.Request) ([]byte, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return nil, &refusal{response.StatusCode, string(body)}
	}
	return body, nil
}

// permission is the part of an answer that says how to send the file.
type permission struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Fields  map[string]string `json:"fields"`
	Parts   []part            `json:"parts"`
}

type part struct {
	Number  int               `json:"number"`
	Offset  int64             `json:"offset"`
	Size    int64             `json:"size"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

// Seen is an upload as the API shows it.
type Seen struct {
	ID        string    `json:"id"`
	State     string    `json:"state"`
	SHA256    string    `json:"sha256"`
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
	Reason    *struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"reason"`
	Variants []Variant `json:"variants"`
	History  []Step    `json:"history"`
}

// Variant is a rendition as the API shows it.
type Variant struct {
	Name   string `json:"name"`
	URL    string `json:"url"`
	Width  int    `json:"width"` // pixels
	Height int    `json:"height"`
}

// Step is one transition of an upload.
type Step struct {
	Seq        int64     `json:"seq"`
	Stage      string    `json:"stage"`
	From       string    `json:"from"`
	To         string    `json:"to"`
	FinishedAt time.Time `json:"finished_at"`
}

// settled tells that the state is an outcome.
func settled(state string) bool {
	switch state {
	case "", "initiated", "uploaded", "verified", "clean", "processed":
		return false
	}
	return true
}
