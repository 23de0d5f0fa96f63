package api

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/swaggest/swgui/v5emb"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

const (
	schemaPrefix  = "#/components/schemas/"
	examplePrefix = "#/components/examples/"
	problems      = "problem" // the dialect that tells codes
)

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
			Example: "retry: 2000\n\nevent: upload\nid: 6\ndata: " + oneLine(s.examples["show-upload"]["ready"].Response) + "\n\n: heartbeat\n\n",
		}}},
		"204": {Description: "The client has seen the outcome."},
	}
}

// anywhere are the errors that any operation can end in, and any path.
var anywhere = []kind{malformed, invalid, bodyTooLarge, unsupportedBody, methodNotAllowed, bodyTimeout, internal, unavailable}

// document adds the errors that an operation can end in to its description.
func (s *server) document(op *huma.Operation, fails []kind) {
	d := s.dialectOf(op.Tags)
	for _, k := range fails {
		r := responseOf(op, d.statusOf(k))
		if r.Description == "" {
			r.Description = http.StatusText(d.statusOf(k))
		}
		d.mention(r, k)
	}
	other := &huma.Response{Description: "Any other error", Content: map[string]*huma.MediaType{}}
	for _, k := range anywhere {
		d.mention(other, k)
	}
	op.Responses["default"] = other
}

var xmlError = &huma.Schema{Type: huma.TypeString, Description: "An Error of S3's with the code."}

// dialect is how the clients of an operation know errors.
type dialect struct {
	name        string
	contentType string
	schema      *huma.Schema
	tags        []string
	components  *huma.Components
}

func (s *server) dialectOf(tags []string) dialect {
	d := dialect{name: problems, tags: tags, components: s.huma.OpenAPI().Components}
	body, contentType := spoken(tags, internal.problem())
	d.contentType, d.schema = contentType, xmlError
	if contentType != xmlType {
		d.schema = d.components.Schemas.Schema(reflect.TypeOf(body), true, "")
	}
	for _, tag := range []string{simpleTag, companionTag, s3Tag} {
		if slices.Contains(tags, tag) {
			d.name = tag
		}
	}
	return d
}

// statusOf is the status by which the dialect knows an error.
func (d dialect) statusOf(k kind) int {
	if d.name == simpleTag && k.status == http.StatusUnprocessableEntity {
		return http.StatusBadRequest
	}
	return k.status
}

// mention adds an error to the description of a response, with an example that all operations share.
func (d dialect) mention(r *huma.Response, k kind) {
	m, ok := r.Content[d.contentType]
	if !ok {
		m = &huma.MediaType{Schema: d.schema, Examples: map[string]*huma.Example{}}
		r.Content[d.contentType] = m
	}
	if _, ok := m.Examples[k.code]; ok {
		return
	}
	switch {
	case d.name != problems: // its clients get no code
	case len(m.Examples) == 0:
		r.Description += ": " + k.code
	default:
		r.Description += ", " + k.code
	}
	name := fmt.Sprintf("%s.%d.%s", d.name, k.status, k.code)
	if d.components.Examples == nil {
		d.components.Examples = map[string]*huma.Example{}
	}
	if _, ok := d.components.Examples[name]; !ok {
		p := k.problem()
		if k == invalid {
			p.Errors = []v1.Fault{{Location: "body.size", Message: "expected number >= 1", Value: 0}}
		}
		d.components.Examples[name] = &huma.Example{Value: d.written(p)}
	}
	m.Examples[k.code] = &huma.Example{Ref: examplePrefix + name}
}

// written is the body of an error as the document shows it: XML as text.
func (d dialect) written(p *problem) any {
	body, contentType := spoken(d.tags, p)
	if contentType != xmlType {
		return body
	}
	var text strings.Builder
	_ = encode(&text, body) // a builder takes everything
	return text.String()
}
