package sagas_test

import (
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

var passOwner = sagas.Owner{Tenant: "acme", Subject: "alice"}

func addPass(t *testing.T, s *sagas.Store, most sagas.Quota, lifetime time.Duration) sagas.Pass {
	t.Helper()
	hash := sha256.Sum256([]byte("secret"))
	p, err := s.AddPass(t.Context(), sagas.Pass{ID: uuid.NewString(), Owner: passOwner, Hash: hash[:], Most: most}, lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func beginWith(t *testing.T, s *sagas.Store, o sagas.Owner, pass string, size int64, q sagas.Quota) (sagas.Upload, error) {
	t.Helper()
	id := uuid.New()
	return s.Begin(t.Context(), sagas.Beginning{
		ID: id, Owner: o, Method: sagas.MethodPut, Bucket: "incoming", Key: id.String(), Pass: pass, Quota: q,
		Declared: sagas.Content{Type: "image/jpeg", Size: size}, Lifetime: time.Hour,
	})
}

// The reply to the commit that spends the last of a pass is lost.
func TestALostReplyDoesNotSpendAPassTwice(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	p := addPass(t, s.Store, sagas.Quota{Files: 1, Bytes: 100}, time.Hour)
	s.cutter.next(pass, pass, pass, after) // begin, spend, insert, commit
	u, err := beginWith(t, s.Store, passOwner, p.ID, 100, sagas.Quota{})
	if err != nil || u.Pass != p.ID {
		t.Fatalf("%+v, %v", u, err)
	}
	if _, err := beginWith(t, s.Store, passOwner, p.ID, 1, sagas.Quota{}); !errors.Is(err, sagas.ErrPassSpent) {
		t.Errorf("another one: %v", err)
	}
	if p, err := s.Pass(t.Context(), p.ID); err != nil || p.Begun != (sagas.Quota{Files: 1, Bytes: 100}) {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestAPassIsSpentByWhatIsBegun(t *testing.T) {
	t.Parallel()
	s := sagatest.Store(t)
	for name, most := range map[string]sagas.Quota{"files": {Files: 7, Bytes: 1 << 40}, "bytes": {Files: 100, Bytes: 799}} {
		for kind, q := range map[string]sagas.Quota{"pass": {}, "pass and quota": {Files: 50}} {
			t.Run(name+", "+kind, func(t *testing.T) {
				p := addPass(t, s, most, time.Hour)
				var begun atomic.Int64
				var wg sync.WaitGroup
				for range 20 {
					wg.Go(func() {
						switch u, err := beginWith(t, s, passOwner, p.ID, 100, q); {
						case err == nil && u.Pass == p.ID:
							begun.Add(1)
						case !errors.Is(err, sagas.ErrPassSpent):
							t.Errorf("%+v, %v", u, err)
						}
					})
				}
				wg.Wait()
				p, err := s.Pass(t.Context(), p.ID)
				if err != nil || begun.Load() != 7 || p.Begun != (sagas.Quota{Files: 7, Bytes: 700}) {
					t.Errorf("%d were begun, %+v, %v", begun.Load(), p, err)
				}
			})
		}
	}
}

// What its tenant has no room for costs a pass nothing.
func TestARefusedUploadSpendsNothing(t *testing.T) {
	t.Parallel()
	s := sagatest.Store(t)
	p := addPass(t, s, sagas.Quota{Files: 7, Bytes: 700}, time.Hour)
	if _, err := beginWith(t, s, passOwner, p.ID, 100, sagas.Quota{Bytes: 99}); !errors.Is(err, sagas.ErrTooManyInFlight) {
		t.Errorf("%v", err)
	}
	if p, err := s.Pass(t.Context(), p.ID); err != nil || p.Begun != (sagas.Quota{}) {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestPassesThatBeginNothing(t *testing.T) {
	t.Parallel()
	s := sagatest.Store(t)
	most := sagas.Quota{Files: 7, Bytes: 700}
	good, revoked, expired := addPass(t, s, most, time.Hour), addPass(t, s, most, time.Hour), addPass(t, s, most, 0)
	for range 2 {
		if p, err := s.RevokePass(t.Context(), passOwner, revoked.ID); err != nil || p.RevokedAt == nil {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	rival := sagas.Owner{Tenant: "rival", Subject: "alice"}
	for name, c := range map[string]struct {
		owner sagas.Owner
		pass  string
	}{
		"unknown": {passOwner, "none"}, "revoked": {passOwner, revoked.ID}, "expired": {passOwner, expired.ID},
		"another tenant's": {rival, good.ID}, "another subject's": {sagas.Owner{Tenant: "acme", Subject: "bob"}, good.ID},
	} {
		if _, err := beginWith(t, s, c.owner, c.pass, 100, sagas.Quota{}); !errors.Is(err, sagas.ErrPassSpent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.RevokePass(t.Context(), rival, good.ID); !errors.Is(err, sagas.ErrNoPass) {
		t.Errorf("a rival revoked it: %v", err)
	}
	if u, err := beginWith(t, s, passOwner, good.ID, 0, sagas.Quota{}); err != nil || u.Pass != good.ID {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestPassesAreForgotten(t *testing.T) {
	t.Parallel()
	s := sagatest.Store(t)
	most := sagas.Quota{Files: 7, Bytes: 700}
	old, fresh := addPass(t, s, most, -25*time.Hour), addPass(t, s, most, -time.Hour)
	addPass(t, s, most, -26*time.Hour)
	for _, want := range []int64{1, 1, 0} {
		if n, err := s.ForgetPasses(t.Context(), 1); n != want || err != nil {
			t.Errorf("%d, %v, want %d", n, err, want)
		}
	}
	if _, err := s.Pass(t.Context(), old.ID); !errors.Is(err, sagas.ErrNoPass) {
		t.Errorf("the old one: %v", err)
	}
	if _, err := s.Pass(t.Context(), fresh.ID); err != nil {
		t.Errorf("the fresh one: %v", err)
	}
}
