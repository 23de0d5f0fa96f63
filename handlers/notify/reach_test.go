package notify

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// deliver has the stage deliver n times.
func deliver(ctx context.Context, s *Stage, n int) {
	for range n {
		_, _ = s.Run(ctx, readyUpload()) // what comes of it, the receiver says
	}
}

func TestAReceiverThatCannotBeReachedIsLeftAlone(t *testing.T) {
	server, _ := receiver(t, http.StatusNoContent)
	s := stageFor(server)
	now := time.Now()
	s.now = func() time.Time { return now }
	server.Close()

	deliver(t.Context(), s, failuresInARow-1)
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("too early: %v", err)
	}
	deliver(t.Context(), s, 1)
	if err := s.Ready(t.Context()); err == nil || strings.Contains(err.Error(), "in-the-url") {
		t.Errorf("got %v, want an error without the URL", err)
	}
	now = now.Add(2 * longestRest)
	if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "reaching") {
		t.Errorf("nobody listens, but: %v", err)
	}
	if err := s.Ready(t.Context()); err == nil || strings.Contains(err.Error(), "reaching the webhook receiver: reaching") {
		t.Errorf("it does not rest after the look: %v", err)
	}
}

func TestAReceiverInTroubleIsTriedAgainAfterARest(t *testing.T) {
	for _, status := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		server, deliveries := receiver(t, status, status, status, status, http.StatusNoContent)
		s := stageFor(server)
		now := time.Now()
		s.now = func() time.Time { return now }
		deliver(t.Context(), s, failuresInARow)
		if err := s.Ready(t.Context()); err == nil {
			t.Errorf("%d: not left alone", status)
		}
		now = now.Add(2 * firstRest)
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("%d: not tried again: %v", status, err)
		}
		deliver(t.Context(), s, 1) // fails once more
		if err := s.Ready(t.Context()); err == nil {
			t.Errorf("%d: not left alone again", status)
		}
		deliver(t.Context(), s, 1)
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("%d: it has taken one, but: %v", status, err)
		}
		if got, want := len(deliveries), failuresInARow+2; got != want {
			t.Errorf("%d: %d requests, want the %d deliveries", status, got, want)
		}
	}
}

func TestWhatAReceiverDoesNotWantKeepsNothingElseBack(t *testing.T) {
	for _, statuses := range [][]int{
		{http.StatusBadRequest}, {http.StatusNotFound}, {http.StatusGone}, {http.StatusFound},
		{http.StatusBadGateway, http.StatusBadGateway, http.StatusNotFound, http.StatusBadGateway, http.StatusBadGateway, http.StatusNoContent},
	} {
		server, _ := receiver(t, statuses...)
		s := stageFor(server)
		for range 6 {
			deliver(t.Context(), s, 1)
			if err := s.Ready(t.Context()); err != nil {
				t.Errorf("%v: %v", statuses, err)
			}
		}
	}
}

func TestADrainingWorkerSaysNothingOfTheReceiver(t *testing.T) {
	server, _ := receiver(t, http.StatusNoContent)
	s := stageFor(server)
	gone, leave := context.WithCancel(t.Context())
	leave()
	deliver(gone, s, 2*failuresInARow)
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}
