package publish_test

import (
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/handlers/publish"
	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
)

var _ pipeline.Undoer = (*publish.Stage)(nil)

func TestUndoLeavesOnlyWhatIsReady(t *testing.T) {
	objects := storagetest.New(t)
	stage := publish.New(config, objects)
	for _, outcome := range sagas.TerminalStates() {
		t.Run(string(outcome), func(t *testing.T) {
			u := processed(t, objects)
			u.ID = uuid.New()
			rendition := put(t, objects, storage.Renditions(u)+"200.jpg", "rendered")
			u.Variants[0].Key, u.Variants[0].ETag, u.Variants[0].VersionID = rendition.Key, rendition.ETag, rendition.VersionID
			for range 2 { // each a version
				if out, err := stage.Run(t.Context(), u); err != nil || out.State != sagas.Ready {
					t.Fatalf("got %+v, %v", out, err)
				}
			}
			u.State = outcome
			for range 2 {
				if err := stage.Undo(t.Context(), u); err != nil {
					t.Fatal(err)
				}
			}
			left := len(storagetest.Keys(t, objects.Media))
			if want := map[bool]int{true: 2, false: 0}[outcome == sagas.Ready]; left != want {
				t.Errorf("%d are left in media, want %d", left, want)
			}
			u.State = sagas.Deleted // for the next one
			if err := stage.Undo(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestUndoLetsGoOfLargeCopiesThatWereBroken(t *testing.T) {
	objects := storagetest.New(t)
	stage := publish.New(config, objects)
	u := processed(t, objects)
	if _, err := storagetest.Admin(t, os.Getenv("SLUICE_S3_ENDPOINT")).CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
		Bucket: &objects.Media, Key: &u.Key,
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		largeCopy int64
		left      int
	}{{u.Observed.Size, 1}, {u.Observed.Size - 1, 0}} { // what is copied in one request leaves nothing, and costs nothing
		objects.LargeCopy = c.largeCopy
		u.State = sagas.Ready
		if err := stage.Undo(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if left := storagetest.Unfinished(t, objects.Media); len(left) != c.left {
			t.Errorf("unfinished are %q, want %d", left, c.left)
		}
	}
}
