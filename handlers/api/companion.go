package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

// companionTag marks the endpoints that Uppy's @uppy/aws-s3 calls, as Companion has them: with Sluice's URL as its endpoint
// (version 5) or companionEndpoint (version 6) it uploads here, unmodified. It knows errors as {"message": "..."}.
// https://uppy.io/docs/aws-s3/
const companionTag = "uppy"

type companionFailure struct {
	Message   string `json:"message" example:"There is no such upload."`
	RequestID string `json:"requestId,omitempty"`
}

func companionError(p *problem) companionFailure {
	f := companionFailure{Message: p.Detail, RequestID: p.RequestID}
	if len(p.Errors) > 0 {
		f.Message = strings.TrimPrefix(p.Errors[0].Location, "body.") + ": " + p.Errors[0].Message
	}
	return f
}

type companionParamsInput struct {
	Filename string            `query:"filename" required:"true" maxLength:"1024" example:"holiday.jpg"`
	Type     string            `query:"type" required:"true" example:"image/jpeg" doc:"Media type, without parameters."`
	Metadata map[string]string `query:"metadata,deepObject" doc:"Your own notes, each as metadata[name]. One that is named size is the file's size in bytes, which is signed then."`
}

type companionParamsOutput struct {
	Body struct {
		Method  string            `json:"method" enum:"POST,PUT"`
		URL     string            `json:"url" format:"uri" doc:"Where to send the file."`
		Fields  map[string]string `json:"fields" doc:"Of POST: the fields of the form, before the file. key is there for PUT, too."`
		Headers map[string]string `json:"headers,omitempty" doc:"Of PUT: to be sent exactly so."`
		Expires int               `json:"expires" doc:"Seconds."`
	}
}

// companionParams permits a form, or a PUT where the storage takes no forms. Nothing keeps either from being sent again;
// what protects the upload is the version that the pipeline pins.
func (s *server) companionParams(ctx context.Context, in *companionParamsInput) (*companionParamsOutput, error) {
	method := sagas.MethodPost
	if !s.objects.Supports(method) {
		method = sagas.MethodPut
	}
	d, err := s.companionDeclaration(ctx, in.Filename, in.Type, method, in.Metadata)
	if err != nil {
		return nil, err
	}
	u, permission, err := s.begin(ctx, d)
	if err != nil {
		return nil, err
	}
	out := &companionParamsOutput{}
	out.Body.Method, out.Body.URL, out.Body.Fields, out.Body.Headers = permission.Method, permission.URL, permission.Fields, permission.Headers
	if out.Body.Fields == nil {
		out.Body.Fields = map[string]string{"key": u.Key}
	}
	out.Body.Expires = secondsUntil(permission.ExpiresAt)
	return out, nil
}

func secondsUntil(t time.Time) int { return max(1, int(time.Until(t).Seconds())) }

type companionStartInput struct {
	Body struct {
		Filename string         `json:"filename" maxLength:"1024" example:"holiday.mp4"`
		Type     string         `json:"type" example:"video/mp4" doc:"Media type, without parameters."`
		Metadata map[string]any `json:"metadata,omitempty" doc:"Your own notes: texts, numbers and truth values. One that is named size is the file's size in bytes."`
	}
}

type companionStartOutput struct {
	Body struct {
		Key      string `json:"key" doc:"Names the file. The upload's id is between its slash and its dot."`
		UploadID string `json:"uploadId"`
	}
}

// companionStart begins an upload in as many parts as the client will send, of sizes that it chooses unless they are counted.
func (s *server) companionStart(ctx context.Context, in *companionStartInput) (*companionStartOutput, error) {
	d, err := s.companionDeclaration(ctx, in.Body.Filename, in.Body.Type, sagas.MethodMultipart, texts(in.Body.Metadata))
	if err != nil {
		return nil, err
	}
	u, err := s.startMultipart(ctx, d, d.cut())
	if err != nil {
		return nil, err
	}
	out := &companionStartOutput{}
	out.Body.Key, out.Body.UploadID = u.Key, u.Multipart.UploadID
	return out, nil
}

// fromOwnPage keeps a link on another page from beginning an upload: Companion's s3/params is a GET, and so the
// cookie's SameSite and the check of the origin do not.
func (s *server) fromOwnPage(ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	if _, ok := bearerToken(r); !ok && callOf(ctx.Context()).pass == "" {
		write := r.Clone(r.Context())
		write.Method = http.MethodPost
		if err := s.sameOrigin.Check(write); err != nil {
			s.refuse(ctx, crossOrigin.problem())
			return
		}
	}
	next(ctx)
}

// companionRoutes are the operations of Uppy's S3 plugin.
func (s *server) companionRoutes() {
	const upload = "/s3/multipart/{uploadId}"
	tags := []string{companionTag}
	gone := []kind{malformed, invalid, notFound, uploadSettled}

	register(s, huma.Operation{
		OperationID: "uppy-params", Method: http.MethodGet, Path: "/s3/params",
		Summary: "Ask for a form to upload a file by", Tags: tags, Security: uploaders, Middlewares: huma.Middlewares{s.notForHead, s.fromOwnPage},
		Description: "Uppy 5 takes this service's URL as its endpoint, Uppy 6 as its companionEndpoint; with a session or, Uppy 5 " +
			"alone, with a token in its headers. What becomes of the upload is at /v1/uploads/{id}, where the id is between the " +
			"slash and the dot of the key.",
	}, s.companionParams, invalid, typeNotAllowed, tooLarge, tooManyInFlight, passSpent, crossOrigin)

	register(s, huma.Operation{
		OperationID: "uppy-sign-request", Method: http.MethodPost, Path: "/s3/sign",
		Summary: "Ask where to send a request that S3 is to get", Tags: tags, Security: uploaders,
		Description: "For the signRequest of Uppy 6, which calls it once for each of its requests, with what the page adds of the " +
			"file. Those with bytes go to storage; those that begin, list, join and abort come here, by URLs that are good for " +
			"that alone and for a short time.",
	}, s.signRequest, malformed, invalid, typeNotAllowed, methodNotSupported, tooLarge, tooManyInFlight, passSpent, notFound, notMultipart,
		uploadSettled, bodyTooLarge, unsupportedBody, unavailable)

	register(s, huma.Operation{
		OperationID: "uppy-start", Method: http.MethodPost, Path: "/s3/multipart",
		Summary: "Begin an upload in parts", Tags: tags, Security: uploaders,
	}, s.companionStart, malformed, invalid, typeNotAllowed, tooLarge, tooManyInFlight, passSpent, bodyTooLarge, unsupportedBody, unavailable)

	register(s, huma.Operation{
		OperationID: "uppy-sign-part", Method: http.MethodGet, Path: upload + "/{number}",
		Summary: "Ask for permission to send a part", Tags: tags, Security: uploaders,
	}, s.companionSign, gone...)

	register(s, huma.Operation{
		OperationID: "uppy-sign-parts", Method: http.MethodGet, Path: upload + "/batch",
		Summary: "Ask for permission to send parts", Tags: tags, Security: uploaders,
	}, s.companionSignBatch, gone...)

	register(s, huma.Operation{
		OperationID: "uppy-list-parts", Method: http.MethodGet, Path: upload,
		Summary: "List the parts that have arrived", Tags: tags, Security: uploaders,
	}, s.companionParts, append(gone, unavailable)...)

	register(s, huma.Operation{
		OperationID: "uppy-complete", Method: http.MethodPost, Path: upload + "/complete", MaxBodyBytes: maxPartList,
		Summary: "Have the parts of a file joined", Tags: tags, Security: uploaders, Middlewares: huma.Middlewares{unhurried},
	}, s.companionComplete, malformed, invalid, notFound, notUploaded, uploadSettled, partOrder, partsMissing, partSizeMismatch,
		partETagMismatch, tooLarge, bodyTooLarge, unsupportedBody, unavailable)

	register(s, huma.Operation{
		OperationID: "uppy-abort", Method: http.MethodDelete, Path: upload,
		Summary: "Abort an upload in parts", Tags: tags, Security: uploaders,
	}, s.companionAbort, malformed, invalid, notFound, uploadSettled, unavailable)
}

// numbersOf reads part numbers as Companion lists them: 1,2,3.
func numbersOf(list string) ([]v1.WantedPart, error) {
	var wanted []v1.WantedPart
	for text := range strings.SplitSeq(list, ",") {
		number, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || len(wanted) == maxSignedParts {
			return nil, invalid.faulty([]v1.Fault{{
				Location: "query.partNumbers", Message: "must be at most " + strconv.Itoa(maxSignedParts) + " numbers with commas between them",
			}})
		}
		wanted = append(wanted, v1.WantedPart{Number: number})
	}
	return wanted, nil
}
