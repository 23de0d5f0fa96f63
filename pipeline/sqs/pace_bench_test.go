package sqs_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// BenchmarkPace sends b.N messages one by one, at random times but so many a second, to a subscriber with 32 slots
// whose handler sleeps for 20 ms: how many requests each of them costs, and how long it takes to arrive.
func BenchmarkPace(b *testing.B) {
	for _, rate := range []int{1, 20, 50, 100, 200, 500} {
		b.Run(fmt.Sprintf("%d/s", rate), func(b *testing.B) {
			bundle := newBundle(b)
			bundle.config.Slots = 32
			publisher := bundle.publisher()
			sent := make([]time.Time, b.N)
			var delays atomic.Int64
			var handled sync.WaitGroup
			handled.Add(b.N)
			stop := bundle.router(b.Context(), func(msg *message.Message) error {
				i, err := strconv.Atoi(msg.UUID)
				if err != nil {
					return err
				}
				delays.Add(int64(time.Since(sent[i])))
				time.Sleep(20 * time.Millisecond)
				handled.Done()
				return nil
			})
			for i := range b.N {
				time.Sleep(time.Duration(rand.ExpFloat64() * float64(time.Second) / float64(rate)))
				sent[i] = time.Now()
				go func() {
					if err := publisher.Publish(topic, message.NewMessage(strconv.Itoa(i), []byte(`{}`))); err != nil {
						b.Error(err)
					}
				}()
			}
			handled.Wait()
			stop()
			b.ReportMetric(float64(delays.Load())/float64(time.Millisecond)/float64(b.N), "ms-delay/msg")
			for action, name := range map[string]string{"SendMessageBatch": "sends/msg", "ReceiveMessage": "receives/msg", "DeleteMessageBatch": "deletes/msg"} {
				b.ReportMetric(float64(bundle.requests.count(action))/float64(b.N), name)
			}
		})
	}
}
