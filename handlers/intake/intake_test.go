package intake_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluice-media/sluice/handlers/intake"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
)

func TestIntakePinsWhatIsThere(t *testing.T) {
	objects := storagetest.New(t)
	u := sagas.Upload{State: sagas.Initiated, Bucket: objects.Incoming, Key: "uploads/a.jpg"}
	for _, body := range []string{"first", "second one"} {
		ref, err := objects.Put(t.Context(), u.Bucket, u.Key, strings.NewReader(body), storage.Properties{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := intake.New(intake.Config{}, objects).Run(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if out.State != sagas.Uploaded || out.Facts.ETag != ref.ETag || out.Facts.VersionID != ref.VersionID || out.Facts.Observed.Size != int64(len(body)) {
			t.Errorf("got %+v, want %+v pinned", out, ref)
		}
	}
}

func TestNothingHasArrived(t *testing.T) {
	objects := storagetest.New(t)
	_, err := intake.New(intake.Config{}, objects).Run(t.Context(), sagas.Upload{Bucket: objects.Incoming, Key: "uploads/none.jpg"})
	if !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}
