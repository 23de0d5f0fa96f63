package publish_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/sluice-media/sluice/handlers/publish"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
)

var config = publish.Config{CacheControl: "public, max-age=31536000, immutable"}

// processed puts an original and one rendition into the incoming bucket.
func processed(t *testing.T, objects *storage.Client) sagas.Upload {
	t.Helper()
	original := put(t, objects, "uploads/a.jpg", "scanned")
	rendition := put(t, objects, "thumbnails/a/200.jpg", "rendered")
	return sagas.Upload{
		State: sagas.Processed, Bucket: original.Bucket, Key: original.Key, ETag: original.ETag, VersionID: original.VersionID,
		Observed: sagas.Content{Type: "image/jpeg", Size: 7},
		Variants: []sagas.Variant{{Name: "200", Key: rendition.Key, Type: "image/webp", ETag: rendition.ETag, VersionID: rendition.VersionID}},
	}
}

func TestPublishCopiesTheFileAndItsRenditions(t *testing.T) {
	objects := storagetest.New(t)
	u := processed(t, objects)
	stage := publish.New(config, objects)
	for range 2 { // every side effect can happen twice
		out, err := stage.Run(t.Context(), u)
		if err != nil || out.State != sagas.Ready {
			t.Fatalf("got %+v, %v", out, err)
		}
	}
	for key, want := range map[string]struct{ body, mediaType string }{
		u.Key:             {"scanned", "image/jpeg"},
		u.Variants[0].Key: {"rendered", "image/webp"},
	} {
		o, err := objects.Head(t.Context(), storage.Ref{Bucket: objects.Media, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if o.Type != want.mediaType || read(t, objects, o.Ref) != want.body {
			t.Errorf("%s is %+v with %q", key, o, read(t, objects, o.Ref))
		}
	}
}

func TestNothingUnscannedIsReachable(t *testing.T) {
	objects := storagetest.New(t)
	for name, spoil := range map[string]func(u *sagas.Upload){
		"the object was overwritten":               func(u *sagas.Upload) { put(t, objects, u.Key, "unscanned") },
		"the pinned version is not the pinned one": func(u *sagas.Upload) { u.VersionID = put(t, objects, u.Key, "unscanned").VersionID },
		"the rendition's version is another": func(u *sagas.Upload) {
			u.Variants[0].VersionID = put(t, objects, u.Variants[0].Key, "unscanned").VersionID
		},
		"only the ETag is known": func(u *sagas.Upload) { u.VersionID = ""; put(t, objects, u.Key, "unscanned") },
	} {
		t.Run(name, func(t *testing.T) {
			u := processed(t, objects)
			spoil(&u)
			out, err := publish.New(config, objects).Run(t.Context(), u)
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{u.Key, u.Variants[0].Key} {
				if body := read(t, objects, storage.Ref{Bucket: objects.Media, Key: key}); body == "unscanned" {
					t.Errorf("%s was let out (%s)", key, out.State)
				}
			}
			if out.State != sagas.Ready && out.Reason.Code != sagas.ObjectGone {
				t.Errorf("outcome is %+v", out)
			}
		})
	}
}

func put(t *testing.T, objects *storage.Client, key, body string) storage.Ref {
	t.Helper()
	ref, err := objects.Put(t.Context(), objects.Incoming, key, bytes.NewReader([]byte(body)), storage.Properties{Type: "application/octet-stream"})
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// read returns the object's body, or nothing when there is no object.
func read(t *testing.T, objects *storage.Client, r storage.Ref) string {
	t.Helper()
	body, err := objects.Get(t.Context(), r)
	if errors.Is(err, storage.ErrNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		t.Fatal(err)
	}
	return string(b)
}
