package api

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Names are compared exactly when a body is read, and so they have to be when huma checks it. Its switch is for the whole
// process and not for an API.
func init() { huma.ValidateStrictCasing = true }

// jsonFormat reads what RFC 8259 leaves open as RFC 7493 (I-JSON) says, so that no two readers take a body for different
// things: no name twice, no name in another case, UTF-8 alone, one value and nothing after it. It explains mistakes in
// the client's terms.
func jsonFormat() huma.Format {
	return huma.Format{
		Marshal:   huma.DefaultJSONFormat.Marshal,
		Unmarshal: func(data []byte, v any) error { return explained(json.Unmarshal(data, v)) },
	}
}

// explained says of an error of reading JSON what is wrong, and where, but not with what Go type.
func explained(err error) error {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return at(syntax.JSONPointer, fmt.Errorf("cannot be read as JSON: %w", grammar(syntax.Err)))
	}
	if mismatch, ok := errors.AsType[*json.SemanticError](err); ok {
		return at(mismatch.JSONPointer, fmt.Errorf("a %s such as this is not taken", mismatch.JSONKind))
	}
	return err
}

func grammar(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it breaks off")
	}
	return err
}

// at names the place in the body, unless it is the whole of it or too long to be of help.
func at(place jsontext.Pointer, err error) error {
	const longest = 100
	if place == "" || len(place) > longest {
		return err
	}
	return fmt.Errorf("%s: %w", strings.ToValidUTF8(string(place), "?"), err)
}
