package api

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

const (
	// joinTimeout bounds how long S3 may take to join the parts of a file.
	joinTimeout = 10 * time.Minute

	// An object whose parts are gone is looked for about five seconds.
	joinedTries = 21
	joinedPause = 250 * time.Millisecond
)

type completeInput struct {
	ID   string `path:"id" example:"0199e0a2-7c1f-7d3a-9b1e-2f6a5c8d4e10" doc:"The upload's id."`
	Body *v1.Completion
}

// completeUpload is the client's word that it has sent the file. It is confirmed, not believed, and does what the
// event from S3 does, whichever comes first.
func (s *server) completeUpload(ctx context.Context, in *completeInput) (*showOutput, error) {
	u, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	var listed []storage.Part
	if in.Body != nil {
		for _, p := range in.Body.Parts {
			listed = append(listed, storage.Part{Number: p.Number, ETag: p.ETag})
		}
	}
	u, err = s.complete(ctx, u, listed)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, notUploaded.problem()
	}
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, u)
}

// complete has the parts joined, if the file came in parts, and moves the upload past initiated. It may be called
// any number of times, also at once. It returns storage.ErrNotFound when nothing has arrived.
func (s *server) complete(ctx context.Context, u sagas.Upload, listed []storage.Part) (sagas.Upload, error) {
	if len(listed) > 0 && u.Method != sagas.MethodMultipart {
		return u, notMultipart.problem()
	}
	confirm := s.confirmed
	var failure error
	if u.Method == sagas.MethodMultipart && u.State == sagas.Initiated {
		if err := checkListed(u, listed); err != nil {
			return u, err
		}
		// Whether or not the client waits, what S3 has begun to join had better be confirmed.
		patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), joinTimeout)
		defer cancel()
		ctx = patient
		if failure = s.join(ctx, u, listed); errors.As(failure, new(*problem)) {
			return u, failure
		}
		if failure == nil || errors.Is(failure, storage.ErrNotFound) && u.Multipart.UploadID != "" {
			confirm = s.awaited
		}
	}
	arrived := u.State == sagas.Initiated
	u, err := confirm(ctx, u)
	switch {
	case errors.Is(err, storage.ErrNotFound) && errors.Is(failure, storage.ErrPartsRefused):
		return u, partETagMismatch.because("Storage does not join the parts that it listed: one was sent again meanwhile, or its size does not suit.")
	case errors.Is(err, storage.ErrNotFound) && failure != nil:
		return u, failure
	case err != nil:
		return u, err
	case u.State == sagas.Expired, u.State == sagas.Aborted, u.State == sagas.Deleted:
		return u, uploadSettled.because("The upload is %s.", u.State)
	}
	if arrived {
		s.metrics.completed.WithLabelValues(string(u.Method)).Inc()
	}
	return u, nil
}

// join makes the object of the parts, if they are what was planned and, where the client has listed any, what it
// lists; otherwise the error is a problem. Any other error leaves open whether the object is there: only S3 can tell.
// It is storage.ErrNotFound when there are no parts any more: they were joined, or the upload was ended.
func (s *server) join(ctx context.Context, u sagas.Upload, listed []storage.Part) error {
	if u.Multipart.UploadID == "" {
		return storage.ErrNotFound
	}
	stored, err := s.objects.ListParts(ctx, u.Key, u.Multipart.UploadID)
	if err != nil {
		return err
	}
	if err := s.checkStored(u, stored, listed, firstOf(u.MaxSize, callOf(ctx).limits.maxSize)); err != nil {
		return err
	}
	_, err = s.objects.CompleteMultipart(ctx, u.Key, u.Multipart.UploadID, stored)
	return err
}

// awaited is confirmed for parts that are joined or gone. Somebody else may be joining them, and not every store shows
// the object before it has let go of the parts, or while it replaces it by the same one; or the upload was ended, which
// shows in its state.
func (s *server) awaited(ctx context.Context, u sagas.Upload) (sagas.Upload, error) {
	return backoff.Retry(ctx, func() (sagas.Upload, error) {
		moved, err := s.confirmed(ctx, u)
		if !errors.Is(err, storage.ErrNotFound) {
			return moved, permanent(err)
		}
		now, lookErr := s.store.Get(ctx, u.Owner, u.ID)
		if lookErr != nil {
			return u, permanent(lookErr)
		}
		if now.State != sagas.Initiated {
			return now, nil
		}
		return u, err
	}, backoff.WithBackOff(backoff.NewConstantBackOff(joinedPause)), backoff.WithMaxTries(joinedTries))
}

func permanent(err error) error {
	if err == nil {
		return nil
	}
	return backoff.Permanent(err)
}

// confirmed moves an upload that has arrived past initiated. It returns storage.ErrNotFound when nothing has
// arrived.
func (s *server) confirmed(ctx context.Context, u sagas.Upload) (sagas.Upload, error) {
	if u.State != sagas.Initiated {
		return u, nil
	}
	moved, err := s.confirm(ctx, u)
	if errors.Is(err, sagas.ErrMoved) {
		return s.store.Get(ctx, u.Owner, u.ID)
	}
	return moved, err
}
