package s3event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	put := Event{
		Name: "ObjectCreated:Put", Bucket: "incoming", Key: "uploads/0195939f-5f6e-7c5a-9c0b-2f4b1f6f7a10.jpg", Size: 4194831,
		ETag: "d41d8cd98f00b204e9800998ecf8427e", VersionID: "096fKKXTRTtl3on89fVO.nfljtsv6qko", Sequencer: "0055AED6DCD90281E5",
	}
	bridged := Event{
		Name: "ObjectCreated:Put", Bucket: "incoming", Key: "uploads/50% + more.jpg", Size: 5,
		ETag: "b1946ac92492d2347c6235b4d2611184", VersionID: "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e", Sequencer: "00617F08299329D189",
	}
	tests := []struct {
		name string
		body []byte
		want []Event
	}{
		{"a PUT", document(t, "put.json"), []Event{put}},
		{"a PUT, compact", compact(t, "put.json"), []Event{put}},
		{"several records, keys decoded once", document(t, "encoded_keys.json"), []Event{
			{Name: "ObjectCreated:Post", Bucket: "incoming", Key: "uploads/summer 2026/été + café.jpg", Size: 12, ETag: "9b2cf535f27731c974343645a3985328", Sequencer: "0055AED6DCD90281E6"},
			{Name: "ObjectCreated:CompleteMultipartUpload", Bucket: "incoming", Key: "uploads/100%25.mp4", Size: 5368709121, ETag: "17fbc0a106abbb6f381aac6e331f2a19-7", Sequencer: "0055AED6DCD90281E7"},
		}},
		{"names with the prefix s3:", document(t, "minio.json"), []Event{
			{Name: "ObjectCreated:Put", Bucket: "incoming", Key: "uploads/red fox.png", Size: 2048, ETag: "4297f44b13955235245b2497399d7a93", VersionID: "3f7cd1a4-7bb6-4ac7-9c2b-6a5b0d0a0f4e", Sequencer: "17A5B6C7D8E9F0A1"},
		}},
		{"a future eventVersion", bytes.ReplaceAll(document(t, "put.json"), []byte(`"2.1"`), []byte(`"3.0"`)), []Event{put}},
		{"a quoted ETag", bytes.ReplaceAll(document(t, "put.json"), []byte(`"`+put.ETag+`"`), []byte(`"\"`+put.ETag+`\""`)), []Event{put}},
		{"the test event", document(t, "test_event.json"), nil},
		{"no records", []byte(`{"Records":[]}`), nil},
		{"only other events", []byte(`{"Records":[{"eventName":"ObjectRestore:Completed"},{"eventName":"s3:ObjectRemoved:Delete"}]}`), nil},
		{"an EventBridge event, key not decoded", document(t, "eventbridge.json"), []Event{bridged}},
		{"another EventBridge event", document(t, "eventbridge_deleted.json"), nil},
		{"a PUT in an SNS envelope", enveloped(t, compact(t, "put.json")), []Event{put}},
		{"an EventBridge event in an SNS envelope", enveloped(t, compact(t, "eventbridge.json")), []Event{bridged}},
		{"the test event in an SNS envelope", enveloped(t, document(t, "test_event.json")), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Decode(test.body)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestDecodeNamesHowEventBridgeSaysTheObjectCame(t *testing.T) {
	for reason, want := range map[string]string{
		"PutObject":               "ObjectCreated:Put",
		"POST Object":             "ObjectCreated:Post",
		"CopyObject":              "ObjectCreated:Copy",
		"CompleteMultipartUpload": "ObjectCreated:CompleteMultipartUpload",
		"SomethingNew":            "ObjectCreated:SomethingNew",
	} {
		body := bytes.ReplaceAll(document(t, "eventbridge.json"), []byte(`"PutObject"`), []byte(`"`+reason+`"`))
		got, err := Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].Name != want {
			t.Errorf("reason %q: got %+v, want the name %s", reason, got, want)
		}
	}
}

func TestDecodeKeepsTheNeighboursOfBadRecords(t *testing.T) {
	for name, body := range map[string][]byte{"bare": document(t, "mixed.json"), "enveloped": enveloped(t, document(t, "mixed.json"))} {
		t.Run(name, func(t *testing.T) {
			got, err := Decode(body)
			want := []Event{
				{Name: "ObjectCreated:Copy", Bucket: "incoming", Key: "uploads/a.jpg", Size: 1, ETag: "a", Sequencer: "02"},
				{Name: "ObjectCreated:Put", Bucket: "incoming", Key: "uploads/c.jpg", Size: 3, ETag: "c", Sequencer: "03"},
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got error %v, want ErrMalformed", err)
			}
			for _, record := range []string{"record 2: ", "record 3: ", "record 4: "} {
				if !strings.Contains(err.Error(), record) {
					t.Errorf("%q does not name %q", err, record)
				}
			}
		})
	}
}

func TestDecodeBoundsItsError(t *testing.T) {
	body := `{"Records":[` + strings.Repeat("0,", 100_000) + `0]}`
	_, err := Decode([]byte(body))
	if !errors.Is(err, ErrMalformed) || len(err.Error()) > 2000 {
		t.Errorf("got an error of %d bytes", len(fmt.Sprint(err)))
	}
	if !strings.Contains(fmt.Sprint(err), "and 99993 more") {
		t.Errorf("%v does not count the records that it leaves out", err)
	}
}

func TestDecodeRefusesMalformed(t *testing.T) {
	native := func(bucket, object string) string {
		return `{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":` + bucket + `},"object":{` + object + `}}}]}`
	}
	for name, body := range map[string]string{
		"nothing":                 ``,
		"not JSON":                `<Event/>`,
		"cut off":                 `{"Records":[{"eventName":"ObjectCreated:Put"`,
		"two documents":           `{"Records":[]}{"Records":[]}`,
		"null":                    `null`,
		"a list":                  `[]`,
		"an unknown form":         `{"hello":"world"}`,
		"records of another type": `{"Records":{}}`,
		"a null record":           `{"Records":[null]}`,
		"no event name":           `{"Records":[{"s3":{}}]}`,
		"no s3":                   `{"Records":[{"eventName":"ObjectCreated:Put"}]}`,
		"no bucket":               native(`""`, `"key":"k"`),
		"a long bucket name":      native(`"`+strings.Repeat("b", maxBucket+1)+`"`, `"key":"k"`),
		"a NUL in the bucket":     native(`"a\u0000b"`, `"key":"k"`),
		"no key":                  native(`"b"`, ``),
		"a badly encoded key":     native(`"b"`, `"key":"100%"`),
		"a key that is not UTF-8": native(`"b"`, `"key":"%ff"`),
		"an encoded NUL":          native(`"b"`, `"key":"a%00b"`),
		"a long key":              native(`"b"`, `"key":"`+strings.Repeat("k", maxKey+1)+`"`),
		"a negative size":         native(`"b"`, `"key":"k","size":-1`),
		"a fractional size":       native(`"b"`, `"key":"k","size":1.5`),
		"a size past 64 bits":     native(`"b"`, `"key":"k","size":9223372036854775808`),
		"a long message":          `{"Records":[]}` + strings.Repeat(" ", MaxBody),
		"a deep message":          `{"Records":[` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `]}`,
		"no detail":               `{"detail-type":"Object Created"}`,
		"a null detail":           `{"detail-type":"Object Created","detail":null}`,
		"a detail without key":    `{"detail-type":"Object Created","detail":{"bucket":{"name":"b"}}}`,
		"a detail with a NUL":     `{"detail-type":"Object Created","detail":{"bucket":{"name":"b"},"object":{"key":"\u0000"}}}`,
		"an SNS subscription":     `{"Type":"SubscriptionConfirmation","Message":"{\"Records\":[]}"}`,
		"an empty SNS message":    `{"Type":"Notification","Message":""}`,
		"other text from SNS":     `{"Type":"Notification","Message":"The disk is full."}`,
		"SNS in SNS":              `{"Type":"Notification","Message":"{\"Type\":\"Notification\",\"Message\":\"{\\\"Records\\\":[]}\"}"}`,
	} {
		t.Run(name, func(t *testing.T) {
			events, err := Decode([]byte(body))
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("got error %v, want ErrMalformed", err)
			}
			if len(events) > 0 {
				t.Errorf("got events %+v", events)
			}
		})
	}
}

// document reads a file of testdata.
func document(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func compact(t testing.TB, name string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, document(t, name)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// enveloped wraps a document as SNS does for a subscription without raw delivery.
func enveloped(t testing.TB, body []byte) []byte {
	t.Helper()
	out, err := json.Marshal(map[string]any{
		"Type":             "Notification",
		"MessageId":        "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
		"TopicArn":         "arn:aws:sns:eu-central-1:111122223333:uploads",
		"Subject":          "Amazon S3 Notification",
		"Message":          string(body),
		"Timestamp":        "2026-03-14T09:26:55.000Z",
		"SignatureVersion": "1",
		"Signature":        "RVhBTVBMRQ==",
		"SigningCertURL":   "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0000.pem",
		"UnsubscribeURL":   "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe",
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
