package sagas_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

func withinQuota(s *sagas.Store, tenant string, size int64, q sagas.Quota) (sagas.Upload, error) {
	id := uuid.New()
	return s.Begin(context.Background(), sagas.Beginning{
		ID: id, Owner: sagas.Owner{Tenant: tenant, Subject: id.String()}, Method: sagas.MethodPut, Bucket: "incoming", Key: id.String(),
		Declared: sagas.Content{Type: "image/jpeg", Size: size}, Lifetime: time.Hour, Quota: q,
	})
}

func TestQuotaHoldsUnderConcurrency(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]sagas.Quota{"files": {Files: 7}, "bytes": {Bytes: 799}, "both": {Files: 7, Bytes: 10_000}} {
		for _, isolation := range []string{"repeatable%20read", "serializable"} {
			t.Run(fmt.Sprintf("%s, %s", name, isolation), func(t *testing.T) {
				t.Parallel()
				config := sagatest.Config(t)
				config.URL += "&default_transaction_isolation=" + isolation
				pool := connect(t, config)
				if _, err := sagas.Migrate(t.Context(), pool); err != nil {
					t.Fatal(err)
				}
				s := sagas.NewStore(pool, "test")
				var begun atomic.Int32
				var wg sync.WaitGroup
				for range 30 {
					wg.Go(func() {
						switch _, err := withinQuota(s, "acme", 100, q); {
						case err == nil:
							begun.Add(1)
						case !errors.Is(err, sagas.ErrTooManyInFlight):
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if begun.Load() != 7 {
					t.Errorf("%d uploads in flight, want 7", begun.Load())
				}
			})
		}
	}
}

func TestQuotaIsOfOneTenantAndOfWhatIsInFlight(t *testing.T) {
	t.Parallel()
	s := sagatest.Store(t)
	q := sagas.Quota{Files: 2, Bytes: 1000}
	first, err := withinQuota(s, "acme", 600, q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := withinQuota(s, "acme", 401, q); !errors.Is(err, sagas.ErrTooManyInFlight) {
		t.Errorf("too many bytes: %v", err)
	}
	if _, err := withinQuota(s, "acme", 400, q); err != nil {
		t.Errorf("exactly as many as there may be: %v", err)
	}
	if _, err := withinQuota(s, "acme", 0, q); !errors.Is(err, sagas.ErrTooManyInFlight) {
		t.Errorf("too many files: %v", err)
	}
	if _, err := withinQuota(s, "rival", 1000, q); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	if _, err := withinQuota(s, "acme", 1<<40, sagas.Quota{}); err != nil {
		t.Errorf("without a quota: %v", err)
	}
	_, err = s.Advance(t.Context(), sagas.Change{ID: first.ID, Stage: "test", From: sagas.Initiated, To: sagas.Aborted, StartedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := withinQuota(s, "acme", 1, sagas.Quota{Files: 3}); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
}

// What has no size yet counts as the largest that it may have, and never keeps a tenant with nothing in flight out.
func TestQuotaCountsWhatHasNoSize(t *testing.T) {
	t.Parallel()
	s := sagatest.Store(t)
	begin := func(tenant string, most int64, q sagas.Quota) error {
		id := uuid.New()
		_, err := s.Begin(t.Context(), sagas.Beginning{
			ID: id, Owner: sagas.Owner{Tenant: tenant, Subject: "alice"}, Method: sagas.MethodPut, Bucket: "incoming", Key: id.String(),
			Declared: sagas.Content{Type: "image/jpeg"}, MaxSize: most, Lifetime: time.Hour, Quota: q,
		})
		return err
	}
	for tenant, tc := range map[string]struct{ most, bytes, begun int64 }{"some": {100, 799, 7}, "larger than allowed": {1000, 799, 1}} {
		var begun int64
		for range 10 {
			switch err := begin(tenant, tc.most, sagas.Quota{Bytes: tc.bytes}); {
			case err == nil:
				begun++
			case !errors.Is(err, sagas.ErrTooManyInFlight):
				t.Error(err)
			}
		}
		if begun != tc.begun {
			t.Errorf("%s: %d uploads in flight, want %d", tenant, begun, tc.begun)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s := sagatest.Store(t)
	if l, err := s.Limits(t.Context(), "acme"); err != nil || l.Tenant != "" || l.FilesInFlight != nil || l.AllowedTypes != nil {
		t.Errorf("%+v, %v", l, err)
	}
	none, files, size, rate := int64(0), int64(5), int64(1000), 2.5
	if _, err := s.SetLimits(t.Context(), sagas.Limits{Tenant: "acme", FilesInFlight: &files, BytesInFlight: &none, AllowedTypes: []string{"image/png"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetLimits(t.Context(), sagas.Limits{Tenant: "acme", MaxSize: &size, RequestsPerSecond: &rate}); err != nil {
		t.Fatal(err)
	}
	l, err := s.Limits(t.Context(), "acme")
	if err != nil || l.Tenant != "acme" || *l.FilesInFlight != files || *l.BytesInFlight != 0 || *l.MaxSize != size ||
		*l.RequestsPerSecond != rate || len(l.AllowedTypes) != 1 {
		t.Errorf("%+v, %v", l, err)
	}
	if other, err := s.Limits(t.Context(), "rival"); err != nil || other.Tenant != "" {
		t.Errorf("%+v, %v", other, err)
	}
	if err := s.ClearLimits(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	if l, err := s.Limits(t.Context(), "acme"); err != nil || l.Tenant != "" {
		t.Errorf("%+v, %v", l, err)
	}
}
