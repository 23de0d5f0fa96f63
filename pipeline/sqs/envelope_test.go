package sqs

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
)

func TestEnvelopeRoundTrip(t *testing.T) {
	for name, payload := range map[string]string{
		"object":             `{"upload_id":"1","n":[1,2.50,null,true]}`,
		"html characters":    `{"a":"<&>"}`,
		"string":             `"text"`,
		"null":               `null`,
		"empty":              ``,
		"spaced JSON":        "{ \"a\": 1 }\n",
		"text":               `hello`,
		"bytes":              "\x00\xff\xfe",
		"broken UTF-8":       "\"\xff\"",
		"noncharacter":       "{\"a\":\"\uFFFE\uFFFF\"}",
		"line separator":     "{\"a\":\"\u2028\"}",
		"envelope lookalike": `{"id":"x","payload":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			sent := message.NewMessage("some-id", []byte(payload))
			sent.Metadata.Set("traceparent", "00-<>&-\uFFFE")
			body, err := encodeBody(sent)
			if err != nil {
				t.Fatal(err)
			}
			if got := decodeBody(body, "sqs-id"); !got.Equals(sent) {
				t.Errorf("got %q %v %q from body %s", got.UUID, got.Metadata, got.Payload, body)
			}
		})
	}
}

func TestEnvelopeKeepsJSONReadable(t *testing.T) {
	msg := message.NewMessage("m1", []byte(`{"upload_id":"u1"}`))
	msg.Metadata.Set("attempt", "2")
	body, err := encodeBody(msg)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"id":"m1","metadata":{"attempt":"2"},"payload":{"upload_id":"u1"}}`; body != want {
		t.Errorf("body is %s, want %s", body, want)
	}
}

func TestBodyThatIsNoEnvelopeIsThePayload(t *testing.T) {
	for name, body := range map[string]string{
		"S3 event":         `{"Records":[{"eventName":"ObjectCreated:Put"}]}`,
		"S3 test event":    `{"Service":"Amazon S3","Event":"s3:TestEvent"}`,
		"no id":            `{"payload":{}}`,
		"no payload":       `{"id":"x","metadata":{}}`,
		"two payloads":     `{"id":"x","payload":1,"payload_base64":"AA=="}`,
		"a field too many": `{"id":"x","payload":1,"Records":[]}`,
		"broken base64":    `{"id":"x","payload_base64":"***"}`,
		"trailing text":    `{"id":"x","payload":1}}`,
		"text":             `hello`,
		"empty":            ``,
	} {
		t.Run(name, func(t *testing.T) {
			msg := decodeBody(body, "sqs-id")
			if msg.UUID != "sqs-id" || string(msg.Payload) != body || len(msg.Metadata) != 0 {
				t.Errorf("got %q %v %q", msg.UUID, msg.Metadata, msg.Payload)
			}
		})
	}
}

func TestTransportMetadataNeitherLeavesNorEnters(t *testing.T) {
	received := message.NewMessage("m1", []byte(`{}`))
	for _, key := range []string{MetadataReceiveCount, MetadataSentTimestamp, MetadataMessageID} {
		received.Metadata.Set(key, "7")
	}
	body, err := encodeBody(received)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(body, "7") {
		t.Errorf("body %s tells of the message's previous journey", body)
	}
	forged := decodeBody(`{"id":"m1","metadata":{"`+MetadataReceiveCount+`":"99"},"payload":{}}`, "sqs-id")
	if got := ReceiveCount(forged); got != 0 {
		t.Errorf("an envelope set the receive count to %d", got)
	}
}

func FuzzDecodeBody(f *testing.F) {
	f.Add(`{"id":"m1","metadata":{"attempt":"2"},"payload":{"upload_id":"u1"}}`)
	f.Add(`{"id":"m1","payload_base64":"AP8="}`)
	f.Add(`{"Records":[{"s3":{"object":{"key":"uploads/a+b"}}}]}`)
	f.Add(`{"id":"m1","payload":null} `)
	f.Fuzz(func(t *testing.T, body string) {
		msg := decodeBody(body, "sqs-id")
		again, err := encodeBody(msg)
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		if got := decodeBody(again, "other"); !got.Equals(msg) {
			t.Errorf("%q decodes to %v %q, which comes back as %v %q", body, msg.Metadata, msg.Payload, got.Metadata, got.Payload)
		}
	})
}

// FuzzParsePlain: the short way and the long one come to the same.
func FuzzParsePlain(f *testing.F) {
	f.Add(`{"id":"m1","payload":{"upload_id":"u1"}}`)
	f.Add(`{"id":"m1","payload":1,"payload":2}`)
	f.Add(`{"id":"m\u0031","payload":"}"}`)
	f.Add(`{"id":"m1","payload": null }`)
	f.Fuzz(func(t *testing.T, body string) {
		id, payload, plain := parsePlain(body)
		if !plain {
			return
		}
		e, ok := parseEnvelope(body)
		if !ok || len(e.Metadata) != 0 || e.ID != id || string(e.Payload) != string(payload) {
			t.Errorf("%q is %q %q the short way, and %v %+v the long one", body, id, payload, ok, e)
		}
	})
}

// TestJobsAreReadTheShortWay: else it would be there for nothing.
func TestJobsAreReadTheShortWay(t *testing.T) {
	body, err := encodeBody(message.NewMessage("m1-3", []byte(`{"upload_id":"u1"}`)))
	if err != nil {
		t.Fatal(err)
	}
	if id, payload, ok := parsePlain(body); !ok || id != "m1-3" || string(payload) != `{"upload_id":"u1"}` {
		t.Errorf("%s is %v %q %q", body, ok, id, payload)
	}
}

func FuzzEncodeBody(f *testing.F) {
	f.Add("m1", "key", "value", []byte(`{"a":1}`))
	f.Add("m1", "", "\uFFFF<&>", []byte{0xff})
	f.Fuzz(func(t *testing.T, id, key, value string, payload []byte) {
		msg := message.NewMessage(id, payload)
		msg.Metadata.Set(key, value)
		body, err := encodeBody(msg)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range body {
			if r < 0x20 || r == 0xFFFE || r == 0xFFFF {
				t.Fatalf("body %q has U+%04X, which SQS refuses", body, r)
			}
		}
		if !json.Valid([]byte(body)) {
			t.Fatalf("body %q is not JSON", body)
		}
		if id == "" || !utf8.ValidString(id+"\x00"+key+"\x00"+value) {
			return // a message without an id is known by SQS's; what is no text is mended by the encoder
		}
		msg.Metadata = sendableMetadata(msg.Metadata)
		if got := decodeBody(body, "sqs-id"); !got.Equals(msg) {
			t.Errorf("%q %v %q came back as %q %v %q", id, msg.Metadata, payload, got.UUID, got.Metadata, got.Payload)
		}
	})
}
