package api

import (
	"context"
	"errors"
	"slices"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

type startMultipartInput struct {
	Body struct {
		Key         string `json:"key,omitempty" maxLength:"1024" example:"holiday.mp4" doc:"A name to show. The key of the file is in the answer."`
		Filename    string `json:"filename,omitempty" maxLength:"1024" example:"holiday.mp4" doc:"The name to show, if there is no key."`
		ContentType string `json:"contentType" example:"video/mp4"`
		PartCount   int    `json:"partCount" minimum:"1" maximum:"10000" doc:"How many parts the file has. All but the last need at least 5 MiB."`
	}
}

type startMultipartOutput struct {
	Body struct {
		UploadID string   `json:"uploadId"`
		PartURLs []string `json:"partUrls" nullable:"false" doc:"PUT part 1 to the first, part 2 to the second, and so on."`
		Key      string   `json:"key" doc:"Names the file to complete-multipart."`
	}
}

// startSimpleMultipart signs all parts at once, for as long as the upload lives: these clients cannot ask again. Their
// sizes are left open, since the file's is not known.
func (s *server) startSimpleMultipart(ctx context.Context, in *startMultipartInput) (*startMultipartOutput, error) {
	name := firstOf(firstOf(in.Body.Key, in.Body.Filename), "upload"+extensions[in.Body.ContentType])
	if message := checkFilename(name); message != "" {
		return nil, malformed.because("key: %s", message)
	}
	if !slices.Contains(callOf(ctx).limits.types, in.Body.ContentType) {
		return nil, malformed.because("File type not allowed")
	}
	d := declaration{filename: name, content: sagas.Content{Type: in.Body.ContentType}, method: sagas.MethodMultipart}
	u, err := s.startMultipart(ctx, d, sagas.Multipart{PartCount: in.Body.PartCount})
	if err != nil {
		return nil, err
	}
	parts, _, err := s.signParts(ctx, u, firstParts(in.Body.PartCount), maxSigned)
	if err != nil {
		return nil, err
	}
	out := &startMultipartOutput{}
	out.Body.UploadID, out.Body.Key = u.Multipart.UploadID, u.Key
	for _, p := range parts {
		out.Body.PartURLs = append(out.Body.PartURLs, p.URL)
	}
	return out, nil
}

type completeMultipartInput struct {
	Body struct {
		UploadID string       `json:"uploadId" doc:"As answered by start-multipart."`
		Key      string       `json:"key" doc:"As answered by start-multipart."`
		Parts    []simplePart `json:"parts" minItems:"1" maxItems:"10000" nullable:"false" doc:"Every part, in the order of their numbers."`
	}
}

// simplePart is spelled as S3 spells it.
type simplePart struct {
	PartNumber int    `json:"PartNumber" minimum:"1" maximum:"10000"`
	ETag       string `json:"ETag" minLength:"1" maxLength:"256" doc:"As storage answered the PUT, with or without its quotes."`
}

func (s *server) completeSimpleMultipart(ctx context.Context, in *completeMultipartInput) (*confirmOutput, error) {
	u, err := s.findByKey(ctx, in.Body.Key)
	if errors.Is(err, sagas.ErrNotFound) || err == nil && (u.Method != sagas.MethodMultipart || u.Multipart.UploadID != in.Body.UploadID) {
		return nil, malformed.because("Upload not found")
	}
	if err != nil {
		return nil, err
	}
	listed := make([]storage.Part, len(in.Body.Parts))
	for i, p := range in.Body.Parts {
		listed[i] = storage.Part{Number: p.PartNumber, ETag: p.ETag}
	}
	u, err = s.complete(ctx, u, listed)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, malformed.because("File not found in storage")
	}
	if err != nil {
		return nil, err
	}
	return s.confirmation(u), nil
}
