package sqs

import (
	"testing"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
)

func TestSendReceiveDelete(t *testing.T) {
	q := newTestQueue(t, nil)
	id := q.send("hello <world> & ünïcödé")
	q.wantCounts(q.url, 1, 0, 0)
	m := q.receiveOne(awssqs.ReceiveMessageInput{})
	if *m.MessageId != id || *m.Body != "hello <world> & ünïcödé" {
		t.Errorf("received %s %q", *m.MessageId, *m.Body)
	}
	q.wantCounts(q.url, 0, 1, 0)
	q.delete(m.ReceiptHandle)
	q.wantCounts(q.url, 0, 0, 0)
}
