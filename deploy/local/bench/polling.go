package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/valyala/fasthttp"
)

// polledAtLeast is how many polls a second the API is to answer.
const polledAtLeast = 10_000

// measurePolling has clients ask again and again for uploads that do not change.
func measurePolling(ctx context.Context, b *bed, sluice *backend, e apiExtent, r *report) error {
	begun, err := sluice.begin(ctx, e)
	if err != nil {
		return err
	}
	polls := load{
		to: sluice, connections: e.connections, status: http.StatusNotModified,
		prepare: func(n int, request *fasthttp.Request) {
			u := begun[n%len(begun)]
			request.Header.SetMethod(http.MethodGet)
			request.SetRequestURI("/v1/uploads/" + u.ID)
			request.Header.Set("Authorization", sluice.bearers[u.user])
			request.Header.Set("If-None-Match", u.etag)
		},
	}
	var rounds []apiFigures
	for range e.rounds {
		f, err := b.measure(ctx, polls, e)
		if err != nil {
			return err
		}
		rounds = append(rounds, f)
	}
	title := fmt.Sprintf("Polling: %d connections ask for %d uploads, each answered 304", e.connections, len(begun))
	if err := r.table(title, apiHeading, apiRow(sluice.name, rounds)); err != nil {
		return err
	}
	rates := make([]float64, len(rounds))
	for i, f := range rounds {
		rates[i] = f.rate()
	}
	return r.targets(target{what: "304 per second", figure: median(rates), limit: polledAtLeast})
}

// begunUpload is an upload that somebody polls.
type begunUpload struct {
	ID   string `json:"id"`
	user int
	etag string
}

// begin asks for uploads, one after the other.
func (s *backend) begin(ctx context.Context, e apiExtent) ([]begunUpload, error) {
	begun := make([]begunUpload, 0, e.polled)
	l := s.presigns(1)
	l.answered = func(n int, response *fasthttp.Response) error {
		u := begunUpload{user: n % users, etag: string(response.Header.Peek("ETag"))}
		begun = append(begun, u)
		return json.Unmarshal(response.Body(), &begun[len(begun)-1])
	}
	for len(begun) < e.polled {
		if _, err := l.fire(ctx, e.warmUp); err != nil {
			return nil, err
		}
	}
	return begun[:e.polled], nil
}
