package s3

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestEventBody(t *testing.T) {
	body, err := event{
		name: createdPut, region: "eu-central-1", time: time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.FixedZone("", 3600)),
		bucket: "incoming", key: "uploads/ä b+c.jpg", size: 1024,
		etag: `"d41d8cd98f00b204e9800998ecf8427e"`, versionID: "01J",
		request: requestInfo{accessKey: "AKIA", owner: "OWNER", sourceIP: "127.0.0.1", requestID: "R", hostID: "H"},
	}.body("0055AED6DCD90281E5")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-central-1",` +
		`"eventTime":"2026-03-04T04:06:07.089Z","eventName":"ObjectCreated:Put","userIdentity":{"principalId":"AKIA"},` +
		`"requestParameters":{"sourceIPAddress":"127.0.0.1"},"responseElements":{"x-amz-request-id":"R","x-amz-id-2":"H"},` +
		`"s3":{"s3SchemaVersion":"1.0","configurationId":"sluice-local",` +
		`"bucket":{"name":"incoming","ownerIdentity":{"principalId":"OWNER"},"arn":"arn:aws:s3:::incoming"},` +
		`"object":{"key":"uploads/%C3%A4+b%2Bc.jpg","size":1024,"eTag":"d41d8cd98f00b204e9800998ecf8427e",` +
		`"versionId":"01J","sequencer":"0055AED6DCD90281E5"}}}]}`
	if body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

func TestSequencerAscends(t *testing.T) {
	var s sequencer
	now := time.Now()
	last := ""
	for _, at := range []time.Time{now, now, now.Add(-time.Hour), now.Add(time.Nanosecond), now.Add(time.Hour)} {
		next := s.next(at)
		if next <= last || len(next) != 18 {
			t.Errorf("%s follows %s", next, last)
		}
		last = next
	}
}

func TestEventKeysAreFormEncoded(t *testing.T) {
	b := newTestBundle(t)
	for key, encoded := range map[string]string{
		"uploads/plain.jpg":           "uploads/plain.jpg",
		"uploads/red flower.jpg":      "uploads/red+flower.jpg",
		"uploads/a+b.jpg":             "uploads/a%2Bb.jpg",
		"uploads/100%.jpg":            "uploads/100%25.jpg",
		"uploads/Grüße/日本.jpg":        "uploads/Gr%C3%BC%C3%9Fe/%E6%97%A5%E6%9C%AC.jpg",
		"uploads/a&b=c?d#e;f.jpg":     "uploads/a%26b%3Dc%3Fd%23e%3Bf.jpg",
		`uploads/"quoted" 'name'.jpg`: "uploads/%22quoted%22+%27name%27.jpg",
	} {
		b.put(t, incoming, key, "x")
		got := b.events.only(t).S3.Object.Key
		if got != encoded {
			t.Errorf("key %q is %q in the event, want %q", key, got, encoded)
		}
		if decoded, err := url.QueryUnescape(got); err != nil || decoded != key {
			t.Errorf("key %q decodes to %q, %v", key, decoded, err)
		}
	}
}

func FuzzEncodedKeysDecode(f *testing.F) {
	f.Add("uploads/a b+c%2F.jpg")
	f.Add("uploads/\x00\xff\u65e5")
	f.Fuzz(func(t *testing.T, key string) {
		encoded := encodeKey(key)
		if decoded, err := url.QueryUnescape(encoded); err != nil || decoded != key {
			t.Errorf("key %q is encoded as %q, which decodes to %q, %v", key, encoded, decoded, err)
		}
		if strings.Count(encoded, "/") != strings.Count(key, "/") || strings.Contains(encoded, "%2F") {
			t.Errorf("key %q is encoded as %q: slashes are not kept", key, encoded)
		}
	})
}

func TestEventDescribesThePut(t *testing.T) {
	b := newTestBundle(t)
	before := time.Now().Add(-time.Second)
	first := b.put(t, incoming, "uploads/a.txt", "one")
	second := b.put(t, incoming, "uploads/a.txt", "second")

	records := b.events.records(t)
	if len(records) != 2 {
		t.Fatalf("got %d events, want 2", len(records))
	}
	for i, out := range []*awss3.PutObjectOutput{first, second} {
		got := records[i]
		object := got.S3.Object
		if object.ETag != strings.Trim(*out.ETag, `"`) || object.VersionID != *out.VersionId {
			t.Errorf("event %d has ETag %s and version %s, the answer %s and %s", i, object.ETag, object.VersionID, *out.ETag, *out.VersionId)
		}
		if got.AWSRegion != testRegion || got.S3.Bucket.Name != incoming || got.S3.Bucket.ARN != "arn:aws:s3:::incoming" {
			t.Errorf("event %d: %+v", i, got)
		}
		if got.UserIdentity.PrincipalID != rootKey || got.S3.Bucket.OwnerIdentity.PrincipalID != rootKey {
			t.Errorf("event %d by %q in a bucket of %q", i, got.UserIdentity.PrincipalID, got.S3.Bucket.OwnerIdentity.PrincipalID)
		}
		if got.RequestParameters.SourceIPAddress != "127.0.0.1" || got.ResponseElements.RequestID == "" || got.ResponseElements.HostID == "" {
			t.Errorf("event %d does not describe its request: %+v", i, got)
		}
		if at, err := time.Parse(time.RFC3339, got.EventTime); err != nil || at.Before(before) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("event %d at %s, %v", i, got.EventTime, err)
		}
	}
	if records[0].S3.Object.Size != 3 || records[1].S3.Object.Size != 6 {
		t.Errorf("sizes %d and %d, want 3 and 6", records[0].S3.Object.Size, records[1].S3.Object.Size)
	}
	if records[0].S3.Object.Sequencer >= records[1].S3.Object.Sequencer {
		t.Errorf("sequencer %s is not below %s", records[0].S3.Object.Sequencer, records[1].S3.Object.Sequencer)
	}
}

func TestEventSizeWithoutTransferEncoding(t *testing.T) {
	b := newTestBundle(t)
	chunked := awss3.New(b.root.Options(), func(o *awss3.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenSupported
	})
	content := strings.Repeat("x", 100_000)
	_, err := chunked.PutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: aws.String(incoming), Key: aws.String("uploads/a"), Body: strings.NewReader(content),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.events.only(t).S3.Object.Size; got != int64(len(content)) {
		t.Errorf("size %d, want %d", got, len(content))
	}
}

func TestEventsOnlyForThePrefix(t *testing.T) {
	b := newTestBundle(t)
	b.put(t, incoming, "thumbnails/a.jpg", "x")
	b.put(t, media, "uploads/a.jpg", "x")
	_, err := b.root.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: aws.String(media), Key: aws.String("uploads/a.jpg")})
	if err != nil {
		t.Fatal(err)
	}
	if events := b.events.records(t); len(events) != 0 {
		t.Errorf("events that nobody asked for: %+v", events)
	}
}

func TestEventBeforeVersioning(t *testing.T) {
	events := &recorder{arrived: make(chan struct{}, 10)}
	server, err := Start(t.Context(), testConfig(t.TempDir(), events.record))
	if err != nil {
		t.Fatal(err)
	}
	client := server.RootClient()
	_, err = client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String(incoming)})
	if err != nil {
		t.Fatal(err)
	}
	b := &testBundle{server: server, root: client, events: events}
	b.put(t, incoming, "uploads/a", "12345")
	if got := events.only(t).S3.Object; got.VersionID != "" || got.Size != 5 {
		t.Errorf("object %+v, want no version and size 5", got)
	}
	if err := server.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
