package sagas_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-media/sluice/sagas"
)

// crowd begins uploads that share a statement: it keeps the database from writing until all but those that are begun
// at once wait for each other. It returns what came of each.
func crowd(t *testing.T, s cutStore, beginnings []sagas.Beginning) ([]sagas.Upload, []error) {
	t.Helper()
	tx, err := s.direct.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE uploads IN SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	uploads, errs := make([]sagas.Upload, len(beginnings)), make([]error, len(beginnings))
	var wg sync.WaitGroup
	for i, b := range beginnings {
		wg.Go(func() { uploads[i], errs[i] = s.Begin(t.Context(), b) })
		if i == 0 {
			waitForBlocked(t, s.direct, 1)
		} else {
			awaitWaiting(t, s.Store, i)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	return uploads, errs
}

func awaitWaiting(t *testing.T, s *sagas.Store, want int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); s.BeginsWaiting() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d wait, want %d", s.BeginsWaiting(), want)
		}
	}
}

// beginsOfAllKinds are different in everything that is kept.
func beginsOfAllKinds(t *testing.T) []sagas.Beginning {
	t.Helper()
	var all []sagas.Beginning
	for _, change := range []func(*sagas.Beginning){
		func(*sagas.Beginning) {},
		func(b *sagas.Beginning) { b.Owner = sagas.Owner{Tenant: "rival", Subject: "bob"} },
		func(b *sagas.Beginning) { b.Method, b.Declared.Type = sagas.MethodPost, "image/png" },
		func(b *sagas.Beginning) { b.Filename, b.Declared.SHA256 = `{"a",NULL,\}`, nil },
		func(b *sagas.Beginning) { b.Declared.Size, b.Metadata = 0, nil },
		func(b *sagas.Beginning) { b.Lifetime, b.Bucket = time.Minute, "other" },
		func(b *sagas.Beginning) {
			b.Method, b.Multipart = sagas.MethodMultipart, sagas.Multipart{PartSize: 5 << 20, PartCount: 2, SHA256: true}
		},
	} {
		b := beginning(t)
		change(&b)
		all = append(all, b)
	}
	return all
}

func TestUploadsThatBeginTogetherShareAStatement(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newCutStore(t, mode)
			beginnings := beginsOfAllKinds(t)
			s.cutter.next()
			uploads, errs := crowd(t, s, beginnings)
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			if got, want := s.cutter.seen(), 2; got != want {
				t.Errorf("%d statements, want %d", got, want)
			}
			for i, u := range uploads {
				got, err := s.Load(t.Context(), u.ID)
				if err != nil {
					t.Fatal(err)
				}
				b := beginnings[i]
				if u.ID != b.ID || u.Owner != b.Owner || u.ExpiresAt.Sub(u.CreatedAt) != b.Lifetime || u.ReadAt.Before(u.CreatedAt) {
					t.Errorf("began %+v from %+v", u, b)
				}
				if u.ReadAt = got.ReadAt; !reflect.DeepEqual(u, got) {
					t.Errorf("began\n%+v, and has\n%+v", u, got)
				}
				if history := s.history(t, u.ID); len(history) != 1 || history[0].Stage != "api" || history[0].To != sagas.Initiated {
					t.Errorf("history is %+v", history)
				}
			}
		})
	}
}

func TestAnUploadThatCannotBeginSpoilsNoOther(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	taken := begin(t, s.Store)
	beginnings := beginsOfAllKinds(t)
	bad := len(beginnings) - 2
	beginnings[bad].Key = taken.Key
	beginnings[bad].Bucket = taken.Bucket
	uploads, errs := crowd(t, s, beginnings)
	for i, err := range errs {
		if i == bad {
			expectCode(t, err, "23505")
			continue
		}
		if err != nil || uploads[i].ID != beginnings[i].ID || len(s.history(t, uploads[i].ID)) != 1 {
			t.Errorf("%d: %+v, %v", i, uploads[i], err)
		}
	}
}

// Each finds out for itself whether the statement that it shared was committed.
func TestALostReplyOfASharedStatementIsFoundOut(t *testing.T) {
	t.Parallel()
	for name, fate := range map[string]cut{"before": before, "after": after} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newCutStore(t, "cache_statement")
			beginnings := beginsOfAllKinds(t)
			s.cutter.next(pass, fate)
			uploads, errs := crowd(t, s, beginnings)
			for i, err := range errs {
				if err != nil || uploads[i].ID != beginnings[i].ID || len(s.history(t, beginnings[i].ID)) != 1 {
					t.Errorf("%d: %+v, %v", i, uploads[i], err)
				}
			}
		})
	}
}

func TestACallerThatLeavesHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	tx, err := s.direct.BeginTx(t.Context(), pgx.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE uploads IN SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := s.Begin(ctx, beginning(t))
		left <- err
	}()
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("left with %v", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	begin(t, s.Store)
}
