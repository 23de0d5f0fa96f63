package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline/failpoint"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// forsakeTimeout bounds the end of an upload that could not be begun.
const forsakeTimeout = 30 * time.Second

type beginInput struct {
	Body v1.NewUpload
}

type beginOutput struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     v1.Begun
}

// beginUpload hands out permission for exactly the file that was declared.
func (s *server) beginUpload(ctx context.Context, in *beginInput) (*beginOutput, error) {
	d, err := s.declared(in.Body, callOf(ctx).limits)
	if err != nil {
		return nil, err
	}
	u, permission, err := s.begin(ctx, d)
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
		Body:     v1.Begun{Upload: s.resource(u, nil), Capability: token, Permission: permission},
	}, nil
}

// begin writes the upload and signs the permission by its method.
func (s *server) begin(ctx context.Context, d declaration) (sagas.Upload, v1.Permission, error) {
	switch d.method {
	case sagas.MethodMultipart:
		return s.beginMultipart(ctx, d)
	case sagas.MethodPost:
		return s.beginPost(ctx, d)
	default:
		return s.beginPut(ctx, d, true)
	}
}

// beginPut signs and then writes, so that a failure of either leaves nothing usable. A permission that is not for
// once only is for clients that send no header but the type.
func (s *server) beginPut(ctx context.Context, d declaration, onlyOnce bool) (sagas.Upload, v1.Permission, error) {
	b, err := s.beginning(ctx, d)
	if err != nil {
		return sagas.Upload{}, v1.Permission{}, err
	}
	put, err := s.objects.PresignPut(ctx, s.permission(b, onlyOnce))
	if err != nil {
		return sagas.Upload{}, v1.Permission{}, err
	}
	u, err := s.record(ctx, b)
	return u, v1.Permission{Method: put.Method, URL: put.URL, Headers: put.Headers, ExpiresAt: put.Expires.UTC()}, err
}

// beginPost is beginPut for a form. S3 cannot keep a form from being sent twice: what protects the upload is the
// version that the pipeline pins.
func (s *server) beginPost(ctx context.Context, d declaration) (sagas.Upload, v1.Permission, error) {
	b, err := s.beginning(ctx, d)
	if err != nil {
		return sagas.Upload{}, v1.Permission{}, err
	}
	post, err := s.objects.PresignPost(ctx, s.permission(b, false))
	if err != nil {
		return sagas.Upload{}, v1.Permission{}, err
	}
	u, err := s.record(ctx, b)
	return u, v1.Permission{Method: http.MethodPost, URL: post.URL, Fields: post.Fields, ExpiresAt: post.Expires.UTC()}, err
}

func (s *server) permission(b sagas.Beginning, onlyOnce bool) storage.PutPermission {
	return storage.PutPermission{
		Key: b.Key, Type: b.Declared.Type, Size: b.Declared.Size, MaxSize: b.MaxSize, SHA256: b.Declared.SHA256,
		OnlyOnce: onlyOnce, Lifetime: s.config.PresignLifetime,
	}
}

// beginMultipart cuts the file as its size demands, and signs as many parts as the answer takes.
func (s *server) beginMultipart(ctx context.Context, d declaration) (sagas.Upload, v1.Permission, error) {
	plan, err := storage.PlanParts(d.content.Size)
	if err != nil {
		return sagas.Upload{}, v1.Permission{}, err
	}
	u, err := s.startMultipart(ctx, d, sagas.Multipart{PartSize: plan.Size, PartCount: plan.Count(), SHA256: d.partSHA256})
	if err != nil {
		return u, v1.Permission{}, err
	}
	var first []v1.WantedPart
	if !u.Multipart.SHA256 {
		first = firstParts(min(plan.Count(), maxSignedParts))
	}
	parts, expires, err := s.signParts(ctx, u, first, s.config.PartLifetime)
	return u, v1.Permission{
		Method: http.MethodPut, PartSize: plan.Size, PartCount: plan.Count(), Parts: parts, ExpiresAt: expires,
	}, err
}

// startMultipart writes the upload first, so that whatever S3 has begun for its key has a saga that ends it, even
// when this process does not live to learn of it. An upload that S3 does not begin is aborted: its client does not know of
// it, and begins another.
func (s *server) startMultipart(ctx context.Context, d declaration, plan sagas.Multipart) (sagas.Upload, error) {
	b, err := s.beginning(ctx, d)
	if err != nil {
		return sagas.Upload{}, err
	}
	b.Multipart, b.Lifetime = plan, s.config.MultipartLifetime
	u, err := s.record(ctx, b)
	if err != nil {
		return u, err
	}
	id, err := s.objects.CreateMultipart(ctx, u.Key, storage.Properties{Type: u.Declared.Type}, plan.SHA256)
	if err != nil {
		s.forsake(ctx, u)
		return u, err
	}
	return s.store.StartMultipart(ctx, u.ID, id)
}

// forsake ends an upload of which nobody was told. Should that fail, it expires like any other that nothing comes of.
func (s *server) forsake(ctx context.Context, u sagas.Upload) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forsakeTimeout)
	defer cancel()
	if _, err := s.cancel(ctx, u); err != nil {
		s.log.WarnContext(ctx, "could not abort an upload that could not be begun", "upload_id", u.ID, "error", err)
	}
}

// beginning names the upload and its object.
func (s *server) beginning(ctx context.Context, d declaration) (sagas.Beginning, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return sagas.Beginning{}, fmt.Errorf("making an upload id: %w", err)
	}
	return sagas.Beginning{
		ID: id, Owner: callOf(ctx).principal.Owner, Pass: callOf(ctx).principal.Pass, Method: d.method, Filename: d.filename,
		Bucket: s.objects.Incoming, Key: "uploads/" + id.String() + extensions[d.content.Type],
		Declared: d.content, MaxSize: callOf(ctx).limits.maxSize, Metadata: d.metadata, Lifetime: s.config.PresignLifetime + s.config.ArrivalGrace,
	}, nil
}

func (s *server) record(ctx context.Context, b sagas.Beginning) (sagas.Upload, error) {
	if err := failpoint.Hit("api.begin", "before"); err != nil {
		return sagas.Upload{}, err
	}
	b.Quota = callOf(ctx).limits.quota
	u, err := s.store.Begin(ctx, b)
	if err := errors.Join(err, failpoint.Hit("api.begin", "after")); err != nil {
		return u, crowded(err, b.Quota)
	}
	callOf(ctx).uploadID = u.ID
	s.metrics.presigned.WithLabelValues(string(u.Method)).Inc()
	return u, nil
}
