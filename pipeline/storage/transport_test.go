package storage_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/sluice-media/sluice/pipeline/storage"
)

// An answer that stops in its middle, on a connection that stays, must not hold its stage for ever; one that is slow may.
func TestAnAnswerThatStandsStillIsGivenUp(t *testing.T) {
	const patience = 200 * time.Millisecond
	for name, bytes := range map[string]int{"slow": 10, "still": 2} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "10")
				for range bytes {
					_, _ = w.Write([]byte("x"))
					_ = http.NewResponseController(w).Flush()
					time.Sleep(patience / 2)
				}
				if bytes < 10 {
					<-r.Context().Done()
				}
			}))
			defer server.Close()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := storage.Transport(patience).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			read, err := io.ReadAll(response.Body)
			if err := response.Body.Close(); err != nil {
				t.Error(err)
			}
			_, stood := errors.AsType[*awshttp.ResponseTimeoutError](err)
			if len(read) != bytes || stood != (bytes < 10) {
				t.Errorf("read %d bytes, %v", len(read), err)
			}
		})
	}
}
