package s3event

import (
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzDecode holds Decode to what its callers rely on: whatever arrives, an event can be looked up, an error is
// an ErrMalformed, and what was decoded is what S3 would have written for the same object.
func FuzzDecode(f *testing.F) {
	files, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if !file.IsDir() {
			f.Add(document(f, file.Name()))
			f.Add(enveloped(f, compact(f, file.Name())))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := Decode(body)
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatalf("%v is no ErrMalformed", err)
		}
		for _, e := range events {
			if e.Bucket == "" || e.Key == "" || e.Size < 0 || !strings.HasPrefix(e.Name, "ObjectCreated:") {
				t.Fatalf("not an event of a created object: %+v", e)
			}
			if !utf8.ValidString(e.Key) || strings.Contains(e.Bucket+e.Key, "\x00") {
				t.Fatalf("cannot be looked up in a database: %+v", e)
			}
		}
		if again := redecoded(t, events); len(events) > 0 && !reflect.DeepEqual(again, events) {
			t.Fatalf("decoded %+v\nand again %+v", events, again)
		}
	})
}

// redecoded writes events as S3 does and decodes that.
func redecoded(t *testing.T, events []Event) []Event {
	t.Helper()
	records := make([]map[string]any, 0, len(events))
	for _, e := range events {
		records = append(records, map[string]any{
			"eventName": e.Name,
			"s3": map[string]any{
				"bucket": map[string]any{"name": e.Bucket},
				"object": map[string]any{
					"key": url.QueryEscape(e.Key), "size": e.Size, "eTag": e.ETag, "versionId": e.VersionID, "sequencer": e.Sequencer,
				},
			},
		})
	}
	body, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		t.Fatal(err)
	}
	if len(body) > MaxBody {
		return events
	}
	again, err := Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	return again
}
