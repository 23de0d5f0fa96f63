package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// presignerAt presigns as if it were another time.
type presignerAt struct {
	signer *v4.Signer
	at     time.Time
}

func (p presignerAt) PresignHTTP(
	ctx context.Context, credentials aws.Credentials, r *http.Request,
	payloadHash, service, region string, _ time.Time, options ...func(*v4.SignerOptions),
) (string, http.Header, error) {
	return p.signer.PresignHTTP(ctx, credentials, r, payloadHash, service, region, p.at, options...)
}

func checksum(content []byte) string {
	sum := sha256.Sum256(content)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// presignPut signs an upload as Sluice's API does: its type, exact length and
// SHA-256, and that the key must be new.
func presignPut(t *testing.T, b *testBundle, key string, content []byte) *v4.PresignedHTTPRequest {
	t.Helper()
	request, err := awss3.NewPresignClient(b.root).PresignPutObject(t.Context(), &awss3.PutObjectInput{
		Bucket:         aws.String(incoming),
		Key:            &key,
		ContentType:    aws.String("image/jpeg"),
		ContentLength:  aws.Int64(int64(len(content))),
		ChecksumSHA256: aws.String(checksum(content)),
		IfNoneMatch:    aws.String("*"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func TestPresignedPutSignsItsHeaders(t *testing.T) {
	b := newTestBundle(t)
	request := presignPut(t, b, "uploads/a.jpg", []byte("content"))
	for _, name := range []string{"Content-Type", "Content-Length", "If-None-Match", "X-Amz-Checksum-Sha256"} {
		if request.SignedHeader.Get(name) == "" {
			t.Errorf("%s is not signed: %v", name, request.SignedHeader)
		}
	}
}

func TestPresignedPut(t *testing.T) {
	b := newTestBundle(t)
	content := []byte("the content that was promised")
	signed := presignPut(t, b, "uploads/a.jpg", content)

	response := send(t, http.MethodPut, signed.URL, signed.SignedHeader, content)
	wantStatus(t, response, http.StatusOK)
	if got := response.header.Get("X-Amz-Checksum-Sha256"); got != checksum(content) {
		t.Errorf("checksum %q in the answer, want %q", got, checksum(content))
	}
	event := b.events.only(t)
	if event.EventName != createdPut || event.S3.Object.Key != "uploads/a.jpg" || event.S3.Object.Size != int64(len(content)) {
		t.Errorf("event %+v", event)
	}
	if version := response.header.Get("X-Amz-Version-Id"); version == "" || event.S3.Object.VersionID != version {
		t.Errorf("event has version %q, the answer %q", event.S3.Object.VersionID, version)
	}

	wantStatus(t, send(t, http.MethodPut, signed.URL, signed.SignedHeader, content), http.StatusPreconditionFailed)
	if late := b.events.records(t); len(late) != 0 {
		t.Errorf("a refused PUT caused events: %+v", late)
	}
}

func TestPresignedPutRefusesOtherUploads(t *testing.T) {
	b := newTestBundle(t)
	content := []byte("the content that was promised")
	with := func(name, value string) func(http.Header) {
		return func(h http.Header) { h.Set(name, value) }
	}
	without := func(name string) func(http.Header) {
		return func(h http.Header) { h.Del(name) }
	}
	unchanged := func(http.Header) {}
	tests := map[string]struct {
		change func(http.Header)
		body   []byte
		status int
	}{
		"longer body":           {unchanged, append(bytes.Clone(content), '!'), http.StatusForbidden},
		"shorter body":          {unchanged, content[1:], http.StatusForbidden},
		"other body":            {unchanged, bytes.ToUpper(content), http.StatusBadRequest},
		"other type":            {with("Content-Type", "text/html"), content, http.StatusForbidden},
		"no type":               {without("Content-Type"), content, http.StatusForbidden},
		"no condition":          {without("If-None-Match"), content, http.StatusForbidden},
		"other condition":       {with("If-None-Match", `"etag"`), content, http.StatusForbidden},
		"no checksum":           {without("X-Amz-Checksum-Sha256"), content, http.StatusForbidden},
		"other body's checksum": {with("X-Amz-Checksum-Sha256", checksum([]byte("x"))), content, http.StatusForbidden},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			key := "uploads/" + name
			signed := presignPut(t, b, key, content)
			header := signed.SignedHeader.Clone()
			test.change(header)
			wantStatus(t, send(t, http.MethodPut, signed.URL, header, test.body), test.status)

			_, err := b.root.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String(incoming), Key: &key})
			wantCode(t, err, "NotFound")
		})
	}
	if events := b.events.records(t); len(events) != 0 {
		t.Errorf("refused PUTs caused events: %+v", events)
	}
}

func TestOnlyOneOfManyPutsCreatesTheKey(t *testing.T) {
	const clients = 16
	b := newTestBundle(t)
	content := []byte("the content that was promised")
	signed := presignPut(t, b, "uploads/a.jpg", content)
	statuses := make([]int, clients)
	var wg sync.WaitGroup
	for i := range statuses {
		request := newRequest(t, http.MethodPut, signed.URL, signed.SignedHeader, content)
		wg.Go(func() {
			got, err := roundTrip(request)
			if err != nil {
				t.Error(err)
			}
			statuses[i] = got.status
		})
	}
	wg.Wait()
	slices.Sort(statuses)
	want := append([]int{http.StatusOK}, slices.Repeat([]int{http.StatusPreconditionFailed}, clients-1)...)
	if !slices.Equal(statuses, want) {
		t.Errorf("statuses %v, want one 200 and else 412", statuses)
	}
	b.events.only(t)
}
