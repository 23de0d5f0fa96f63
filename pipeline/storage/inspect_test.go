package storage_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
)

func TestInspection(t *testing.T) {
	c := storagetest.New(t)
	if key, err := c.FirstKey(t.Context(), c.Incoming); err != nil || key != "" {
		t.Errorf("first key %q of an empty bucket, %v", key, err)
	}
	r, err := c.Put(t.Context(), c.Incoming, "uploads/a", strings.NewReader("a"), storage.Properties{})
	if err != nil {
		t.Fatal(err)
	}
	if key, err := c.FirstKey(t.Context(), c.Incoming); err != nil || key != r.Key {
		t.Errorf("first key %q, %v", key, err)
	}
	if list, read := c.Anonymous(t.Context(), c.Incoming, r.Key); list == nil || read == nil {
		t.Errorf("without credentials: %v, %v", list, read)
	}
	if err := c.RemoveVersion(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	versions, err := storagetest.Admin(t, os.Getenv("SLUICE_S3_ENDPOINT")).ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &c.Incoming})
	if err != nil || len(versions.Versions)+len(versions.DeleteMarkers) != 0 {
		t.Errorf("%+v is left, %v", versions, err)
	}
}

// The local store has no notifications of its own, so this one speaks for S3: its body is in the form of the example
// in the API reference of GetBucketNotificationConfiguration.
func TestNotified(t *testing.T) {
	entry := func(kind, arn, event, name, value string) string {
		return fmt.Sprintf(`<%[1]sConfiguration><Id>x</Id><Filter><S3Key><FilterRule><Name>%[4]s</Name><Value>%[5]s</Value></FilterRule></S3Key></Filter>`+
			`<%[1]s>%[2]s</%[1]s><Event>%[3]s</Event></%[1]sConfiguration>`, kind, arn, event, name, value)
	}
	for name, c := range map[string]struct {
		configuration string
		want          []string
	}{
		"nobody":           {"", nil},
		"a queue":          {entry("Queue", "arn:q", "s3:ObjectCreated:*", "prefix", "uploads/"), []string{"arn:q"}},
		"a topic":          {entry("Topic", "arn:t", "s3:ObjectCreated:Put", "Prefix", ""), []string{"arn:t"}},
		"a function":       {entry("CloudFunction", "arn:f", "s3:ObjectCreated:*", "suffix", "/a"), []string{"arn:f"}},
		"another prefix":   {entry("Queue", "arn:q", "s3:ObjectCreated:*", "prefix", "thumbnails/"), nil},
		"another suffix":   {entry("Queue", "arn:q", "s3:ObjectCreated:*", "Suffix", ".jpg"), nil},
		"of removals only": {entry("Queue", "arn:q", "s3:ObjectRemoved:*", "prefix", "uploads/"), nil},
		"without a filter": {`<QueueConfiguration><Queue>arn:q</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration>`, []string{"arn:q"}},
		"EventBridge":      {`<EventBridgeConfiguration></EventBridgeConfiguration>`, []string{storage.EventBridge}},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, asked := r.URL.Query()["notification"]; !asked {
					http.NotFound(w, r)
					return
				}
				_, _ = fmt.Fprintf(w, `<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">%s</NotificationConfiguration>`, c.configuration)
			}))
			defer server.Close()
			client := storage.New(storagetest.AWS(t), storage.Config{Endpoint: server.URL, IncomingBucket: "incoming", MediaBucket: "media"})
			told, err := client.Notified(t.Context(), "uploads/a")
			if err != nil || !slices.Equal(told, c.want) {
				t.Errorf("%v, %v; want %v", told, err, c.want)
			}
		})
	}
}
