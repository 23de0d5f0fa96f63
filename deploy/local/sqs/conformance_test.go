package sqs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// TestConformance checks, one by one, what the Amazon SQS API Reference
// promises, as the AWS SDK sees it over a real connection. Each check has a
// server and a queue to itself.
func TestConformance(t *testing.T) {
	for name, check := range map[string]func(*testQueue){
		"a message is sent, received and deleted":              checkSendReceiveDelete,
		"the MD5 of the body is right":                         checkMD5OfBody,
		"the MD5 of the attributes is right":                   checkMD5OfAttributes,
		"attributes are returned only by name":                 checkAttributeSelection,
		"system attributes are right":                          checkSystemAttributes,
		"system attributes are returned only by name":          checkSystemAttributeSelection,
		"a trace header and a group id travel along":           checkTraceHeaderAndGroup,
		"at most ten messages are received":                    checkReceiveLimits,
		"messages come in the order of sending":                checkOrder,
		"a batch is sent, received and deleted":                checkBatchLifecycle,
		"each entry of a batch fails alone":                    checkBatchPartialFailure,
		"a malformed batch is refused":                         checkBatchRules,
		"a batch is limited in bytes":                          checkBatchBytes,
		"a message is limited in bytes":                        checkMessageBytes,
		"attributes count towards the size":                    checkAttributeBytes,
		"MaximumMessageSize is honoured":                       checkMaximumMessageSize,
		"characters outside XML are refused":                   checkCharacters,
		"an empty body is refused":                             checkEmptyBody,
		"malformed attributes are refused":                     checkAttributeRules,
		"FIFO is refused":                                      checkNoFIFO,
		"a queue is created once":                              checkCreateIdempotent,
		"other attributes are another queue":                   checkCreateConflict,
		"queue names have rules":                               checkQueueNames,
		"a queue that is not there is an error":                checkNoQueue,
		"a deleted queue is gone":                              checkDeleteQueue,
		"a queue URL is found by name":                         checkGetQueueURL,
		"queues are listed by prefix and page":                 checkListQueues,
		"attributes have bounds":                               checkAttributeBounds,
		"unknown attributes are refused":                       checkUnknownAttributes,
		"attributes can be changed":                            checkSetAttributes,
		"a new queue has the standard attributes":              checkDefaultAttributes,
		"a redrive policy names a queue that allows it":        checkRedrivePolicy,
		"the sources of a dead-letter queue are listed":        checkDeadLetterSources,
		"tags are kept":                                        checkTags,
		"a purge empties the queue, once a minute":             checkPurge,
		"a receipt handle must be one":                         checkReceiptHandles,
		"a receipt handle goes stale":                          checkStaleReceipt,
		"a message can be deleted after its lease":             checkDeleteAfterLease,
		"deleting twice is no error":                           checkDeleteTwice,
		"visibility zero returns a message":                    checkVisibilityZero,
		"only messages in flight change visibility":            checkNotInFlight,
		"visibility has bounds":                                checkVisibilityBounds,
		"visibility changes in batches":                        checkVisibilityBatch,
		"a long poll waits for a message":                      checkLongPoll,
		"a long poll ends empty":                               checkLongPollEnds,
		"the queue's own wait applies":                         checkQueueWait,
		"a delay hides a message":                              checkDelay,
		"actions that are not there are refused":               checkUnsupported,
		"an error has its type and its older code":             checkErrorForms,
		"a message that was received too often is dead":        checkDeadLetter,
		"a move task needs a dead-letter queue to move out of": checkMoveTaskRules,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(newTestQueue(t, nil))
		})
	}
}

func checkSendReceiveDelete(q *testQueue) {
	const body = "hello <world> & ünïcödé \U0001F30A\t\n"
	id := q.send(body)
	q.wantCounts(q.url, 1, 0, 0)
	m := q.receiveOne(awssqs.ReceiveMessageInput{})
	if *m.MessageId != id || *m.Body != body {
		q.Errorf("received %s %q, sent %s %q", *m.MessageId, *m.Body, id, body)
	}
	q.wantCounts(q.url, 0, 1, 0)
	if more := q.receive(awssqs.ReceiveMessageInput{}); len(more) != 0 {
		q.Errorf("a leased message was received again")
	}
	q.delete(m.ReceiptHandle)
	q.wantCounts(q.url, 0, 0, 0)
}

func checkReceiveLimits(q *testQueue) {
	for i := range 12 {
		q.send(strconv.Itoa(i))
	}
	if got := len(q.receive(awssqs.ReceiveMessageInput{})); got != 1 {
		q.Errorf("received %d messages by default, want 1", got)
	}
	if got := len(q.receive(awssqs.ReceiveMessageInput{MaxNumberOfMessages: 10})); got != 10 {
		q.Errorf("received %d messages, want 10", got)
	}
	if got := len(q.receive(awssqs.ReceiveMessageInput{MaxNumberOfMessages: 10})); got != 1 {
		q.Errorf("received %d messages, want the 1 that was left", got)
	}
	for name, in := range map[string]awssqs.ReceiveMessageInput{
		"11 messages": {MaxNumberOfMessages: 11},
		"-1 messages": {MaxNumberOfMessages: -1},
		"21 seconds":  {WaitTimeSeconds: 21},
		"43201 s":     {VisibilityTimeout: 43201},
	} {
		in.QueueUrl = &q.url
		_, err := q.client.ReceiveMessage(q.Context(), &in)
		if err == nil {
			q.Errorf("%s were accepted", name)
			continue
		}
		wantError(q, err, codeInvalidParameterValue)
	}
}

func checkOrder(q *testQueue) {
	var want, got []string
	for i := range 10 {
		want = append(want, q.send(strconv.Itoa(i)))
	}
	for _, m := range q.receive(awssqs.ReceiveMessageInput{MaxNumberOfMessages: 10}) {
		got = append(got, *m.MessageId)
	}
	if !slices.Equal(got, want) {
		q.Errorf("received %v, sent %v", got, want)
	}
}

func checkDelay(q *testQueue) {
	_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String("later"), DelaySeconds: 900})
	if err != nil {
		q.Fatal(err)
	}
	q.wantCounts(q.url, 0, 0, 1)
	if got := q.receive(awssqs.ReceiveMessageInput{}); len(got) != 0 {
		q.Error("received a delayed message")
	}
	_, err = q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String("x"), DelaySeconds: 901})
	wantError(q, err, codeInvalidParameterValue)
	delayed := q.create("delayed", map[string]string{attrDelaySeconds: "5"})
	if _, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &delayed, MessageBody: aws.String("x")}); err != nil {
		q.Fatal(err)
	}
	q.wantCounts(delayed, 0, 0, 1)
}

func checkUnsupported(q *testQueue) {
	_, err := q.client.AddPermission(q.Context(), &awssqs.AddPermissionInput{
		QueueUrl: &q.url, Label: aws.String("l"), AWSAccountIds: []string{testAccount}, Actions: []string{"SendMessage"},
	})
	wantError(q, err, codeUnsupportedOperation)
}

func checkErrorForms(q *testQueue) {
	_, err := q.client.GetQueueUrl(q.Context(), &awssqs.GetQueueUrlInput{QueueName: aws.String("absent")})
	var typed *types.QueueDoesNotExist
	if !errors.As(err, &typed) {
		q.Fatalf("got %v, want a QueueDoesNotExist", err)
	}
	if got, want := typed.ErrorCode(), "AWS.SimpleQueueService.NonExistentQueue"; got != want {
		q.Errorf("older code %s, want %s", got, want)
	}
	if typed.ErrorMessage() == "" {
		q.Error("the error has no message")
	}
}

func checkLongPoll(q *testQueue) {
	polled := q.poll(awssqs.ReceiveMessageInput{WaitTimeSeconds: 20})
	waitForPollers(q, q.server, "q", 1)
	id := q.send("now")
	if got := <-polled; len(got) != 1 || *got[0].MessageId != id {
		q.Errorf("the long poll got %d messages", len(got))
	}
}

// waitForPollers waits until so many long polls wait on a queue.
func waitForPollers(tb testing.TB, s *Server, name string, want int) {
	tb.Helper()
	q := s.queues.named(name)
	waitUntil(tb, fmt.Sprintf("%d pollers on %s", want, name), func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.pollers.Len() == want
	})
}

// waitUntil waits until a condition holds, for at most ten seconds.
func waitUntil(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("waited in vain for %s", what)
		}
	}
}

func checkLongPollEnds(q *testQueue) {
	begun := time.Now()
	if got := q.receive(awssqs.ReceiveMessageInput{WaitTimeSeconds: 1}); len(got) != 0 {
		q.Errorf("received %d messages", len(got))
	}
	if took := time.Since(begun); took < time.Second {
		q.Errorf("the poll ended after %s", took)
	}
	waitForPollers(q, q.server, "q", 0)
}

func checkQueueWait(q *testQueue) {
	patient := q.create("patient", map[string]string{attrReceiveWait: "20"})
	polled := q.poll(awssqs.ReceiveMessageInput{QueueUrl: &patient})
	waitForPollers(q, q.server, "patient", 1)
	if _, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &patient, MessageBody: aws.String("x")}); err != nil {
		q.Fatal(err)
	}
	if got := <-polled; len(got) != 1 {
		q.Errorf("the long poll got %d messages", len(got))
	}
}

func checkPurge(q *testQueue) {
	for range 3 {
		q.send("x")
	}
	q.receiveOne(awssqs.ReceiveMessageInput{})
	if _, err := q.client.PurgeQueue(q.Context(), &awssqs.PurgeQueueInput{QueueUrl: &q.url}); err != nil {
		q.Fatal(err)
	}
	q.wantCounts(q.url, 0, 0, 0)
	_, err := q.client.PurgeQueue(q.Context(), &awssqs.PurgeQueueInput{QueueUrl: &q.url})
	wantError(q, err, codePurgeQueueInProgress)
	q.send("after")
	q.wantCounts(q.url, 1, 0, 0)
}

func checkNoFIFO(q *testQueue) {
	for name, attributes := range map[string]map[string]string{
		"orders.fifo": {"FifoQueue": "true"},
		"plain.fifo":  nil,
		"unnamed":     {"FifoQueue": "true"},
	} {
		_, err := q.client.CreateQueue(q.Context(), &awssqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
		wantError(q, err, codeUnsupportedOperation)
	}
}
