package api

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

// contract is the OpenAPI document, as far as tests are made from it.
type contract struct {
	operations []operation
	examples   map[string]shown // those that operations share
	schemas    *jsonschema.Compiler

	mu       sync.Mutex
	compiled map[string]*jsonschema.Schema // by their places
}

// operation is one of the document's.
type operation struct {
	method, path string

	ID         string `json:"operationId"`
	Tags       []string
	Security   []map[string][]string
	Parameters []struct {
		Name, In string
		Required bool
		Schema   struct {
			Type     any
			Examples []json.RawMessage
		}
	}
	RequestBody *struct {
		Required bool
		Content  map[string]media
	}
	Responses map[string]struct{ Content map[string]media }
}

// media is a body in one content type.
type media struct {
	Example  json.RawMessage
	Examples map[string]shown
}

// shown is an example, or where it is.
type shown struct {
	Ref   string `json:"$ref"`
	Value json.RawMessage
}

// place is where the document has the operation.
func (o operation) place() string {
	return "openapi.json#/paths/" + pointer(o.path) + "/" + strings.ToLower(o.method)
}

// about says that the operation is about an upload that exists.
func (o operation) about() bool {
	return strings.Contains(o.path, "{") || slices.Contains([]string{"confirm-upload", "complete-multipart", "uppy-sign-request"}, o.ID)
}

// takesJSON says that the operation has a body, and that it is JSON.
func (o operation) takesJSON() bool {
	if o.RequestBody == nil {
		return false
	}
	_, ok := o.RequestBody.Content["application/json"]
	return ok
}

// matches says that path is one of the operation's.
func (o operation) matches(method, path string) bool {
	path, _, _ = strings.Cut(path, "?")
	want, got := strings.Split(o.path, "/"), strings.Split(path, "/")
	return method == o.method && slices.EqualFunc(want, got, func(want, got string) bool {
		return want == got || strings.HasPrefix(want, "{") && got != "" && got != "batch"
	})
}

// theContract is read from the committed document, which TestOpenAPI holds to what is served.
var theContract = sync.OnceValues(func() (*contract, error) {
	data, err := os.ReadFile("openapi.json")
	if err != nil {
		return nil, err
	}
	var document struct {
		Paths      map[string]map[string]operation
		Components struct{ Examples map[string]shown }
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	c := &contract{examples: document.Components.Examples, schemas: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
	c.schemas.AssertFormat()
	if err := c.schemas.AddResource("openapi.json", whole); err != nil {
		return nil, err
	}
	for path, methods := range document.Paths {
		for method, o := range methods {
			o.method, o.path = strings.ToUpper(method), path
			c.operations = append(c.operations, o)
		}
	}
	slices.SortFunc(c.operations, func(a, b operation) int { return strings.Compare(a.ID, b.ID) })
	return c, nil
})

func operations(t testing.TB) []operation {
	t.Helper()
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	return c.operations
}

// wantDocumented holds an answer to what the document says of it: its status, its content type and its body's schema.
func wantDocumented(t testing.TB, method, path string, res response) {
	t.Helper()
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(c.operations, func(o operation) bool { return o.matches(method, path) })
	if i < 0 || len(res.body) == 0 {
		return
	}
	o, status := c.operations[i], strconv.Itoa(res.status)
	if _, ok := o.Responses[status]; !ok {
		status = "default"
	}
	contentType, _, err := mime.ParseMediaType(res.header.Get("Content-Type"))
	if err != nil {
		t.Errorf("%s %s: content type %q: %v", method, path, res.header.Get("Content-Type"), err)
		return
	}
	if _, ok := o.Responses[status].Content[contentType]; !ok {
		t.Errorf("%s %s: %d in %s is not in the document: %s", method, path, res.status, contentType, res.body)
		return
	}
	if !strings.HasSuffix(contentType, "json") {
		return
	}
	if contentType == "application/problem+json" {
		o.wantCode(t, status, decode[v1.Problem](t, res.body).Code)
	}
	place := o.place() + "/responses/" + status + "/content/" + pointer(contentType) + "/schema"
	schema, err := c.schema(place)
	if err != nil {
		t.Fatal(err)
	}
	body, err := jsonschema.UnmarshalJSON(bytes.NewReader(res.body))
	if err == nil {
		err = schema.Validate(body)
	}
	if err != nil {
		t.Errorf("%s %s: %d %s is not as documented: %v", method, path, res.status, res.body, err)
	}
}

// wantCode expects a code that the document has for that status, or for any.
func (o operation) wantCode(t testing.TB, status, code string) {
	t.Helper()
	for _, status := range []string{status, "default"} {
		if _, ok := o.Responses[status].Content["application/problem+json"].Examples[code]; ok {
			return
		}
	}
	t.Errorf("%s: %s %s is not in the document", o.ID, status, code)
}

func (c *contract) schema(place string) (*jsonschema.Schema, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.compiled[place]; ok {
		return s, nil
	}
	s, err := c.schemas.Compile(place)
	c.compiled[place] = s
	return s, err
}

// pointer escapes a token of a JSON pointer (RFC 6901) in a fragment.
func pointer(token string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(token)
}

// wantRefused holds a refusal to the form that the operation's clients know, whatever its code.
func wantRefused(t testing.TB, o operation, res response, status int) {
	t.Helper()
	switch {
	case slices.Contains(o.Tags, simpleTag):
		if status == http.StatusNotFound {
			status = http.StatusBadRequest // all that its clients know
		}
		wantSimpleError(t, res, status, "")
	case slices.Contains(o.Tags, companionTag):
		wantMessage(t, res, status)
	case slices.Contains(o.Tags, s3Tag):
		wantS3Error(t, res, status)
	default:
		wantProblem(t, res, status, decode[struct {
			Code, Title, Detail, RequestID string
			Status                         int
			Errors                         any
		}](t, bytes.ReplaceAll(res.body, []byte("request_id"), []byte("RequestID"))).Code)
	}
}
