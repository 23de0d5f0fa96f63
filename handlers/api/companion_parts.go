package api

import (
	"context"
	"errors"
	"strconv"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// CompanionUpload names an upload in parts. Both names must be right. It is exported for huma, which looks into no other
// embedded struct.
type CompanionUpload struct {
	UploadID string `path:"uploadId" example:"2~Zq8bVtL0kXcM4rW7yN1sHd" doc:"As answered at the beginning."`
	Key      string `query:"key" required:"true" example:"uploads/0199e0a2-7c1f-7d3a-9b1e-2f6a5c8d4e10.jpg" doc:"As answered at the beginning."`
}

// companionFind returns the caller's upload in parts of that name.
func (s *server) companionFind(ctx context.Context, in CompanionUpload) (sagas.Upload, error) {
	u, err := s.findByKey(ctx, in.Key)
	if errors.Is(err, sagas.ErrNotFound) || err == nil && (u.Multipart.UploadID == "" || u.Multipart.UploadID != in.UploadID) {
		return u, notFound.problem()
	}
	return u, err
}

type companionSignInput struct {
	CompanionUpload
	Number int `path:"number" minimum:"1" maximum:"10000" example:"1"`
}

type companionSignOutput struct {
	Body struct {
		Method  string `json:"method" enum:"PUT"`
		URL     string `json:"url" format:"uri" doc:"Where to PUT the part."`
		Expires int    `json:"expires" doc:"Seconds."`
	}
}

// companionSign leaves the length of the part open, unless the upload was begun with a plan: only the client knows how it
// cuts the file.
func (s *server) companionSign(ctx context.Context, in *companionSignInput) (*companionSignOutput, error) {
	signed, err := s.companionSignParts(ctx, in.CompanionUpload, []v1.WantedPart{{Number: in.Number}})
	if err != nil {
		return nil, err
	}
	out := &companionSignOutput{}
	out.Body.Method, out.Body.URL, out.Body.Expires = "PUT", signed.Parts[0].URL, secondsUntil(signed.ExpiresAt)
	return out, nil
}

type companionSignBatchInput struct {
	CompanionUpload
	Numbers string `query:"partNumbers" required:"true" example:"1" doc:"At most 100, with commas between them."`
}

type companionSignBatchOutput struct {
	Body struct {
		URLs    map[string]string `json:"presignedUrls" doc:"Where to PUT each part, by its number."`
		Expires int               `json:"expires" doc:"Seconds."`
	}
}

func (s *server) companionSignBatch(ctx context.Context, in *companionSignBatchInput) (*companionSignBatchOutput, error) {
	wanted, err := numbersOf(in.Numbers)
	if err != nil {
		return nil, err
	}
	signed, err := s.companionSignParts(ctx, in.CompanionUpload, wanted)
	if err != nil {
		return nil, err
	}
	out := &companionSignBatchOutput{}
	out.Body.URLs, out.Body.Expires = map[string]string{}, secondsUntil(signed.ExpiresAt)
	for _, p := range signed.Parts {
		out.Body.URLs[strconv.Itoa(p.Number)] = p.URL
	}
	return out, nil
}

func (s *server) companionSignParts(ctx context.Context, in CompanionUpload, wanted []v1.WantedPart) (v1.SignedParts, error) {
	u, err := s.companionFind(ctx, in)
	if err != nil {
		return v1.SignedParts{}, err
	}
	return s.permitParts(ctx, u, wanted)
}

type companionPart struct {
	PartNumber int    `json:"PartNumber" minimum:"1" maximum:"10000"`
	ETag       string `json:"ETag" minLength:"1" maxLength:"256" doc:"As storage answered the PUT, with or without its quotes."`
	Size       int64  `json:"Size,omitempty" doc:"Bytes."`
}

type companionPartsInput struct{ CompanionUpload }

type companionPartsOutput struct {
	Body []companionPart `nullable:"false"`
}

// companionParts shows what need not be sent again, after the browser was closed.
func (s *server) companionParts(ctx context.Context, in *companionPartsInput) (*companionPartsOutput, error) {
	u, err := s.companionFind(ctx, in.CompanionUpload)
	if err != nil {
		return nil, err
	}
	stored, err := s.storedParts(ctx, u)
	if err != nil {
		return nil, err
	}
	out := &companionPartsOutput{Body: []companionPart{}}
	for _, p := range stored {
		out.Body = append(out.Body, companionPart{PartNumber: p.Number, ETag: quoted(p.ETag), Size: p.Size})
	}
	return out, nil
}

type companionCompleteInput struct {
	CompanionUpload
	Body struct {
		Parts []companionPart `json:"parts" minItems:"1" maxItems:"10000" nullable:"false" doc:"Every part, in the order of their numbers."`
	}
}

type companionCompleteOutput struct {
	Body struct {
		Location string `json:"location" format:"uri" doc:"Where the file will be published when it is ready."`
		Key      string `json:"key"`
		Bucket   string `json:"bucket"`
	}
}

// companionComplete has the parts joined. Where the client cuts the file as it likes, its list says how many parts
// there are.
func (s *server) companionComplete(ctx context.Context, in *companionCompleteInput) (*companionCompleteOutput, error) {
	u, err := s.companionFind(ctx, in.CompanionUpload)
	if err != nil {
		return nil, err
	}
	u, err = s.completeListed(ctx, u, in.Body.Parts)
	if err != nil {
		return nil, err
	}
	out := &companionCompleteOutput{}
	out.Body.Location, out.Body.Key, out.Body.Bucket = s.config.mediaURL(u.Key), u.Key, u.Bucket
	return out, nil
}

func (s *server) completeListed(ctx context.Context, u sagas.Upload, parts []companionPart) (sagas.Upload, error) {
	listed := make([]storage.Part, len(parts))
	for i, p := range parts {
		listed[i] = storage.Part{Number: p.PartNumber, ETag: p.ETag}
	}
	if u.Multipart.PartSize == 0 && u.Multipart.PartCount == storage.MaxParts {
		u.Multipart.PartCount = len(listed)
	}
	u, err := s.complete(ctx, u, listed)
	if errors.Is(err, storage.ErrNotFound) {
		return u, notUploaded.problem()
	}
	return u, err
}

type companionAbortInput struct{ CompanionUpload }

type companionAbortOutput struct {
	Body struct{}
}

func (s *server) companionAbort(ctx context.Context, in *companionAbortInput) (*companionAbortOutput, error) {
	u, err := s.companionFind(ctx, in.CompanionUpload)
	if err != nil {
		return nil, err
	}
	if err := s.abort(ctx, u); err != nil {
		return nil, err
	}
	return &companionAbortOutput{}, nil
}

// abort ends an upload that is still being sent, and nothing else: a file that a person takes off Uppy's list after it
// was sent stays.
func (s *server) abort(ctx context.Context, u sagas.Upload) error {
	if u.State != sagas.Initiated && u.State != sagas.Aborted {
		return uploadSettled.because("The upload cannot be aborted: it is %s.", u.State)
	}
	_, err := s.end(ctx, u)
	return err
}
