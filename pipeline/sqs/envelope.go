package sqs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
)

// envelope is a message as it lies in an SQS body. Metadata travels here and not in SQS message attributes, of which
// there can be ten at most. A payload that is compact JSON stays readable; any other travels as base64, so that what
// comes out is, byte for byte, what went in. Exactly one of the two is present.
type envelope struct {
	ID       string            `json:"id"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Payload  json.RawMessage   `json:"payload,omitzero"`
	Base64   []byte            `json:"payload_base64,omitzero"`
}

// noncharacters are the two that JSON and UTF-8 allow unescaped and an SQS body does not.
// See MessageBody in the API reference of SendMessage.
var noncharacters = []struct{ raw, escaped []byte }{
	{[]byte("\uFFFE"), []byte(`\ufffe`)},
	{[]byte("\uFFFF"), []byte(`\uffff`)},
}

// encodeBody returns the SQS body of msg. What the transport itself put into the metadata when it received msg stays out.
func encodeBody(msg *message.Message) (string, error) {
	e := envelope{ID: msg.UUID, Metadata: sendableMetadata(msg.Metadata)}
	if travelsAsJSON(msg.Payload) {
		e.Payload = json.RawMessage(msg.Payload)
	} else {
		e.Base64 = append([]byte{}, msg.Payload...) // not nil, even when empty
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		return "", fmt.Errorf("encode message %s: %w", msg.UUID, err)
	}
	encoded := bytes.TrimSuffix(body.Bytes(), []byte("\n"))
	for _, n := range noncharacters {
		encoded = bytes.ReplaceAll(encoded, n.raw, n.escaped)
	}
	return string(encoded), nil
}

// travelsAsJSON reports whether payload would leave an envelope exactly as it entered.
func travelsAsJSON(payload []byte) bool {
	var compact bytes.Buffer
	if !utf8.Valid(payload) || json.Compact(&compact, payload) != nil || !bytes.Equal(compact.Bytes(), payload) {
		return false
	}
	for _, n := range noncharacters {
		if bytes.Contains(payload, n.raw) {
			return false
		}
	}
	return true
}

// decodeBody returns the message in an SQS body. A body that is no envelope, such as an S3 event notification, is
// itself the payload, and the message then has the id of the SQS message that brought it.
func decodeBody(body, sqsMessageID string) *message.Message {
	if id, payload, ok := parsePlain(body); ok {
		return message.NewMessage(id, payload)
	}
	if e, ok := parseEnvelope(body); ok {
		payload := e.Base64
		if e.Payload != nil {
			payload = e.Payload
		}
		msg := message.NewMessage(e.ID, payload)
		for key, value := range sendableMetadata(e.Metadata) {
			msg.Metadata.Set(key, value)
		}
		return msg
	}
	return message.NewMessage(sqsMessageID, []byte(body))
}

// parsePlain reports whether body is an envelope exactly as encodeBody writes most of them, without metadata and with
// a payload of JSON, and what is in it. It is there for speed: parseEnvelope finds the same.
func parsePlain(body string) (id string, payload []byte, ok bool) {
	rest, begins := strings.CutPrefix(body, `{"id":"`)
	id, rest, _ = strings.Cut(rest, `","payload":`)
	rest, ends := strings.CutSuffix(rest, `}`)
	if !begins || !ends || id == "" || rest == "" || strings.ContainsFunc(id, mayNeedDecoding) || rest[0] <= ' ' || rest[len(rest)-1] <= ' ' {
		return "", nil, false
	}
	payload = []byte(rest)
	return id, payload, json.Valid(payload)
}

// mayNeedDecoding reports whether a character of a JSON string might stand for another one.
func mayNeedDecoding(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }

// parseEnvelope reports whether body is an envelope and nothing else: a JSON object with an id, one payload and no
// field of anyone else's.
func parseEnvelope(body string) (envelope, bool) {
	var e envelope
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&e) != nil {
		return envelope{}, false
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return envelope{}, false
	}
	return e, e.ID != "" && (e.Payload == nil) != (e.Base64 == nil)
}
