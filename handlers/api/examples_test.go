package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sluice-media/sluice/sagas"
)

// The upload that the examples are about.
const (
	exampleID       = "0199e0a2-7c1f-7d3a-9b1e-2f6a5c8d4e10"
	exampleKey      = "uploads/" + exampleID + ".jpg"
	exampleUploadID = "2~Zq8bVtL0kXcM4rW7yN1sHd"
	exampleETag     = "9b2cf535f27731c974343645a3985328"
	examplePass     = "7gqk2m4xw5tzc3vd"
)

// about puts a subject in the place of the examples' upload.
func (u subject) in(text string) string {
	return strings.NewReplacer(exampleKey, u.key, exampleID, u.id, exampleUploadID, u.uploadID, exampleETag, u.etag, examplePass, u.pass).Replace(text)
}

// call is the request of an example: with all parameters of which there is one, or only those that are required.
func (o operation) call(t testing.TB, u subject, name string, all bool) (path, body string, headers []string) {
	t.Helper()
	path = o.path
	query := url.Values{}
	for _, p := range o.Parameters {
		if len(p.Schema.Examples) == 0 {
			if p.Required {
				t.Errorf("%s has no example of %s", o.ID, p.Name)
			}
			continue
		}
		if !p.Required && !all {
			continue
		}
		value := u.in(asParameter(t, p.Schema.Examples[0]))
		switch p.In {
		case "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(value))
		case "query":
			query.Set(p.Name, value)
		case "header":
			headers = append(headers, p.Name, value)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	if o.RequestBody == nil {
		return path, "", headers
	}
	e, ok := o.requestBody().Examples[name]
	if !ok {
		t.Fatalf("%s has no example %q of a request", o.ID, name)
	}
	if !o.takesJSON() {
		return path, u.in(asParameter(t, e.Value)), append(headers, "Content-Type", xmlType)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, e.Value); err != nil {
		t.Fatal(err)
	}
	return path, u.in(line.String()), headers
}

// asParameter is a JSON value as a parameter has it.
func asParameter(t testing.TB, value json.RawMessage) string {
	t.Helper()
	var text string
	if value[0] != '"' {
		return string(value)
	}
	if err := json.Unmarshal(value, &text); err != nil {
		t.Fatal(err)
	}
	return text
}

// success is the status of a good answer with a body, or without one if the operation has no other.
func (o operation) success() int {
	for _, status := range []int{http.StatusOK, http.StatusCreated, http.StatusNoContent} {
		if _, ok := o.Responses[strconv.Itoa(status)]; ok {
			return status
		}
	}
	return 0
}

// requests are the names of the examples of an operation's requests; without a body it has one all the same.
func (o operation) requests() (names []string) {
	if o.RequestBody == nil {
		return []string{""}
	}
	for name := range o.requestBody().Examples {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// requestBody is the only body that the operation takes.
func (o operation) requestBody() (m media) {
	for _, m = range o.RequestBody.Content {
	}
	return m
}

// credential is a good one for the operation.
func (b *testBundle) credential(o operation) []string {
	b.t.Helper()
	if !accepts(o.Security, bearerScheme) && accepts(o.Security, passScheme) {
		return b.as(b.issue(anyPass).Token)
	}
	return b.as(b.token)
}

// finished moves the subject to ready, at the version that the examples have.
func (b *testBundle) finished(u subject) {
	b.t.Helper()
	line := []sagas.State{sagas.Initiated, sagas.Uploaded, sagas.Verified, sagas.Clean, sagas.Processed, sagas.Ready}
	for i := range line[1:] {
		b.advance(u.id, line[i], line[i+1], sagas.Facts{}, sagas.Reason{})
	}
}

// Every request that the document shows is taken and answered as it says.
func TestExamples(t *testing.T) {
	b := newTestBundle(t)
	for _, o := range operations(t) {
		if len(o.requests()) == 0 {
			t.Errorf("%s has no example of a request", o.ID)
		}
		for _, name := range o.requests() {
			t.Run(o.ID+"/"+name, func(t *testing.T) {
				b := b.of(t)
				b.token = token(t, "acme", o.ID+"/"+name) // under whom no idempotency key was used yet
				u := b.subject()
				switch o.ID {
				case "show-upload", "stream-upload":
					b.finished(u)
				case "confirm-upload":
					b.call("POST", "/v1/uploads/"+u.id+"/complete", "", b.as(b.token)...)
				}
				path, body, headers := o.call(t, u, name, true)
				res := b.answers(o, path, body, append(headers, b.credential(o)...)...)
				if res.status != o.success() {
					t.Errorf("%s %s %s: %d %s, want %d", o.method, path, body, res.status, res.body, o.success())
				}
			})
		}
	}
}

// Whatever the document shows as an answer or a request is as its schema says.
func TestExamplesAreOfTheirSchemas(t *testing.T) {
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range c.operations {
		if o.RequestBody != nil {
			for contentType, m := range o.RequestBody.Content {
				c.wantExamples(t, o, "requestBody", contentType, m)
			}
		}
		for status, r := range o.Responses {
			for contentType, m := range r.Content {
				c.wantExamples(t, o, "responses/"+status, contentType, m)
			}
		}
	}
}

func (c *contract) wantExamples(t *testing.T, o operation, place, contentType string, m media) {
	t.Helper()
	values := map[string]json.RawMessage{}
	for name, e := range m.Examples {
		values[name] = e.Value
		if e.Ref != "" {
			values[name] = c.examples[strings.TrimPrefix(e.Ref, examplePrefix)].Value
		}
	}
	place = "/" + place + "/content/" + pointer(contentType) + "/schema"
	if contentType == "text/event-stream" {
		_, data, _ := strings.Cut(asParameter(t, m.Example), "\ndata: ")
		data, _, _ = strings.Cut(data, "\n")
		values["event"], place = json.RawMessage(data), place+"/contentSchema"
	}
	if len(values) == 0 {
		t.Errorf("%s%s has no example", o.ID, place)
	}
	schema, err := c.schema(o.place() + place)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range values {
		body, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
		if err == nil {
			err = schema.Validate(body)
		}
		if err != nil {
			t.Errorf("%s%s: the example %s: %v", o.ID, place, name, err)
		}
	}
}

// No example is left out because nothing has its name.
func TestExamplesHaveOperations(t *testing.T) {
	all, err := readExamples()
	if err != nil {
		t.Fatal(err)
	}
	for id := range all {
		if !slices.ContainsFunc(operations(t), func(o operation) bool { return o.ID == id }) {
			t.Errorf("there is no operation %s", id)
		}
	}
}

// The document is one of OpenAPI 3.1, as others read it.
func TestTheDocumentIsOpenAPI(t *testing.T) {
	data, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := libopenapi.NewDocument(data)
	if err != nil {
		t.Fatal(err)
	}
	if v := document.GetVersion(); !strings.HasPrefix(v, "3.1.") {
		t.Errorf("it is of version %s", v)
	}
	v, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if valid, errs := v.ValidateDocument(); !valid {
		for _, e := range errs {
			t.Error(e)
		}
	}
}
