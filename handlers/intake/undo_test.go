package intake_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluice-media/sluice/handlers/intake"
	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
)

var _ pipeline.Undoer = (*intake.Stage)(nil)

func TestUndoKeepsWhatTheOperatorWants(t *testing.T) {
	objects := storagetest.New(t)
	refused := []sagas.State{sagas.Rejected, sagas.Infected, sagas.Unscannable, sagas.Failed}
	for _, config := range []intake.Config{{}, {KeepPublished: true}, {KeepRefused: true}, {KeepPublished: true, KeepRefused: true}} {
		for _, outcome := range sagas.TerminalStates() {
			kept := config.KeepPublished && outcome == sagas.Ready || config.KeepRefused && slices.Contains(refused, outcome)
			u := sagas.Upload{State: outcome, Bucket: objects.Incoming, Key: "uploads/a.jpg"}
			for _, body := range []string{"first", "overwritten"} {
				if _, err := objects.Put(t.Context(), u.Bucket, u.Key, strings.NewReader(body), storage.Properties{}); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := intake.New(config, objects).Undo(t.Context(), u); err != nil {
					t.Fatal(err)
				}
			}
			if left := storagetest.Keys(t, objects.Incoming); len(left) > 0 != kept {
				t.Errorf("%+v, %s: left are %q, want kept: %t", config, outcome, left, kept)
			}
		}
	}
}

func TestUndoLetsGoOfParts(t *testing.T) {
	objects := storagetest.New(t)
	admin := storagetest.Admin(t, os.Getenv("SLUICE_S3_ENDPOINT"))
	for _, outcome := range sagas.TerminalStates() {
		u := sagas.Upload{State: outcome, Method: sagas.MethodMultipart, Bucket: objects.Incoming, Key: "uploads/a.jpg"}
		for range 2 { // a beginning whose answer was lost is begun again
			if _, err := admin.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &u.Bucket, Key: &u.Key}); err != nil {
				t.Fatal(err)
			}
		}
		if err := intake.New(intake.Config{KeepPublished: true, KeepRefused: true}, objects).Undo(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if left := storagetest.Keys(t, objects.Incoming); len(left) != 0 {
			t.Errorf("%s: left are %q", outcome, left)
		}
	}
}
