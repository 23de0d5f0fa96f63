package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

type beginInput struct {
	Body v1.NewUpload
}

type beginOutput struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     v1.Begun
}

// beginUpload hands out permission for exactly the file that was declared, once.
func (s *server) beginUpload(ctx context.Context, in *beginInput) (*beginOutput, error) {
	d, err := s.declared(in.Body)
	if err != nil {
		return nil, err
	}
	u, put, err := s.begin(ctx, d, storage.PutPermission{
		Type: d.content.Type, Size: d.content.Size, SHA256: d.content.SHA256, OnlyOnce: true,
	})
	if err != nil {
		return nil, err
	}
	token, err := s.capability(u)
	if err != nil {
		return nil, err
	}
	return &beginOutput{
		Location: s.config.uploadURL(u.ID.String()),
		ETag:     etag(u.Version),
		Body: v1.Begun{
			Upload:     s.resource(u, nil),
			Capability: token,
			Permission: v1.Permission{
				Method: put.Method, URL: put.URL, Headers: put.Headers, ExpiresAt: put.Expires.UTC(),
			},
		},
	}, nil
}

// begin signs the permission and then writes the upload, so that a failure of either leaves nothing usable.
func (s *server) begin(ctx context.Context, d declaration, p storage.PutPermission) (sagas.Upload, storage.PresignedRequest, error) {
	fail := func(err error) (sagas.Upload, storage.PresignedRequest, error) {
		return sagas.Upload{}, storage.PresignedRequest{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fail(fmt.Errorf("making an upload id: %w", err))
	}
	p.Key = "uploads/" + id.String() + extensions[d.content.Type]
	p.Lifetime = s.config.PresignLifetime
	put, err := s.objects.PresignPut(ctx, p)
	if err != nil {
		return fail(err)
	}
	call := callOf(ctx)
	u, err := s.store.Begin(ctx, sagas.Beginning{
		ID: id, Owner: call.principal.Owner, Method: sagas.MethodPut, Filename: d.filename,
		Bucket: s.objects.Incoming, Key: p.Key, Declared: d.content, Metadata: d.metadata,
		Lifetime: s.config.PresignLifetime + s.config.ArrivalGrace,
	})
	if err != nil {
		return fail(err)
	}
	call.uploadID = u.ID
	s.metrics.presigned.WithLabelValues(string(u.Method)).Inc()
	return u, put, nil
}

type completeInput struct {
	ID string `path:"id" doc:"The upload's id."`
}

// completeUpload is the client's word that it has sent the file. It is confirmed, not believed, and does what the
// event from S3 does, whichever comes first.
func (s *server) completeUpload(ctx context.Context, in *completeInput) (*showOutput, error) {
	u, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	u, err = s.confirmed(ctx, u)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, notUploaded.problem()
	}
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, u)
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
