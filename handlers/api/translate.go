package api

import (
	"encoding/json"
	"io"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

// ofStatus is what huma's own errors are, by their status.
var ofStatus = map[int]kind{
	malformed.status:       malformed,
	invalid.status:         invalid,
	unsupportedBody.status: unsupportedBody,
}

// translate is the huma.Transformer that gives errors their final form.
func translate(ctx huma.Context, _ string, body any) (any, error) {
	switch e := body.(type) {
	case *huma.ErrorModel:
		return final(ctx, fromHuma(e)), nil
	case *problem:
		return final(ctx, e), nil
	}
	return body, nil
}

// final is the body that tells the client of p.
func final(ctx huma.Context, p *problem) any {
	p.RequestID = callOf(ctx.Context()).requestID
	body, contentType := spoken(ctx.Operation().Tags, p)
	ctx.SetHeader("Content-Type", contentType)
	return body
}

// spoken is a problem as the clients of an operation with these tags know errors.
func spoken(tags []string, p *problem) (body any, contentType string) {
	switch {
	case slices.Contains(tags, simpleTag):
		return simpleError(p), "application/json"
	case slices.Contains(tags, companionTag):
		return companionError(p), "application/json"
	case slices.Contains(tags, s3Tag):
		return s3Error(p), xmlType
	default:
		return p.Problem, p.ContentType("")
	}
}

// encode writes a body that is spoken.
func encode(w io.Writer, body any) error {
	if failure, ok := body.(s3Failure); ok {
		return encodeXML(w, failure)
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(body)
}

func fromHuma(e *huma.ErrorModel) *problem {
	k, ok := ofStatus[e.Status]
	if !ok {
		k = internal
	}
	p := k.problem()
	if !ok {
		return p
	}
	if len(e.Errors) == 0 {
		p.Detail = e.Detail
	}
	for _, d := range e.Errors {
		p.Errors = append(p.Errors, v1.Fault{Location: d.Location, Message: d.Message, Value: short(d.Value)})
	}
	return p
}

// short keeps what is worth echoing.
func short(v any) any {
	switch v := v.(type) {
	case bool, float64, int64:
		return v
	case string:
		if len(v) <= 100 {
			return v
		}
	}
	return nil
}
