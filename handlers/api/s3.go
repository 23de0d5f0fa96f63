package api

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// s3Tag marks the operations that S3 has, too, and answers in XML. Uppy 6 comes to them by the URLs of sign-request.
const s3Tag = "s3"

// s3Operation is one of them.
type s3Operation struct{ id, method, pattern string }

const s3Upload = "/s3/uploads/{id}"

var (
	s3Create   = s3Operation{"s3-create-multipart", http.MethodPost, s3Upload}
	s3List     = s3Operation{"s3-list-parts", http.MethodGet, s3Upload}
	s3Complete = s3Operation{"s3-complete-multipart", http.MethodPost, s3Upload + "/complete"}
	s3Abort    = s3Operation{"s3-abort-multipart", http.MethodDelete, s3Upload}
)

func (o s3Operation) path(id string) string { return strings.Replace(o.pattern, "{id}", id, 1) }

// The shapes of S3's answers, as far as a client needs them.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
type (
	s3Created struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
		Bucket   string
		Key      string
		UploadID string `xml:"UploadId"`
	}

	s3Parts struct {
		XMLName     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
		Bucket      string
		Key         string
		UploadID    string `xml:"UploadId"`
		IsTruncated bool
		Parts       []s3Part `xml:"Part"`
	}

	s3Part struct {
		PartNumber int
		ETag       string
		Size       int64 `xml:",omitempty"` // bytes
	}

	s3Completion struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Parts   []s3Part `xml:"Part"`
	}

	s3Completed struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
		Location string
		Bucket   string
		Key      string
		ETag     string `xml:",omitempty"`
	}

	// s3Failure has the code of the problem, which Uppy shows, where S3 has one of its own.
	s3Failure struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		RequestID string `xml:"RequestId"`
	}
)

func s3Error(p *problem) s3Failure {
	return s3Failure{Code: p.Code, Message: companionError(p).Message, RequestID: p.RequestID}
}

type s3Input struct {
	ID string `path:"id" example:"0199e0a2-7c1f-7d3a-9b1e-2f6a5c8d4e10" doc:"The upload's id."`
}

type s3CompleteInput struct {
	ID string `path:"id" example:"0199e0a2-7c1f-7d3a-9b1e-2f6a5c8d4e10" doc:"The upload's id."`

	body []byte // for huma, a body that is missing would be an error in JSON
}

// Resolve implements huma.Resolver.
func (in *s3CompleteInput) Resolve(ctx huma.Context) []error {
	body, err := io.ReadAll(ctx.BodyReader())
	if err != nil {
		return []error{err}
	}
	in.body = body
	return nil
}

// s3Output is an answer in XML, or an error in XML: huma writes neither.
type s3Output struct {
	Status      int
	ContentType string `header:"Content-Type"`
	Body        []byte
}

// s3Routes are the operations that sign-request hands out URLs of.
func (s *server) s3Routes() {
	gone := []kind{notFound, notMultipart, uploadSettled}
	registerS3(s, s3Create, http.StatusOK, "Learn what an upload in parts is called", s.s3Create, gone...)
	registerS3(s, s3List, http.StatusOK, "List the parts that have arrived", s.s3List, append(gone, unavailable)...)
	registerS3(s, s3Complete, http.StatusOK, "Have the parts of a file joined", s.s3Complete, append(gone, malformed, invalid,
		notUploaded, partOrder, partsMissing, partSizeMismatch, partETagMismatch, tooLarge, bodyTooLarge, unavailable)...)
	registerS3(s, s3Abort, http.StatusNoContent, "Abort an upload in parts", s.s3Abort, append(gone, unavailable)...)
}

// registerS3 adds an operation whose answers are XML; handle returns what to write, or nil for nothing.
func registerS3[I any](s *server, o s3Operation, status int, summary string, handle func(context.Context, *I) (any, error), fails ...kind) {
	answer := &huma.Response{Description: http.StatusText(status)}
	if status != http.StatusNoContent {
		answer.Content = map[string]*huma.MediaType{xmlType: {Schema: &huma.Schema{Type: huma.TypeString, Description: "As S3 answers."}}}
	}
	op := huma.Operation{
		OperationID: o.id, Method: o.method, Path: o.pattern, Summary: summary, Tags: []string{s3Tag}, Security: holders,
		DefaultStatus: status,
		Responses:     map[string]*huma.Response{strconv.Itoa(status): answer},
	}
	if o == s3Complete {
		op.MaxBodyBytes, op.Middlewares = maxPartList, huma.Middlewares{unhurried}
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{xmlType: {
			Schema: &huma.Schema{Type: huma.TypeString, Description: "CompleteMultipartUpload, as S3 takes it."},
		}}}
	}
	register(s, op, func(ctx context.Context, in *I) (*s3Output, error) {
		body, err := handle(ctx, in)
		if err != nil {
			return s.s3Refusal(ctx, err)
		}
		if body == nil {
			return &s3Output{Status: status}, nil
		}
		return s3Answer(status, body)
	}, fails...)
	if status == http.StatusNoContent {
		answer.Content = nil // which huma has found in s3Output
	}
}

const xmlType = "application/xml"

func s3Answer(status int, body any) (*s3Output, error) {
	var out bytes.Buffer
	if err := encodeXML(&out, body); err != nil {
		return nil, err
	}
	return &s3Output{Status: status, ContentType: xmlType, Body: out.Bytes()}, nil
}

func (s *server) s3Refusal(ctx context.Context, err error) (*s3Output, error) {
	p := s.explain(ctx, err)
	p.RequestID = callOf(ctx).requestID
	return s3Answer(p.Status, s3Error(p))
}

func encodeXML(w io.Writer, body any) error {
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	return xml.NewEncoder(w).Encode(body)
}

// s3Create tells the name of an upload that sign-request has begun, and so it may be asked again.
func (s *server) s3Create(ctx context.Context, in *s3Input) (any, error) {
	u, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := takesParts(u); err != nil {
		return nil, err
	}
	return s3Created{Bucket: u.Bucket, Key: u.Key, UploadID: u.Multipart.UploadID}, nil
}

// s3List has all parts on its only page.
func (s *server) s3List(ctx context.Context, in *s3Input) (any, error) {
	u, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	stored, err := s.storedParts(ctx, u)
	if err != nil {
		return nil, err
	}
	list := s3Parts{Bucket: u.Bucket, Key: u.Key, UploadID: u.Multipart.UploadID}
	for _, p := range stored {
		list.Parts = append(list.Parts, s3Part{PartNumber: p.Number, ETag: quoted(p.ETag), Size: p.Size})
	}
	return list, nil
}

func (s *server) s3Complete(ctx context.Context, in *s3CompleteInput) (any, error) {
	parts, err := decodeCompletion(in.body)
	if err != nil {
		return nil, err
	}
	u, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	u, err = s.completeListed(ctx, u, parts)
	if err != nil {
		return nil, err
	}
	done := s3Completed{Location: s.config.mediaURL(u.Key), Bucket: u.Bucket, Key: u.Key}
	if u.ETag != "" {
		done.ETag = quoted(u.ETag)
	}
	return done, nil
}

func (s *server) s3Abort(ctx context.Context, in *s3Input) (any, error) {
	u, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if u.Method != sagas.MethodMultipart {
		return nil, notMultipart.problem()
	}
	return nil, s.abort(ctx, u)
}

// decodeCompletion reads the list of parts that a client has sent; what is wrong with their numbers is for those to say
// who know the upload.
func decodeCompletion(body []byte) ([]companionPart, error) {
	var list s3Completion
	decoder := xml.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&list); err != nil {
		return nil, malformed.because("The body of the request is not a CompleteMultipartUpload.")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed.because("Something follows the CompleteMultipartUpload.")
	}
	if len(list.Parts) == 0 || len(list.Parts) > storage.MaxParts {
		return nil, invalid.because("The list must have 1 to %d parts.", storage.MaxParts)
	}
	parts := make([]companionPart, len(list.Parts))
	for i, p := range list.Parts {
		parts[i] = companionPart{PartNumber: p.PartNumber, ETag: p.ETag}
	}
	return parts, nil
}
