package api

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/swaggest/swgui/v5emb"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

const schemaPrefix = "#/components/schemas/"

// openAPI is the frame of the document.
func openAPI() huma.Config {
	c := huma.DefaultConfig(title, "1.0.0")
	c.Info.Description = "Permission to upload, and what became of it."
	c.Components.SecuritySchemes = securitySchemes()
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil
	c.Formats = map[string]huma.Format{"application/json": jsonFormat(), "json": jsonFormat()}
	c.AllowAdditionalPropertiesByDefault = true // answers may grow
	c.Transformers = []huma.Transformer{translate}
	return c
}

// describe serves the document, once every operation is in it, and its pages for people.
func (s *server) describe(mux *http.ServeMux) error {
	document := s.huma.OpenAPI()
	// What huma would answer with, if translate did not keep it from being sent.
	delete(document.Components.Schemas.Map(), "ErrorModel")
	delete(document.Components.Schemas.Map(), "ErrorDetail")

	asJSON, err := document.MarshalJSON()
	if err != nil {
		return fmt.Errorf("writing the openapi document: %w", err)
	}
	asYAML, err := document.YAML()
	if err != nil {
		return fmt.Errorf("writing the openapi document: %w", err)
	}
	mux.Handle("GET /openapi.json", s.static("application/openapi+json", asJSON))
	mux.Handle("GET /openapi.yaml", s.static("application/openapi+yaml", asYAML))
	mux.Handle("GET /docs/", v5emb.New(title, "/openapi.json", "/docs/"))
	return nil
}

func (s *server) static(contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		if _, err := w.Write(body); err != nil {
			s.log.DebugContext(r.Context(), "could not send the document", "error", err)
		}
	}
}

// eventStream describes the answers of an operation that streams uploads.
func (s *server) eventStream() map[string]*huma.Response {
	upload := s.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[v1.Upload](), true, "")
	return map[string]*huma.Response{
		"200": {Description: "Events as they come", Content: map[string]*huma.MediaType{"text/event-stream": {
			Schema: &huma.Schema{Type: huma.TypeString, Description: "Event stream; what the data of its events is when read as JSON is in contentSchema.",
				Extensions: map[string]any{"contentMediaType": "application/json", "contentSchema": upload}},
			Example: "retry: 2000\n\nevent: upload\nid: 3\ndata: {\"id\":\"019a…\",\"state\":\"verified\",\"version\":3,…}\n\n: heartbeat\n\n",
		}}},
		"204": {Description: "The client has seen the outcome."},
	}
}

// document adds the errors that an operation can end in to its description.
func (s *server) document(op *huma.Operation, fails []kind) {
	body, contentType, coded := reflect.TypeFor[v1.Problem](), "application/problem+json", true
	switch {
	case slices.Contains(op.Tags, simpleTag):
		body, contentType, coded = reflect.TypeFor[simpleFailure](), "application/json", false
	case slices.Contains(op.Tags, companionTag):
		body, contentType, coded = reflect.TypeFor[companionFailure](), "application/json", false
	}
	schema := s.huma.OpenAPI().Components.Schemas.Schema(body, true, "")
	if slices.Contains(op.Tags, s3Tag) {
		schema, contentType = &huma.Schema{Type: huma.TypeString, Description: "An Error of S3's with the code."}, xmlType
	}
	content := map[string]*huma.MediaType{contentType: {Schema: schema}}

	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	for _, k := range fails {
		status := strconv.Itoa(k.status)
		r, ok := op.Responses[status]
		switch {
		case !ok:
			r = &huma.Response{Description: http.StatusText(k.status), Content: content}
			op.Responses[status] = r
			if coded {
				r.Description += ": " + k.code
			}
		case coded:
			r.Description += ", " + k.code
		}
	}
	op.Responses["default"] = &huma.Response{Description: "Any other error", Content: content}
}
