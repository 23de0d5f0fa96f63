package api

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// maxSignedParts is how many parts one answer signs.
const maxSignedParts = 100

type signPartsInput struct {
	ID   string `path:"id" example:"0199e0a2-7c1f-7d3a-9b1e-2f6a5c8d4e10" doc:"The upload's id."`
	Body v1.WantedParts
}

type signPartsOutput struct {
	Body v1.SignedParts
}

// signMoreParts permits parts that were not signed yet, or whose permission has expired.
func (s *server) signMoreParts(ctx context.Context, in *signPartsInput) (*signPartsOutput, error) {
	u, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	signed, err := s.permitParts(ctx, u, in.Body.Parts)
	if err != nil {
		return nil, err
	}
	return &signPartsOutput{Body: signed}, nil
}

// permitParts checks and signs what a client is about to send.
func (s *server) permitParts(ctx context.Context, u sagas.Upload, wanted []v1.WantedPart) (v1.SignedParts, error) {
	if err := takesParts(u); err != nil {
		return v1.SignedParts{}, err
	}
	if err := checkWanted(u, wanted); err != nil {
		return v1.SignedParts{}, err
	}
	parts, expires, err := s.signParts(ctx, u, wanted, s.config.PartLifetime)
	return v1.SignedParts{Parts: parts, ExpiresAt: expires}, err
}

type listPartsInput struct {
	ID string `path:"id" example:"0199e0a2-7c1f-7d3a-9b1e-2f6a5c8d4e10" doc:"The upload's id."`
}

type listPartsOutput struct {
	Body v1.StoredParts
}

// listParts shows what need not be sent again.
func (s *server) listParts(ctx context.Context, in *listPartsInput) (*listPartsOutput, error) {
	u, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	stored, err := s.storedParts(ctx, u)
	if err != nil {
		return nil, err
	}
	out := &listPartsOutput{Body: v1.StoredParts{
		PartSize: u.Multipart.PartSize, PartCount: u.Multipart.PartCount, Parts: make([]v1.StoredPart, 0, len(stored)),
	}}
	for _, p := range stored {
		out.Body.Parts = append(out.Body.Parts, v1.StoredPart{
			Number: p.Number, Size: p.Size, ETag: unquoted(p.ETag), SHA256: hex.EncodeToString(p.SHA256),
		})
	}
	return out, nil
}

// storedParts are the parts that S3 has of an upload that takes more.
func (s *server) storedParts(ctx context.Context, u sagas.Upload) ([]storage.Part, error) {
	if err := takesParts(u); err != nil {
		return nil, err
	}
	stored, err := s.objects.ListParts(ctx, u.Key, u.Multipart.UploadID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, uploadSettled.because("The parts were joined, or the upload was ended.")
	}
	return stored, err
}

// takesParts says why an upload takes no parts, or nothing.
func takesParts(u sagas.Upload) error {
	switch {
	case u.Method != sagas.MethodMultipart:
		return notMultipart.problem()
	case u.State != sagas.Initiated:
		return uploadSettled.because("The upload takes no more parts: it is %s.", u.State)
	case !u.ReadAt.Before(u.ExpiresAt.Add(-time.Second)):
		return uploadSettled.because("The upload takes no more parts: its time is over.")
	case u.Multipart.UploadID == "":
		return uploadSettled.because("Storage did not begin this upload. Begin another one.")
	}
	return nil
}

// checkWanted reports every fault of the list.
func checkWanted(u sagas.Upload, wanted []v1.WantedPart) error {
	var faults []v1.Fault
	wrong := func(i int, member, format string, args ...any) {
		faults = append(faults, v1.Fault{Location: fmt.Sprintf("body.parts[%d].%s", i, member), Message: fmt.Sprintf(format, args...)})
	}
	seen := map[int]bool{}
	for i, p := range wanted {
		switch sum, ok := parseSHA256(p.SHA256); {
		case !ok:
			wrong(i, "sha256", "must be 64 hexadecimal digits or 32 bytes in padded base64")
		case sum == nil && u.Multipart.SHA256:
			wrong(i, "sha256", "must be given: the upload was begun with part_sha256")
		case sum != nil && !u.Multipart.SHA256:
			wrong(i, "sha256", "must not be given: the upload was begun without part_sha256")
		}
		if p.Number < 1 || p.Number > u.Multipart.PartCount {
			wrong(i, "number", "must be between 1 and %d", u.Multipart.PartCount)
		} else if seen[p.Number] {
			wrong(i, "number", "must not be listed twice")
		}
		seen[p.Number] = true
	}
	if len(faults) > 0 {
		return invalid.faulty(faults)
	}
	return nil
}

// signParts signs parts that were checked. They are good for a lifetime from now, but no longer than the upload.
func (s *server) signParts(ctx context.Context, u sagas.Upload, wanted []v1.WantedPart, lifetime time.Duration) ([]v1.SignedPart, time.Time, error) {
	plan := planOf(u)
	lifetime = min(lifetime, u.ExpiresAt.Sub(u.ReadAt))
	expires := time.Now().Add(lifetime)
	signed := make([]v1.SignedPart, 0, len(wanted))
	for _, w := range wanted {
		sum, _ := parseSHA256(w.SHA256)
		offset, size := plan.Part(w.Number)
		p, err := s.objects.PresignPart(ctx, storage.PartPermission{
			Key: u.Key, UploadID: u.Multipart.UploadID, Number: w.Number, Size: size, SHA256: sum, Lifetime: lifetime,
		})
		if err != nil {
			return nil, expires, err
		}
		if p.Expires.Before(expires) {
			expires = p.Expires
		}
		signed = append(signed, v1.SignedPart{Number: w.Number, Offset: offset, Size: size, URL: p.URL, Headers: p.Headers})
	}
	s.metrics.parts.Add(float64(len(signed)))
	return signed, expires.UTC(), nil
}

// planOf is how the file of u is cut; zero when its size is not known, and the client cuts as it likes.
func planOf(u sagas.Upload) storage.Parts {
	return storage.Parts{Total: u.Declared.Size, Size: u.Multipart.PartSize}
}

func firstParts(n int) []v1.WantedPart {
	parts := make([]v1.WantedPart, n)
	for i := range parts {
		parts[i].Number = i + 1
	}
	return parts
}
