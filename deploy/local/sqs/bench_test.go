package sqs

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// benchQueue is a test queue that logs nothing and whose client keeps its
// connections.
func benchQueue(b *testing.B) *testQueue {
	b.Helper()
	config := testConfig(b, b.TempDir())
	config.Logger = nil
	server, err := Open(config)
	if err != nil {
		b.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	listening := &http.Server{Handler: server, ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = listening.Serve(listener)
	}()
	b.Cleanup(func() {
		if err := server.Close(); err != nil {
			b.Error(err)
		}
		if err := listening.Shutdown(context.Background()); err != nil {
			b.Error(err)
		}
		<-served
	})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	q := &testQueue{TB: b, server: server, client: clientOf("http://"+listener.Addr().String(), client)}
	q.url = q.create("q", map[string]string{attrVisibilityTimeout: "600"})
	return q
}

// BenchmarkDrain receives and deletes, in batches of ten from eight consumers,
// what was sent before. Client and server share the processors.
func BenchmarkDrain(b *testing.B) {
	q := benchQueue(b)
	body := strings.Repeat("x", 500)
	for sent := 0; sent < b.N; sent += maxBatchEntries {
		entries := make([]types.SendMessageBatchRequestEntry, min(maxBatchEntries, b.N-sent))
		for i := range entries {
			entries[i] = types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: &body}
		}
		if _, err := q.sendBatch(entries); err != nil {
			b.Fatal(err)
		}
	}
	var (
		left      atomic.Int64
		consumers sync.WaitGroup
	)
	left.Store(int64(b.N))
	b.ResetTimer()
	for range 8 {
		consumers.Go(func() {
			for left.Load() > 0 {
				n, err := q.consumeBatch()
				if err != nil {
					b.Error(err)
					return
				}
				left.Add(int64(-n))
			}
		})
	}
	consumers.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// consumeBatch receives and deletes up to ten messages.
func (q *testQueue) consumeBatch() (int, error) {
	messages, err := q.tryReceive(awssqs.ReceiveMessageInput{MaxNumberOfMessages: 10})
	if err != nil || len(messages) == 0 {
		return 0, err
	}
	doomed := make([]types.DeleteMessageBatchRequestEntry, len(messages))
	for i, m := range messages {
		doomed[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle}
	}
	out, err := q.client.DeleteMessageBatch(q.Context(), &awssqs.DeleteMessageBatchInput{QueueUrl: &q.url, Entries: doomed})
	if err == nil && len(out.Failed) > 0 {
		err = fmt.Errorf("%d deletions failed", len(out.Failed))
	}
	return len(messages), err
}

// BenchmarkSend sends single messages from eight producers.
func BenchmarkSend(b *testing.B) {
	q := benchQueue(b)
	body := strings.Repeat("x", 500)
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := q.client.SendMessage(b.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: &body}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkLongPollDelivery measures from the start of a SendMessage to the
// end of the ReceiveMessage that was waiting for it.
func BenchmarkLongPollDelivery(b *testing.B) {
	q := benchQueue(b)
	took := make([]time.Duration, 0, b.N)
	for range b.N {
		received := make(chan time.Time, 1)
		go func() {
			messages, err := q.tryReceive(awssqs.ReceiveMessageInput{WaitTimeSeconds: 20})
			if err != nil || len(messages) != 1 {
				b.Errorf("received %d messages and %v", len(messages), err)
			}
			received <- time.Now()
		}()
		waitForPollers(b, q.server, "q", 1)
		begun := time.Now()
		q.send("x")
		took = append(took, (<-received).Sub(begun))
	}
	slices.Sort(took)
	milliseconds := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(milliseconds(took[len(took)/2]), "p50-ms")
	b.ReportMetric(milliseconds(took[len(took)*99/100]), "p99-ms")
}

// BenchmarkRecover opens a folder whose journal has the life of so many
// messages.
func BenchmarkRecover(b *testing.B) {
	dir := b.TempDir()
	config := testConfig(b, dir)
	config.Logger, config.CompactAt = nil, 1<<40
	server, err := Open(config)
	if err != nil {
		b.Fatal(err)
	}
	if err := server.CreateQueue(b.Context(), "q", nil); err != nil {
		b.Fatal(err)
	}
	const messages = 20_000
	body := strings.Repeat("x", 500)
	for range messages {
		if err := server.Send(b.Context(), "q", body); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := server.receive(b.Context(), server.queues.named("q"), receiveOptions{limit: messages, timeout: 600}); err != nil {
		b.Fatal(err)
	}
	if err := server.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		server, err := Open(config)
		if err != nil {
			b.Fatal(err)
		}
		if err := server.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(2*messages*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
