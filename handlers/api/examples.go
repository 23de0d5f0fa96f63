package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// example is a good request of an operation and what it may be answered with. They are all about the same upload.
type example struct {
	Summary  string          `json:"summary"`
	Request  json.RawMessage `json:"request"` // left out where the operation takes no body
	Status   int             `json:"status"`  // of the answer; 0: the operation's own
	Response json.RawMessage `json:"response"`
}

//go:embed examples.json
var examplesJSON []byte

// readExamples returns the examples of each operation by their names. One of the name least says no more than it has to.
func readExamples() (all map[string]map[string]example, err error) {
	d := json.NewDecoder(bytes.NewReader(examplesJSON))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("reading the examples: %w", err)
	}
	return all, nil
}

// illustrate puts the examples into the operation's description, which huma completes.
func (s *server) illustrate(op *huma.Operation) {
	for name, e := range s.examples[op.OperationID] {
		if e.Request != nil {
			if op.RequestBody == nil {
				op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{}}
			}
			exemplify(op.RequestBody.Content, name, e.Summary, e.Request)
		}
		status := firstOf(firstOf(e.Status, op.DefaultStatus), http.StatusOK)
		if e.Response != nil {
			exemplify(responseOf(op, status).Content, name, e.Summary, e.Response)
		}
	}
}

// oneLine is the same JSON without line breaks.
func oneLine(data json.RawMessage) string {
	var out bytes.Buffer
	if err := json.Compact(&out, data); err != nil {
		return "" // it was read as JSON
	}
	return out.String()
}

// responseOf is the operation's description of its answers of that status.
func responseOf(op *huma.Operation, status int) *huma.Response {
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	key := strconv.Itoa(status)
	r, ok := op.Responses[key]
	if !ok {
		r = &huma.Response{}
		op.Responses[key] = r
	}
	if r.Content == nil {
		r.Content = map[string]*huma.MediaType{}
	}
	return r
}

func exemplify(content map[string]*huma.MediaType, name, summary string, value json.RawMessage) {
	contentType := "application/json"
	if value[0] == '"' { // a text, which is XML
		contentType = xmlType
	}
	m, ok := content[contentType]
	if !ok {
		m = &huma.MediaType{}
		content[contentType] = m
	}
	if m.Examples == nil {
		m.Examples = map[string]*huma.Example{}
	}
	m.Examples[name] = &huma.Example{Summary: summary, Value: value}
}
