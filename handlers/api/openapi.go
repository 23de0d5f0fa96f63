package api

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

const schemaPrefix = "#/components/schemas/"

// openAPI is the frame of the document.
func openAPI() huma.Config {
	c := huma.DefaultConfig(title, "1.0.0")
	c.Info.Description = "Permission to upload, and what became of it."
	c.Components.SecuritySchemes = securitySchemes()
	c.DocsPath, c.SchemasPath = "", ""
	c.CreateHooks = nil
	c.Formats = map[string]huma.Format{"application/json": jsonFormat(), "json": jsonFormat()}
	c.Transformers = []huma.Transformer{translate}
	return c
}

// document adds the errors that an operation can end in to its description.
func (s *server) document(op *huma.Operation, fails []kind) {
	body, contentType := reflect.TypeFor[v1.Problem](), "application/problem+json"
	if slices.Contains(op.Tags, articleTag) {
		body, contentType = reflect.TypeFor[articleFailure](), "application/json"
	}
	schema := s.huma.OpenAPI().Components.Schemas.Schema(body, true, "")
	content := map[string]*huma.MediaType{contentType: {Schema: schema}}

	codes := map[int][]string{}
	for _, k := range fails {
		codes[k.status] = append(codes[k.status], k.code)
	}
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	for status, list := range codes {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: strings.Join(list, ", "), Content: content}
	}
	op.Responses["default"] = &huma.Response{Description: "Any other error", Content: content}
}

// withoutUnused removes the error types of huma's own, which translate keeps from ever being sent.
func (s *server) withoutUnused() {
	schemas := s.huma.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
}
