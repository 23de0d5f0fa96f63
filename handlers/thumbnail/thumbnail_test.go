package thumbnail

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
)

// upload puts body where a client would.
func upload(t *testing.T, objects *storage.Client, mediaType string, body []byte) sagas.Upload {
	t.Helper()
	id := uuid.New()
	ref, err := objects.Put(t.Context(), objects.Incoming, "uploads/"+id.String(), bytes.NewReader(body), storage.Properties{Type: mediaType})
	if err != nil {
		t.Fatal(err)
	}
	return sagas.Upload{
		ID: id, State: sagas.Clean, Bucket: ref.Bucket, Key: ref.Key, ETag: ref.ETag, VersionID: ref.VersionID,
		Observed: sagas.Content{Type: mediaType, Size: int64(len(body))},
	}
}

func get(t *testing.T, objects *storage.Client, r storage.Ref) []byte {
	t.Helper()
	body, err := objects.Get(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

// Slots wait for messages of many sizes; what their files take together is bounded.
func TestNoMoreFilesAreReadThanMemoryIsFor(t *testing.T) {
	objects := storagetest.New(t)
	c := config(200)
	c.Concurrency, c.MaxBytes = 1, 1<<20
	s := New(c, objects)
	const all = 2 << 20 // one that is rendered, one that waits
	u := upload(t, objects, "image/jpeg", photo(t))
	if !s.memory.TryAcquire(all - u.Observed.Size + 1) {
		t.Fatal("there is less memory than for two files")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Run(ctx, u); err == nil || !strings.Contains(err.Error(), "waiting for memory") {
		t.Errorf("got %v", err)
	}
	s.memory.Release(all - u.Observed.Size + 1)
	if _, err := s.Run(t.Context(), u); err != nil {
		t.Error(err)
	}
	if !s.memory.TryAcquire(all) {
		t.Error("memory was not given back")
	}
}

func TestStageStoresTheRenditions(t *testing.T) {
	objects := storagetest.New(t)
	s := New(config(200, 800), objects)
	u := upload(t, objects, "image/jpeg", withEXIF(t, formatJPEG, photo(t), 6))
	for range 2 { // it must be able to happen twice
		out, err := s.Run(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if out.State != sagas.Processed || out.Facts.Width != 1080 || out.Facts.Height != 1920 || len(out.Facts.Variants) != 2 {
			t.Fatalf("got %+v", out)
		}
		for i, want := range []sagas.Variant{
			{Name: "200", Key: "thumbnails/" + u.ID.String() + "/200.jpg", Type: "image/jpeg", Width: 113, Height: 200},
			{Name: "800", Key: "thumbnails/" + u.ID.String() + "/800.jpg", Type: "image/jpeg", Width: 450, Height: 800},
		} {
			got := out.Facts.Variants[i]
			pinned := storage.Ref{Bucket: objects.Incoming, Key: got.Key, ETag: got.ETag, VersionID: got.VersionID}
			o, err := objects.Head(t.Context(), pinned)
			if err != nil {
				t.Fatal(err)
			}
			if o.Type != "image/jpeg" || got.ETag == "" || got.VersionID == "" || got.Size != o.Size {
				t.Errorf("variant %+v is stored as %+v", got, o)
			}
			checkBareJPEG(t, get(t, objects, pinned))
			got.ETag, got.VersionID, got.Size = "", "", 0
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
	}
}

func TestStageReadsThePinnedVersion(t *testing.T) {
	objects := storagetest.New(t)
	u := upload(t, objects, "image/png", asPNG(t, quarters(80, 60)))
	if _, err := objects.Put(t.Context(), u.Bucket, u.Key, bytes.NewReader([]byte("something else")), storage.Properties{}); err != nil {
		t.Fatal(err)
	}
	out, err := New(config(40), objects).Run(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if out.State != sagas.Processed || out.Facts.Width != 80 || out.Facts.Height != 60 {
		t.Errorf("got %+v", out)
	}
}

func TestStageOutcomes(t *testing.T) {
	objects := storagetest.New(t)
	c := config(40)
	c.MaxBytes = 1 << 20
	c.MaxPixels = 1920 * 1080
	s := New(c, objects)
	whole := photo(t)
	for _, x := range []struct {
		name      string
		mediaType string
		body      []byte
		state     sagas.State
		code      sagas.Code
		variants  int
	}{
		{"photograph", "image/jpeg", whole, sagas.Processed, "", 1},
		{"cut photograph", "image/jpeg", whole[:len(whole)/2], sagas.Rejected, sagas.Undecodable, 0},
		{"text", "image/jpeg", []byte("not an image"), sagas.Rejected, sagas.Undecodable, 0},
		{"too many pixels", "image/jpeg", jpegHeader(markerSOF0, 1921, 1080), sagas.Rejected, sagas.TooManyPixels, 0},
		{"too many bytes", "image/jpeg", make([]byte, c.MaxBytes+1), sagas.Rejected, sagas.TooLarge, 0},
		{"video", "video/mp4", []byte("\x00\x00\x00\x18ftypmp42"), sagas.Processed, "", 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			out, err := s.Run(t.Context(), upload(t, objects, x.mediaType, x.body))
			if err != nil {
				t.Fatal(err)
			}
			if out.State != x.state || out.Reason.Code != x.code || len(out.Facts.Variants) != x.variants {
				t.Errorf("got %+v", out)
			}
		})
	}
	t.Run("gone", func(t *testing.T) {
		u := upload(t, objects, "image/jpeg", whole)
		u.Key += "x"
		out, err := s.Run(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if out.State != sagas.Failed || out.Reason.Code != sagas.ObjectGone {
			t.Errorf("got %+v", out)
		}
	})
}

func TestUndoRemovesTheRenditionsOnly(t *testing.T) {
	objects := storagetest.New(t)
	s := New(config(200, 800), objects)
	u, other := upload(t, objects, "image/jpeg", photo(t)), upload(t, objects, "image/jpeg", photo(t))
	for _, u := range []sagas.Upload{u, other} {
		if _, err := s.Run(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	u.State = sagas.Aborted
	for range 2 {
		if err := s.Undo(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{storage.Renditions(other) + "200.jpg", storage.Renditions(other) + "800.jpg", other.Key, u.Key}
	slices.Sort(want)
	if left := storagetest.Keys(t, objects.Incoming); !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
}
