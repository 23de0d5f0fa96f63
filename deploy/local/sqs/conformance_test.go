package sqs

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

func checkMD5OfBody(q *testQueue) {
	// The SDK checks the digest as well; it is seen to be there.
	sum := md5.Sum([]byte("body"))
	want := hex.EncodeToString(sum[:])
	out, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String("body")})
	if err != nil {
		q.Fatal(err)
	}
	if got := aws.ToString(out.MD5OfMessageBody); got != want {
		q.Errorf("sent MD5 %q, want %q", got, want)
	}
	if got := aws.ToString(q.receiveOne(awssqs.ReceiveMessageInput{}).MD5OfBody); got != want {
		q.Errorf("received MD5 %q, want %q", got, want)
	}
}

func stringAttribute(value string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
}

func checkMD5OfAttributes(q *testQueue) {
	sent, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: aws.String("x"),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"text":   stringAttribute("value"),
			"number": {DataType: aws.String("Number.int"), StringValue: aws.String("-12.5")},
			"bytes":  {DataType: aws.String("Binary"), BinaryValue: []byte{0, 1, 255}},
		},
	})
	if err != nil {
		q.Fatal(err)
	}
	// By the rule of the Developer Guide, computed by other means.
	const all, onlyText = "fa4bc0d26ce063bf0f9383ca41d47390", "7e30a2c92b4e2def2278b21a1cf5d51b"
	if got := aws.ToString(sent.MD5OfMessageAttributes); got != all {
		q.Errorf("sent MD5 %q, want %q", got, all)
	}
	m := q.receiveOne(awssqs.ReceiveMessageInput{MessageAttributeNames: []string{"text"}, VisibilityTimeout: 1})
	if got := aws.ToString(m.MD5OfMessageAttributes); got != onlyText {
		q.Errorf("received MD5 %q of one attribute, want %q", got, onlyText)
	}
}

func checkAttributeSelection(q *testQueue) {
	_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: aws.String("x"),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"job.id": stringAttribute("1"), "job.kind": stringAttribute("2"), "jobs": stringAttribute("3"),
		},
	})
	if err != nil {
		q.Fatal(err)
	}
	for _, c := range []struct{ ask, want []string }{
		{nil, nil},
		{[]string{"All"}, []string{"job.id", "job.kind", "jobs"}},
		{[]string{".*"}, []string{"job.id", "job.kind", "jobs"}},
		{[]string{"job.*"}, []string{"job.id", "job.kind"}},
		{[]string{"jobs", "absent"}, []string{"jobs"}},
	} {
		m := q.receiveOne(awssqs.ReceiveMessageInput{MessageAttributeNames: c.ask})
		var got []string
		for name := range m.MessageAttributes {
			got = append(got, name)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			q.Errorf("asked for %v: got %v, want %v", c.ask, got, c.want)
		}
		if err := q.changeVisibility(m.ReceiptHandle, 0); err != nil {
			q.Fatal(err)
		}
	}
}

func checkSystemAttributes(q *testQueue) {
	before := time.Now().UnixMilli()
	q.send("x")
	first := q.receiveOne(awssqs.ReceiveMessageInput{})
	if err := q.changeVisibility(first.ReceiptHandle, 0); err != nil {
		q.Fatal(err)
	}
	second := q.receiveOne(awssqs.ReceiveMessageInput{})
	if got := second.Attributes[systemReceiveCount]; got != "2" {
		q.Errorf("receive count %s, want 2", got)
	}
	if got := second.Attributes[systemSender]; got != testAccount {
		q.Errorf("sender %s, want %s", got, testAccount)
	}
	for _, name := range []string{systemSent, systemFirstReceived} {
		at, err := strconv.ParseInt(second.Attributes[name], 10, 64)
		if err != nil || at < before || at > time.Now().UnixMilli() {
			q.Errorf("%s is %q", name, second.Attributes[name])
		}
		if first.Attributes[name] != second.Attributes[name] {
			q.Errorf("%s has changed from %s to %s", name, first.Attributes[name], second.Attributes[name])
		}
	}
}

func checkSystemAttributeSelection(q *testQueue) {
	q.send("x")
	for _, c := range []struct {
		names []types.MessageSystemAttributeName
		older []types.QueueAttributeName
		want  int
	}{
		{nil, nil, 0},
		{[]types.MessageSystemAttributeName{types.MessageSystemAttributeNameSenderId}, nil, 1},
		{nil, []types.QueueAttributeName{types.QueueAttributeNameAll}, 4},
	} {
		out, err := q.client.ReceiveMessage(q.Context(), &awssqs.ReceiveMessageInput{
			QueueUrl: &q.url, MessageSystemAttributeNames: c.names,
			AttributeNames: c.older, //nolint:staticcheck // older clients send it
		})
		if err != nil {
			q.Fatal(err)
		}
		if got := out.Messages[0].Attributes; len(got) != c.want {
			q.Errorf("asked for %v %v: got %v", c.names, c.older, got)
		}
		if err := q.changeVisibility(out.Messages[0].ReceiptHandle, 0); err != nil {
			q.Fatal(err)
		}
	}
	_, err := q.client.ReceiveMessage(q.Context(), &awssqs.ReceiveMessageInput{
		QueueUrl: &q.url, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"Nonsense"},
	})
	wantError(q, err, codeInvalidAttributeName)
}

func checkTraceHeaderAndGroup(q *testQueue) {
	const trace, group = "Root=1-5e3d83c1-e6a0db584850d61342823d4c", "tenant-1"
	sent, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: aws.String("x"), MessageGroupId: aws.String(group),
		MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{
			traceHeader: {DataType: aws.String("String"), StringValue: aws.String(trace)},
		},
	})
	if err != nil {
		q.Fatal(err)
	}
	if aws.ToString(sent.MD5OfMessageSystemAttributes) == "" {
		q.Error("no MD5 of the system attributes")
	}
	m := q.receiveOne(awssqs.ReceiveMessageInput{})
	if m.Attributes[traceHeader] != trace || m.Attributes[systemGroupID] != group {
		q.Errorf("received %v", m.Attributes)
	}
	_, err = q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: aws.String("x"), MessageDeduplicationId: aws.String("once"),
	})
	wantError(q, err, codeInvalidParameterValue)
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

func checkEmptyBody(q *testQueue) {
	_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String("")})
	wantError(q, err, codeMissingParameter)
}

func checkCharacters(q *testQueue) {
	for _, body := range []string{"nul \x00", "bell \a", "\uFFFE", "\uFFFF"} {
		_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: &body})
		wantError(q, err, codeInvalidMessageContents)
	}
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

func checkMessageBytes(q *testQueue) {
	q.send(strings.Repeat("x", maxMessageSize))
	_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String(strings.Repeat("x", maxMessageSize+1))})
	wantError(q, err, codeInvalidParameterValue)
}

func checkAttributeBytes(q *testQueue) {
	send := func(body int) error {
		_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{
			QueueUrl: &q.url, MessageBody: aws.String(strings.Repeat("x", body)),
			MessageAttributes: map[string]types.MessageAttributeValue{"name": stringAttribute("value")},
		})
		return err
	}
	attribute := len("name") + len("String") + len("value")
	if err := send(maxMessageSize - attribute); err != nil {
		q.Error(err)
	}
	wantError(q, send(maxMessageSize-attribute+1), codeInvalidParameterValue)
}

func checkMaximumMessageSize(q *testQueue) {
	small := q.create("small", map[string]string{attrMaximumMessageSize: "1024"})
	send := func(n int) error {
		_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &small, MessageBody: aws.String(strings.Repeat("x", n))})
		return err
	}
	if err := send(1024); err != nil {
		q.Error(err)
	}
	wantError(q, send(1025), codeInvalidParameterValue)
}

func checkAttributeRules(q *testQueue) {
	many := make(map[string]types.MessageAttributeValue)
	for i := range maxMessageAttributes + 1 {
		many[fmt.Sprintf("a%d", i)] = stringAttribute("x")
	}
	text, binary, number, nonsense := aws.String("String"), aws.String("Binary"), aws.String("Number"), aws.String("Nonsense")
	for name, attributes := range map[string]map[string]types.MessageAttributeValue{
		"eleven":                 many,
		"a reserved name":        {"AWS.x": stringAttribute("x")},
		"a name with a space":    {"a b": stringAttribute("x")},
		"a name with two dots":   {"a..b": stringAttribute("x")},
		"a name that is long":    {strings.Repeat("a", 257): stringAttribute("x")},
		"an empty string":        {"a": stringAttribute("")},
		"a forbidden character":  {"a": stringAttribute("\x01")},
		"a string without value": {"a": {DataType: text}},
		"a string of bytes":      {"a": {DataType: text, BinaryValue: []byte("x")}},
		"bytes of a string":      {"a": {DataType: binary, StringValue: text}},
		"no number":              {"a": {DataType: number, StringValue: aws.String("one")}},
		"an unknown type":        {"a": {DataType: nonsense, StringValue: text}},
	} {
		_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String("x"), MessageAttributes: attributes})
		if err == nil {
			q.Errorf("%s was accepted", name)
			continue
		}
		wantError(q, err, codeInvalidParameterValue)
	}
}
