package sagas_test

import (
	"errors"
	"testing"

	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

func multipartBeginning(t *testing.T) sagas.Beginning {
	t.Helper()
	b := beginning(t)
	b.Method, b.Multipart = sagas.MethodMultipart, sagas.Multipart{PartSize: 8 << 20, PartCount: 3, SHA256: true}
	return b
}

func beginMultipart(t *testing.T, s *sagas.Store) sagas.Upload {
	t.Helper()
	u, err := s.Begin(t.Context(), multipartBeginning(t))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestBeginKeepsThePlan(t *testing.T) {
	s := sagatest.Store(t)
	b := multipartBeginning(t)
	u, err := s.Begin(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if u.Method != sagas.MethodMultipart || u.Multipart != b.Multipart {
		t.Errorf("began %+v from %+v", u, b)
	}
	started, err := s.StartMultipart(t.Context(), u.ID, "abc")
	if err != nil {
		t.Fatal(err)
	}
	want := b.Multipart
	want.UploadID = "abc"
	if started.Multipart != want || started.Version != u.Version || started.State != sagas.Initiated {
		t.Errorf("started %+v", started)
	}
	if moved := advance(t, s, started, sagas.Uploaded, sagas.Facts{}); moved.Multipart != want {
		t.Errorf("moved %+v", moved)
	}
}

func TestAMultipartUploadIsStartedOnce(t *testing.T) {
	s := sagatest.Store(t)
	u := beginMultipart(t, s)
	for range 2 {
		if _, err := s.StartMultipart(t.Context(), u.ID, "abc"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.StartMultipart(t.Context(), u.ID, "def"); !errors.Is(err, sagas.ErrMoved) {
		t.Errorf("another id: %v, want ErrMoved", err)
	}

	late := beginMultipart(t, s)
	advance(t, s, late, sagas.Aborted, sagas.Facts{})
	if _, err := s.StartMultipart(t.Context(), late.ID, "abc"); !errors.Is(err, sagas.ErrMoved) {
		t.Errorf("after the abort: %v, want ErrMoved", err)
	}
	if _, err := s.StartMultipart(t.Context(), begin(t, s).ID, "abc"); !errors.Is(err, sagas.ErrMoved) {
		t.Errorf("of a single PUT: %v, want ErrMoved", err)
	}
}

func TestTheDatabaseKnowsWhatHasParts(t *testing.T) {
	s := sagatest.Store(t)
	for name, change := range map[string]func(*sagas.Beginning){
		"parts of a PUT":         func(b *sagas.Beginning) { b.Method = sagas.MethodPut },
		"multipart without them": func(b *sagas.Beginning) { b.Multipart = sagas.Multipart{} },
		"too many":               func(b *sagas.Beginning) { b.Multipart.PartCount = 10001 },
		"a negative size":        func(b *sagas.Beginning) { b.Multipart.PartSize = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			b := multipartBeginning(t)
			change(&b)
			_, err := s.Begin(t.Context(), b)
			expectCode(t, err, "23514")
		})
	}
}

func TestALostReplyOfStartMultipartIsFoundOut(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			s := newCutStore(t, mode)
			for _, lost := range []cut{before, after} {
				u := beginMultipart(t, s.Store)
				s.cutter.next(lost)
				started, err := s.StartMultipart(t.Context(), u.ID, "abc")
				if err != nil || started.Multipart.UploadID != "abc" {
					t.Errorf("started %+v, %v", started.Multipart, err)
				}
			}
		})
	}
}
