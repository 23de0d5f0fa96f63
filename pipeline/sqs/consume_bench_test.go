package sqs_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
)

// BenchmarkConsume is what a message costs this process under a Router, from the answer that brings it to the request
// that deletes it. The answers come from memory.
func BenchmarkConsume(b *testing.B) {
	bundle := newBundle(b)
	bundle.config.Slots, bundle.config.VisibilityTimeout = 640, time.Hour
	jobs, deleted := cannedAnswers()
	var left atomic.Int64
	left.Store(int64(b.N))
	bundle.requests.on("ReceiveMessage", func(r *http.Request, _ int, _ awssqs.HTTPClient) (*http.Response, error) {
		var wanted struct{ MaxNumberOfMessages int64 }
		if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil {
			return nil, err
		}
		n := wanted.MaxNumberOfMessages
		if rest := left.Add(-n); rest <= -n {
			<-r.Context().Done()
			return nil, r.Context().Err()
		} else if rest < 0 {
			n += rest
		}
		return answer(http.StatusOK, `{"Messages":[`+strings.Join(jobs[:n], ",")+`]}`), nil
	})
	bundle.requests.on("DeleteMessageBatch", func(*http.Request, int, awssqs.HTTPClient) (*http.Response, error) {
		return answer(http.StatusOK, deleted), nil
	})
	handled, all := atomic.Int64{}, make(chan struct{})
	b.ReportAllocs()
	b.ResetTimer()
	stop := bundle.router(b.Context(), func(*message.Message) error {
		if handled.Add(1) == int64(b.N) {
			close(all)
		}
		return nil
	})
	<-all
	b.StopTimer()
	stop()
}

// cannedAnswers are ten jobs as a ReceiveMessage brings them and the answer to the DeleteMessageBatch that ends them.
func cannedAnswers() (jobs []string, deleted string) {
	var entries []string
	for i := range 10 {
		id := fmt.Sprintf("01932f7e-8a5c-7d00-b1a4-9d2f6c8e110%d", i)
		jobs = append(jobs, fmt.Sprintf(`{"MessageId":"5fea7756-0ea4-451a-a703-a558b933e27%d","ReceiptHandle":"AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a%d",`+
			`"Body":%q,"Attributes":{"ApproximateReceiveCount":"1","SentTimestamp":"1764115200000"}}`,
			i, i, fmt.Sprintf(`{"id":"%s-3","payload":{"upload_id":%q}}`, id, id)))
		entries = append(entries, fmt.Sprintf(`{"Id":"%d"}`, i))
	}
	return jobs, `{"Successful":[` + strings.Join(entries, ",") + `],"Failed":[]}`
}
