//go:build failpoints

package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/sagas"
)

func workerStories() map[string]story {
	return map[string]story{
		"a photograph": {[]string{
			"intake.", "verify.", "scan.", "thumbnail.", "publish.", "settle.", "notify.work.", "notify.commit.", "notify.ack.", "clamd.", "webhook.",
			"s3.PutObject.", "s3.CopyObject.", "s3.DeleteObjects.", "sqs.SendMessageBatch.", "sqs.DeleteMessageBatch.",
		}, workerDies(sent, sagas.Ready)},
		"nothing was sent": {[]string{"sweeper.", "s3.AbortMultipartUpload."}, workerDies(neverSent, sagas.Expired)},
		"a large file": {[]string{"s3.CreateMultipartUpload.", "s3.UploadPartCopy.", "s3.CompleteMultipartUpload."},
			workerDies(large, sagas.Ready)},
		"a slow intake, whose message is renewed": {[]string{"sqs.ChangeMessageVisibilityBatch."},
			workerDies(sent, sagas.Ready, "intake.work.before=sleep:5s")},
		"a failure, whose message is given back": {[]string{"sqs.ChangeMessageVisibilityBatch."},
			workerDies(sent, sagas.Ready, "intake.work.before=error:planted@1")},
		"a deletion before anybody was told": {[]string{"notify.send."}, workerDies(deletedMeanwhile, sagas.Deleted)},
	}
}

// workerDies is about one that dies while it does what begin has left to do, and about its successor. It does not renew any
// message before it comes to what is planted.
func workerDies(begin func(*testing.T, *operatorBundle) sagas.Upload, want sagas.State, planted ...string) func(*testing.T, *crash) {
	return func(t *testing.T, c *crash) {
		t.Helper()
		u := begin(t, c.operatorBundle)
		env := quickly(c.receiver.URL)
		if len(planted) > 0 {
			env["SLUICE_SQS_VISIBILITY_TIMEOUT"] = "3s"
		}
		c.startDoomed(t, env, planted, "worker").dies()
		c.ends(t, u, want)
	}
}

func photograph(t *testing.T) []byte {
	t.Helper()
	photo, err := os.ReadFile("../../testdata/photo.jpg")
	if err != nil {
		t.Fatal(err)
	}
	return photo
}

// sent is an upload whose photograph and event have come.
func sent(t *testing.T, b *operatorBundle) sagas.Upload {
	t.Helper()
	return b.sentAs(t, photograph(t))
}

func neverSent(t *testing.T, b *operatorBundle) sagas.Upload {
	t.Helper()
	return b.neverSent(t)
}

// large is an upload that waits to be published, and is copied in parts because its record says that it is too large for
// one request. For the sake of the disk it is not: there is one part.
func large(t *testing.T, b *operatorBundle) sagas.Upload {
	t.Helper()
	u := b.begin(t)
	object := b.put(t, u.Bucket, u.Key, []byte("hello"))
	facts := sagas.Facts{
		ETag: strings.Trim(aws.ToString(object.ETag), `"`), VersionID: aws.ToString(object.VersionId),
		Observed: sagas.Content{Type: "image/jpeg", Size: 5<<30 + 1},
	}
	for _, to := range []sagas.State{sagas.Uploaded, sagas.Verified, sagas.Clean, sagas.Processed} {
		var err error
		if u, err = b.store.Advance(t.Context(), sagas.Change{ID: u.ID, Stage: "test", From: u.State, To: to, StartedAt: u.ReadAt, Facts: facts}); err != nil {
			t.Fatal(err)
		}
		facts = sagas.Facts{}
	}
	b.queues.Send(pipeline.Publish, settleJob(u))
	return u
}

// deletedMeanwhile is a file that is about to be told of as ready, and was deleted.
func deletedMeanwhile(t *testing.T, b *operatorBundle) sagas.Upload {
	t.Helper()
	u := b.begin(t, sagas.Uploaded, sagas.Verified, sagas.Clean, sagas.Processed, sagas.Ready, sagas.Deleted)
	b.put(t, b.media, u.Key, []byte("hello"))
	b.queues.Send(pipeline.Notify, fmt.Sprintf(`{"upload_id":%q,"settled":"ready"}`, u.ID))
	return u
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}
