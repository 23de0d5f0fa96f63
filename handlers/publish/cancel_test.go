package publish_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-media/sluice/handlers/publish"
	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

// nowhere takes messages.
type nowhere struct{}

func (nowhere) Publish(string, ...*message.Message) error { return nil }
func (nowhere) Close() error                              { return nil }

// interrupted has something happen before and after the work of the stage.
type interrupted struct {
	*publish.Stage
	before, after func()
}

func (s interrupted) Run(ctx context.Context, u sagas.Upload) (pipeline.Outcome, error) {
	s.before()
	out, err := s.Stage.Run(ctx, u)
	s.after()
	return out, err
}

// Whenever a client cancels, nothing of its upload is in the media bucket once it was answered and the stage is done.
func TestNothingCancelledIsReachable(t *testing.T) {
	objects, store := storagetest.New(t), sagatest.Store(t)
	stage := publish.New(config, objects)
	runner := pipeline.NewRunner(pipeline.Config{MaxAttempts: 3}, store, nowhere{}, pipeline.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	for _, moment := range []string{"before the message", "before the copy", "before the commit", "after the commit"} {
		t.Run(moment, func(t *testing.T) {
			u := begun(t, store, objects)
			cancel := func(now string) func() {
				return func() {
					if now != moment {
						return
					}
					if _, err := runner.Cancel(t.Context(), u, pipeline.Cancellation{By: "api", Published: publish.Copies{Objects: objects}}); err != nil {
						t.Error(err)
					}
				}
			}
			cancel("before the message")()
			msg := message.NewMessage("1", fmt.Appendf(nil, `{"upload_id":%q}`, u.ID))
			msg.SetContext(t.Context())
			if err := runner.Handle(interrupted{stage, cancel("before the copy"), cancel("before the commit")})(msg); err != nil {
				t.Error(err)
			}
			cancel("after the commit")()
			if left := storagetest.Keys(t, objects.Media); len(left) > 0 {
				t.Errorf("in media are %q", left)
			}
			if u, err := store.Load(t.Context(), u.ID); err != nil || u.State != sagas.Aborted && u.State != sagas.Deleted {
				t.Errorf("it is %s, %v", u.State, err)
			}
		})
	}
}

// begun is a processed upload of the store, with an original and a rendition.
func begun(t *testing.T, store *sagas.Store, objects *storage.Client) sagas.Upload {
	t.Helper()
	id := uuid.New()
	u, err := store.Begin(t.Context(), sagas.Beginning{
		ID: id, Owner: sagas.Owner{Tenant: "acme", Subject: "ann"}, Method: sagas.MethodPut, Filename: "a.jpg",
		Bucket: objects.Incoming, Key: "uploads/" + id.String(), Declared: sagas.Content{Type: "image/jpeg"}, Lifetime: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	original := put(t, objects, u.Key, "scanned")
	rendition := put(t, objects, storage.Renditions(u)+"200.jpg", "rendered")
	facts := sagas.Facts{
		ETag: original.ETag, VersionID: original.VersionID, Observed: sagas.Content{Type: "image/jpeg", Size: 7},
		Variants: []sagas.Variant{{Name: "200", Key: rendition.Key, Type: "image/jpeg", ETag: rendition.ETag, VersionID: rendition.VersionID}},
	}
	for _, to := range []sagas.State{sagas.Uploaded, sagas.Verified, sagas.Clean, sagas.Processed} {
		if u, err = store.Advance(t.Context(), sagas.Change{ID: id, Stage: "test", From: u.State, To: to, StartedAt: u.ReadAt, Facts: facts}); err != nil {
			t.Fatal(err)
		}
	}
	return u
}
