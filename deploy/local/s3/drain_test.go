package s3

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// A large upload that is refused gets the answer, not a reset connection.
func TestLargeRefusedUploadsGetTheirAnswer(t *testing.T) {
	b := newTestBundle(t)
	content := bytes.Repeat([]byte("x"), 8<<20)
	existing := presignPut(t, b, "uploads/existing.jpg", content)
	wantStatus(t, send(t, http.MethodPut, existing.URL, existing.SignedHeader, content), http.StatusOK)
	unknown := NewClient(b.server.Endpoint(), testRegion, "UNKNOWN", "secret")

	for range 20 {
		wantStatus(t, send(t, http.MethodPut, existing.URL, existing.SignedHeader, content), http.StatusPreconditionFailed)
		wantStatus(t, send(t, http.MethodPut, existing.URL, existing.SignedHeader, content[1:]), http.StatusForbidden)
		_, err := unknown.PutObject(t.Context(), &awss3.PutObjectInput{
			Bucket: aws.String(incoming), Key: aws.String("uploads/a"), Body: bytes.NewReader(content),
		})
		wantCode(t, err, "InvalidAccessKeyId")
	}
}
