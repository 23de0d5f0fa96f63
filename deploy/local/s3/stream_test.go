package s3

import (
	"io"
	"net/http"
	"runtime"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// zeros is a body that takes no memory.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestUploadIsStreamed(t *testing.T) {
	const size, allowed = 256 << 20, 32 << 20 // bytes
	b := newTestBundle(t)
	signed, err := awss3.NewPresignClient(b.root).PresignPutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: aws.String(incoming), Key: aws.String("uploads/large.mp4"), ContentLength: aws.Int64(size),
	})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, signed.URL, io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = size

	before := memory()
	wantStatus(t, do(t, request), http.StatusOK)
	if grown := memory() - before; grown > allowed {
		t.Errorf("memory grew by %d MiB during an upload of %d MiB", grown>>20, size>>20)
	} else {
		t.Logf("memory grew by %d KiB during an upload of %d MiB", grown>>10, size>>20)
	}
	if got := b.events.only(t).S3.Object.Size; got != size {
		t.Errorf("the event has size %d, want %d", got, size)
	}
}

// memory returns what the process has ever taken from the system, in bytes.
func memory() int64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.Sys)
}
