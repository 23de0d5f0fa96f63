package sagas_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

const (
	longLease = time.Hour
	noLease   = -time.Second // has ended already
)

func keyClaim(tenant, subject, fingerprint string) sagas.KeyClaim {
	return sagas.KeyClaim{
		ID: uuid.New(), Owner: sagas.Owner{Tenant: tenant, Subject: subject}, Key: "k", Fingerprint: []byte(fingerprint),
	}
}

func wantClaimed(t *testing.T, s *sagas.Store, c sagas.KeyClaim, lease time.Duration) {
	t.Helper()
	if answer, err := s.ClaimKey(t.Context(), c, lease); answer != nil || err != nil {
		t.Fatalf("%q, %v", answer, err)
	}
}

func wantNotClaimed(t *testing.T, s *sagas.Store, c sagas.KeyClaim, want error) {
	t.Helper()
	if answer, err := s.ClaimKey(t.Context(), c, longLease); answer != nil || !errors.Is(err, want) {
		t.Errorf("%q, %v, want %v", answer, err, want)
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := sagatest.Store(t)
	first, second := keyClaim("acme", "alice", "body"), keyClaim("acme", "alice", "body")
	strangers := []sagas.KeyClaim{keyClaim("acme", "bob", "b"), keyClaim("rival", "alice", "b")}
	wantClaimed(t, s, strangers[0], longLease)
	wantClaimed(t, s, first, longLease)
	wantClaimed(t, s, first, longLease) // as when the reply to it was lost
	wantNotClaimed(t, s, second, sagas.ErrInFlight)
	wantNotClaimed(t, s, keyClaim("acme", "alice", "other body"), sagas.ErrReused)
	wantClaimed(t, s, strangers[1], longLease)

	if err := s.AnswerKey(t.Context(), second, []byte("x"), time.Hour); !errors.Is(err, sagas.ErrClaimLost) {
		t.Errorf("answered without a claim: %v", err)
	}
	if err := s.AnswerKey(t.Context(), first, []byte("answer"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := s.ReleaseKey(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	answer, err := s.ClaimKey(t.Context(), second, longLease)
	if err != nil || string(answer) != "answer" {
		t.Errorf("%q, %v", answer, err)
	}
	wantNotClaimed(t, s, keyClaim("acme", "alice", "other body"), sagas.ErrReused)
}

func TestIdempotencyKeysAreFreeAgain(t *testing.T) {
	t.Parallel()
	s := sagatest.Store(t)
	released, dead, late := keyClaim("acme", "alice", "1"), keyClaim("acme", "alice", "2"), keyClaim("acme", "alice", "3")
	wantClaimed(t, s, released, longLease)
	if err := s.ReleaseKey(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	wantNotClaimed(t, s, dead, sagas.ErrReused) // released by its holder only
	if err := s.ReleaseKey(t.Context(), released); err != nil {
		t.Fatal(err)
	}
	wantClaimed(t, s, dead, noLease)
	wantClaimed(t, s, late, longLease)
	if err := s.AnswerKey(t.Context(), dead, []byte("x"), time.Hour); !errors.Is(err, sagas.ErrClaimLost) {
		t.Errorf("one that came back from the dead has answered: %v", err)
	}
	if err := s.ReleaseKey(t.Context(), dead); err != nil {
		t.Fatal(err)
	}
	wantNotClaimed(t, s, keyClaim("acme", "alice", "3"), sagas.ErrInFlight)
	if err := s.AnswerKey(t.Context(), late, []byte("answer"), -time.Second); err != nil {
		t.Fatal(err)
	}
	wantClaimed(t, s, keyClaim("acme", "alice", "4"), longLease) // the answer has been kept long enough
}

func TestIdempotencyKeyIsClaimedOnce(t *testing.T) {
	t.Parallel()
	s := sagatest.Store(t)
	wantClaimed(t, s, keyClaim("acme", "alice", "body"), noLease)
	var claimed atomic.Int32
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			switch answer, err := s.ClaimKey(t.Context(), keyClaim("acme", "alice", "body"), longLease); {
			case err == nil && answer == nil:
				claimed.Add(1)
			case !errors.Is(err, sagas.ErrInFlight):
				t.Errorf("%q, %v", answer, err)
			}
		})
	}
	wg.Wait()
	if claimed.Load() != 1 {
		t.Errorf("claimed %d times", claimed.Load())
	}
}

func TestVoidIdempotencyKeysAreForgotten(t *testing.T) {
	t.Parallel()
	s := sagatest.Store(t)
	for i := range 5 {
		c := keyClaim("acme", "alice", "body")
		c.Key = uuid.NewString()
		wantClaimed(t, s, c, noLease)
		if i > 2 {
			if err := s.AnswerKey(t.Context(), c, []byte("answer"), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, want := range []int64{2, 1, 0} {
		if n, err := s.ForgetKeys(t.Context(), 2); n != want || err != nil {
			t.Errorf("forgot %d, %v, want %d", n, err, want)
		}
	}
}
