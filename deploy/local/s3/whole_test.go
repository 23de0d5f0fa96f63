package s3

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestAnUploadThatBreaksOffIsNoObject(t *testing.T) {
	const size = 400 << 10 // bytes
	b := newTestBundle(t)
	key := aws.String("uploads/half.jpg")
	begun, err := b.root.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: aws.String(incoming), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	presigner := awss3.NewPresignClient(b.root)
	put, err := presigner.PresignPutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: aws.String(incoming), Key: key, ContentLength: aws.Int64(size),
	})
	if err != nil {
		t.Fatal(err)
	}
	part, err := presigner.PresignUploadPart(t.Context(), &awss3.UploadPartInput{
		Bucket: aws.String(incoming), Key: key, UploadId: begun.UploadId, PartNumber: aws.Int32(1), ContentLength: aws.Int64(size),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, signed := range map[string]string{"object": put.URL, "part": part.URL} {
		t.Run(name, func(t *testing.T) {
			if status := sendHalf(t, signed, size); status == http.StatusOK {
				t.Error("S3 accepted half of it")
			}
		})
	}
	_, err = b.root.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String(incoming), Key: key})
	wantCode(t, err, "NotFound")
	parts, err := b.root.ListParts(t.Context(), &awss3.ListPartsInput{Bucket: aws.String(incoming), Key: key, UploadId: begun.UploadId})
	if err != nil || len(parts.Parts) != 0 {
		t.Errorf("parts %+v, %v", parts.Parts, err)
	}
	if events := b.events.records(t); len(events) != 0 {
		t.Errorf("events %+v", events)
	}
}

// sendHalf sends half of a body, says that it is at its end, and returns the status of the answer, or 0.
func sendHalf(t *testing.T, signed string, size int) (status int) {
	t.Helper()
	target, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	connection, err := net.Dial("tcp", target.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close() //nolint:errcheck // It is broken already.
	request, err := http.NewRequest(http.MethodPut, signed, bytes.NewReader(make([]byte, size)))
	if err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	if err := request.Write(&whole); err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Write(whole.Bytes()[:whole.Len()-size/2]); err != nil {
		t.Fatal(err)
	}
	if err := connection.(*net.TCPConn).CloseWrite(); err != nil { //nolint:errcheck // It is what Dial was asked for.
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), request)
	if err != nil {
		return 0
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}
