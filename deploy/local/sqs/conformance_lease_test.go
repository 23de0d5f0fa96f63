package sqs

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func checkReceiptHandles(q *testQueue) {
	q.send("x")
	good := *q.receiveOne(awssqs.ReceiveMessageInput{}).ReceiptHandle
	other := q.create("other", nil)
	for name, c := range map[string]struct{ url, handle string }{
		"nonsense":            {q.url, "nonsense"},
		"a cut handle":        {q.url, good[:len(good)-4]},
		"another queue's":     {other, good},
		"a handle and a half": {q.url, good + good},
	} {
		_, err := q.client.DeleteMessage(q.Context(), &awssqs.DeleteMessageInput{QueueUrl: &c.url, ReceiptHandle: &c.handle})
		if err == nil {
			q.Errorf("%s was accepted", name)
			continue
		}
		wantError(q, err, codeReceiptHandleIsInvalid)
		_, err = q.client.ChangeMessageVisibility(q.Context(), &awssqs.ChangeMessageVisibilityInput{QueueUrl: &c.url, ReceiptHandle: &c.handle, VisibilityTimeout: 1})
		wantError(q, err, codeReceiptHandleIsInvalid)
	}
	q.wantCounts(q.url, 0, 1, 0)
}

func checkStaleReceipt(q *testQueue) {
	q.send("x")
	first := q.receiveOne(awssqs.ReceiveMessageInput{})
	if err := q.changeVisibility(first.ReceiptHandle, 0); err != nil {
		q.Fatal(err)
	}
	second := q.receiveOne(awssqs.ReceiveMessageInput{})
	if *first.ReceiptHandle == *second.ReceiptHandle {
		q.Error("two receives gave the same receipt handle")
	}
	q.delete(first.ReceiptHandle)
	wantError(q, q.changeVisibility(first.ReceiptHandle, 0), codeInvalidParameterValue)
	q.wantCounts(q.url, 0, 1, 0)
	q.delete(second.ReceiptHandle)
	q.wantCounts(q.url, 0, 0, 0)
}

func checkDeleteAfterLease(q *testQueue) {
	q.send("x")
	m := q.receiveOne(awssqs.ReceiveMessageInput{})
	if err := q.changeVisibility(m.ReceiptHandle, 0); err != nil {
		q.Fatal(err)
	}
	q.wantCounts(q.url, 1, 0, 0)
	q.delete(m.ReceiptHandle)
	q.wantCounts(q.url, 0, 0, 0)
}

func checkDeleteTwice(q *testQueue) {
	q.send("x")
	m := q.receiveOne(awssqs.ReceiveMessageInput{})
	q.delete(m.ReceiptHandle)
	q.delete(m.ReceiptHandle)
	wantError(q, q.changeVisibility(m.ReceiptHandle, 1), codeInvalidParameterValue)
}

func checkVisibilityZero(q *testQueue) {
	q.send("x")
	m := q.receiveOne(awssqs.ReceiveMessageInput{VisibilityTimeout: 43200})
	q.wantCounts(q.url, 0, 1, 0)
	if err := q.changeVisibility(m.ReceiptHandle, 0); err != nil {
		q.Fatal(err)
	}
	q.wantCounts(q.url, 1, 0, 0)
	if again := q.receiveOne(awssqs.ReceiveMessageInput{}); *again.MessageId != *m.MessageId {
		q.Errorf("received %s, want %s", *again.MessageId, *m.MessageId)
	}
}

func checkNotInFlight(q *testQueue) {
	q.send("x")
	m := q.receiveOne(awssqs.ReceiveMessageInput{})
	if err := q.changeVisibility(m.ReceiptHandle, 0); err != nil {
		q.Fatal(err)
	}
	wantError(q, q.changeVisibility(m.ReceiptHandle, 30), codeMessageNotInflight)
}

func checkVisibilityBounds(q *testQueue) {
	q.send("x")
	m := q.receiveOne(awssqs.ReceiveMessageInput{})
	wantError(q, q.changeVisibility(m.ReceiptHandle, -1), codeInvalidParameterValue)
	wantError(q, q.changeVisibility(m.ReceiptHandle, 43201), codeInvalidParameterValue)
}

func sendEntries(bodies ...string) []types.SendMessageBatchRequestEntry {
	entries := make([]types.SendMessageBatchRequestEntry, len(bodies))
	for i, body := range bodies {
		entries[i] = types.SendMessageBatchRequestEntry{Id: aws.String(string(rune('a' + i))), MessageBody: aws.String(body)}
	}
	return entries
}

func (q *testQueue) sendBatch(entries []types.SendMessageBatchRequestEntry) (*awssqs.SendMessageBatchOutput, error) {
	return q.client.SendMessageBatch(q.Context(), &awssqs.SendMessageBatchInput{QueueUrl: &q.url, Entries: entries})
}

func checkBatchLifecycle(q *testQueue) {
	entries := sendEntries("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
	entries[9].DelaySeconds = 900
	sent, err := q.sendBatch(entries)
	if err != nil {
		q.Fatal(err)
	}
	if len(sent.Successful) != 10 || len(sent.Failed) != 0 {
		q.Fatalf("sent %d, failed %v", len(sent.Successful), sent.Failed)
	}
	q.wantCounts(q.url, 9, 0, 1)
	var doomed []types.DeleteMessageBatchRequestEntry
	for i, m := range q.receive(awssqs.ReceiveMessageInput{MaxNumberOfMessages: 10}) {
		if *m.MessageId != *sent.Successful[i].MessageId {
			q.Errorf("message %d is %s, want %s", i, *m.MessageId, *sent.Successful[i].MessageId)
		}
		doomed = append(doomed, types.DeleteMessageBatchRequestEntry{Id: entries[i].Id, ReceiptHandle: m.ReceiptHandle})
	}
	q.wantCounts(q.url, 0, 9, 1)
	deleted, err := q.client.DeleteMessageBatch(q.Context(), &awssqs.DeleteMessageBatchInput{QueueUrl: &q.url, Entries: doomed})
	if err != nil {
		q.Fatal(err)
	}
	if len(deleted.Successful) != 9 || len(deleted.Failed) != 0 {
		q.Errorf("deleted %d, failed %v", len(deleted.Successful), deleted.Failed)
	}
	q.wantCounts(q.url, 0, 0, 1)
}

func checkBatchPartialFailure(q *testQueue) {
	entries := sendEntries("good", "bad \x00", "late")
	entries[2].DelaySeconds = 901
	sent, err := q.sendBatch(entries)
	if err != nil {
		q.Fatal(err)
	}
	if len(sent.Successful) != 1 || *sent.Successful[0].Id != "a" {
		q.Errorf("sent %v", sent.Successful)
	}
	wantFailures(q, sent.Failed, map[string]string{"b": codeInvalidMessageContents, "c": codeInvalidParameterValue})
	m := q.receiveOne(awssqs.ReceiveMessageInput{})
	deleted, err := q.client.DeleteMessageBatch(q.Context(), &awssqs.DeleteMessageBatchInput{
		QueueUrl: &q.url, Entries: []types.DeleteMessageBatchRequestEntry{
			{Id: aws.String("bad"), ReceiptHandle: aws.String("nonsense")},
			{Id: aws.String("good"), ReceiptHandle: m.ReceiptHandle},
		},
	})
	if err != nil {
		q.Fatal(err)
	}
	if len(deleted.Successful) != 1 || *deleted.Successful[0].Id != "good" {
		q.Errorf("deleted %v", deleted.Successful)
	}
	wantFailures(q, deleted.Failed, map[string]string{"bad": codeReceiptHandleIsInvalid})
}

func wantFailures(q *testQueue, failed []types.BatchResultErrorEntry, want map[string]string) {
	q.Helper()
	if len(failed) != len(want) {
		q.Errorf("%d entries failed, want %d", len(failed), len(want))
	}
	for _, f := range failed {
		if *f.Code != want[*f.Id] || !f.SenderFault || aws.ToString(f.Message) == "" {
			q.Errorf("entry %s failed with %s (sender's fault: %t), want %s", *f.Id, *f.Code, f.SenderFault, want[*f.Id])
		}
	}
}

func checkBatchRules(q *testQueue) {
	repeated, unnamed := sendEntries("1", "2"), sendEntries("1")
	repeated[1].Id = repeated[0].Id
	unnamed[0].Id = aws.String("not an id")
	for code, entries := range map[string][]types.SendMessageBatchRequestEntry{
		codeEmptyBatchRequest:        {},
		codeTooManyEntriesInBatch:    sendEntries(strings.Split("0123456789x", "")...),
		codeBatchEntryIDsNotDistinct: repeated,
		codeInvalidBatchEntryID:      unnamed,
	} {
		_, err := q.sendBatch(entries)
		wantError(q, err, code)
		var doomed []types.DeleteMessageBatchRequestEntry
		var changed []types.ChangeMessageVisibilityBatchRequestEntry
		for _, e := range entries {
			doomed = append(doomed, types.DeleteMessageBatchRequestEntry{Id: e.Id, ReceiptHandle: aws.String("x")})
			changed = append(changed, types.ChangeMessageVisibilityBatchRequestEntry{Id: e.Id, ReceiptHandle: aws.String("x")})
		}
		if len(entries) == 0 {
			continue // the SDK does not send these without entries
		}
		_, err = q.client.DeleteMessageBatch(q.Context(), &awssqs.DeleteMessageBatchInput{QueueUrl: &q.url, Entries: doomed})
		wantError(q, err, code)
		_, err = q.client.ChangeMessageVisibilityBatch(q.Context(), &awssqs.ChangeMessageVisibilityBatchInput{QueueUrl: &q.url, Entries: changed})
		wantError(q, err, code)
	}
	q.wantCounts(q.url, 0, 0, 0)
}

func checkBatchBytes(q *testQueue) {
	half := strings.Repeat("x", maxMessageSize/2)
	if _, err := q.sendBatch(sendEntries(half, half)); err != nil {
		q.Error(err)
	}
	_, err := q.sendBatch(sendEntries(half, half+"x"))
	wantError(q, err, codeBatchRequestTooLong)
	q.wantCounts(q.url, 2, 0, 0)
}

func checkVisibilityBatch(q *testQueue) {
	if _, err := q.sendBatch(sendEntries("0", "1", "2")); err != nil {
		q.Fatal(err)
	}
	var entries []types.ChangeMessageVisibilityBatchRequestEntry
	for _, m := range q.receive(awssqs.ReceiveMessageInput{MaxNumberOfMessages: 10}) {
		entries = append(entries, types.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String("m" + *m.Body), ReceiptHandle: m.ReceiptHandle})
	}
	entries[1].VisibilityTimeout = 60
	entries[2].VisibilityTimeout = 43201
	out, err := q.client.ChangeMessageVisibilityBatch(q.Context(), &awssqs.ChangeMessageVisibilityBatchInput{QueueUrl: &q.url, Entries: entries})
	if err != nil {
		q.Fatal(err)
	}
	if len(out.Successful) != 2 {
		q.Errorf("changed %v", out.Successful)
	}
	wantFailures(q, out.Failed, map[string]string{"m2": codeInvalidParameterValue})
	q.wantCounts(q.url, 1, 2, 0)
}

// checkDeadLetter follows a message to a dead-letter queue.
func checkDeadLetter(q *testQueue) {
	dead := q.create("dead", nil)
	if err := q.set(q.url, q.redrivePolicy("dead", 2)); err != nil {
		q.Fatal(err)
	}
	sent, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: aws.String("poison"),
		MessageAttributes: map[string]types.MessageAttributeValue{"kind": stringAttribute("test")},
	})
	if err != nil {
		q.Fatal(err)
	}
	for range 2 {
		m := q.receiveOne(awssqs.ReceiveMessageInput{})
		if err := q.changeVisibility(m.ReceiptHandle, 0); err != nil {
			q.Fatal(err)
		}
	}
	if got := q.receive(awssqs.ReceiveMessageInput{}); len(got) != 0 {
		q.Errorf("received the message a third time")
	}
	q.wantCounts(q.url, 0, 0, 0)
	m := q.receiveOne(awssqs.ReceiveMessageInput{QueueUrl: &dead, MessageAttributeNames: []string{"All"}})
	if *m.MessageId != *sent.MessageId || *m.Body != "poison" || *m.MessageAttributes["kind"].StringValue != "test" {
		q.Errorf("the dead-letter queue has %s %q %v", *m.MessageId, *m.Body, m.MessageAttributes)
	}
	if got, want := m.Attributes[systemSource], q.server.arn("q"); got != want {
		q.Errorf("the message came from %q, want %q", got, want)
	}
	if got := m.Attributes[systemReceiveCount]; got != "3" {
		q.Errorf("received %s times, want 3", got)
	}
}

func checkMoveTaskRules(q *testQueue) {
	q.create("dead", nil)
	q.create("source", q.redrivePolicy("dead", 1))
	for code, in := range map[string]*awssqs.StartMessageMoveTaskInput{
		codeResourceNotFound:      {SourceArn: aws.String(q.server.arn("absent"))},
		codeInvalidParameterValue: {SourceArn: aws.String(q.server.arn("q"))},
	} {
		_, err := q.client.StartMessageMoveTask(q.Context(), in)
		wantError(q, err, code)
	}
	deadARN := q.server.arn("dead")
	for code, in := range map[string]*awssqs.StartMessageMoveTaskInput{
		codeResourceNotFound:      {DestinationArn: aws.String(q.server.arn("absent"))},
		codeInvalidParameterValue: {DestinationArn: &deadARN},
	} {
		in.SourceArn = &deadARN
		_, err := q.client.StartMessageMoveTask(q.Context(), in)
		wantError(q, err, code)
	}
	_, err := q.client.StartMessageMoveTask(q.Context(), &awssqs.StartMessageMoveTaskInput{SourceArn: &deadARN, MaxNumberOfMessagesPerSecond: aws.Int32(501)})
	wantError(q, err, codeInvalidParameterValue)
	_, err = q.client.CancelMessageMoveTask(q.Context(), &awssqs.CancelMessageMoveTaskInput{TaskHandle: aws.String("absent")})
	wantError(q, err, codeResourceNotFound)
	_, err = q.client.ListMessageMoveTasks(q.Context(), &awssqs.ListMessageMoveTasksInput{SourceArn: aws.String(q.server.arn("absent"))})
	wantError(q, err, codeResourceNotFound)
}
