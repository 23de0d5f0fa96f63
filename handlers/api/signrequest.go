package api

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

// signRequestInput is what Uppy 6 hands to an application's signRequest, with what the application knows of the file.
// https://uppy.io/docs/aws-s3/#signrequest
type signRequestInput struct {
	Body struct {
		Method      string         `json:"method" enum:"PUT,POST,GET,DELETE" doc:"Of the request to S3."`
		Key         string         `json:"key" minLength:"1" maxLength:"1024" doc:"Before the upload has begun any name; then the key that was answered."`
		UploadID    string         `json:"uploadId,omitempty" maxLength:"2048" doc:"Of an upload in parts that has begun."`
		PartNumber  int            `json:"partNumber,omitempty" minimum:"1" maximum:"10000"`
		Filename    string         `json:"filename,omitempty" maxLength:"1024" example:"holiday.mp4" doc:"When an upload begins: the name to show; the key, if it is left out."`
		ContentType string         `json:"contentType,omitempty" example:"video/mp4" doc:"When an upload begins: its media type, without parameters."`
		Size        int64          `json:"size,omitempty" minimum:"1" maximum:"9007199254740991" doc:"When an upload begins: the file's exact size in bytes. It is signed, if it is known."`
		Metadata    map[string]any `json:"metadata,omitempty" doc:"When an upload begins: your own notes. Texts, numbers and truth values are kept."`
	}

	request *http.Request
}

// Resolve implements huma.Resolver.
func (in *signRequestInput) Resolve(ctx huma.Context) []error {
	in.request, _ = humago.Unwrap(ctx)
	return nil
}

type signRequestOutput struct {
	Body struct {
		URL     string            `json:"url" format:"uri" doc:"Where to send the request: to storage with the bytes of a file or a part, to this service with everything else. Anyone who has it can."`
		Key     string            `json:"key" doc:"What the file is really called. The upload's id is between its slash and its dot."`
		Headers map[string]string `json:"headers,omitempty" doc:"To be sent exactly so."`
	}
}

// signRequest signs what carries bytes for storage. The other requests to S3, which begin, list, join and abort, are for
// this service, which answers them as S3 does: it alone decides when a file is whole.
func (s *server) signRequest(ctx context.Context, in *signRequestInput) (*signRequestOutput, error) {
	b := &in.Body
	if hasControl(b.Key) || hasControl(b.UploadID) {
		return nil, invalid.faulty([]v1.Fault{{Location: "body.key", Message: "must not have control characters"}})
	}
	if b.UploadID == "" {
		switch {
		case b.PartNumber != 0:
		case b.Method == http.MethodPut:
			return s.signFile(ctx, in)
		case b.Method == http.MethodPost:
			u, err := s.startSigned(ctx, in)
			if err != nil {
				return nil, err
			}
			return s.signErrand(in.request, u, s3Create)
		}
		return nil, invalid.faulty([]v1.Fault{{Location: "body.uploadId", Message: "is missing: only PUT and POST begin an upload"}})
	}
	u, err := s.companionFind(ctx, CompanionUpload{UploadID: b.UploadID, Key: b.Key})
	if err != nil {
		return nil, err
	}
	switch {
	case b.Method != http.MethodPut && b.PartNumber == 0:
		return s.signErrand(in.request, u, map[string]s3Operation{
			http.MethodGet: s3List, http.MethodPost: s3Complete, http.MethodDelete: s3Abort,
		}[b.Method])
	case b.Method != http.MethodPut || b.PartNumber == 0:
		return nil, invalid.faulty([]v1.Fault{{Location: "body.partNumber", Message: "is needed by PUT, and by nothing else"}})
	}
	signed, err := s.permitParts(ctx, u, []v1.WantedPart{{Number: b.PartNumber}})
	if err != nil {
		return nil, err
	}
	out := &signRequestOutput{}
	out.Body.URL, out.Body.Key, out.Body.Headers = signed.Parts[0].URL, u.Key, settable(signed.Parts[0].Headers)
	return out, nil
}

// signFile permits a PUT that may come more than once: Uppy itself sends it again when the answer was lost, and would
// take the refusal for a failure. What protects the upload is the version that the pipeline pins.
func (s *server) signFile(ctx context.Context, in *signRequestInput) (*signRequestOutput, error) {
	d, err := s.signedDeclaration(ctx, in, sagas.MethodPut)
	if err != nil {
		return nil, err
	}
	u, permission, err := s.beginPut(ctx, d, false)
	if err != nil {
		return nil, err
	}
	out := &signRequestOutput{}
	out.Body.URL, out.Body.Key, out.Body.Headers = permission.URL, u.Key, settable(permission.Headers)
	return out, nil
}

func (s *server) startSigned(ctx context.Context, in *signRequestInput) (sagas.Upload, error) {
	d, err := s.signedDeclaration(ctx, in, sagas.MethodMultipart)
	if err != nil {
		return sagas.Upload{}, err
	}
	return s.startMultipart(ctx, d, d.cut())
}

func (s *server) signedDeclaration(ctx context.Context, in *signRequestInput, method sagas.Method) (declaration, error) {
	b, notes := &in.Body, texts(in.Body.Metadata)
	if b.Size > 0 {
		notes[sizeNote] = strconv.FormatInt(b.Size, 10)
	}
	return s.companionDeclaration(ctx, firstOf(b.Filename, b.Key), b.ContentType, method, notes)
}

// signErrand permits one operation of this service on one upload, for as long as a request to storage would be.
func (s *server) signErrand(r *http.Request, u sagas.Upload, o s3Operation) (*signRequestOutput, error) {
	token, err := s.auth.Errand(u.Owner, u.ID, o.id, s.config.PresignLifetime)
	if err != nil {
		return nil, err
	}
	out := &signRequestOutput{}
	out.Body.URL, out.Body.Key = s.base(r)+o.path(u.ID.String())+"?"+url.Values{tokenParameter: {token}}.Encode(), u.Key
	return out, nil
}

// settable are the headers that a page can set: a browser says by itself how long a body is.
func settable(headers map[string]string) map[string]string {
	rest := maps.Clone(headers)
	maps.DeleteFunc(rest, func(name, _ string) bool { return http.CanonicalHeaderKey(name) == "Content-Length" })
	return rest
}
