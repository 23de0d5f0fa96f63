package sqs

import (
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// What the Subscriber says about a message in its metadata. The Publisher does not pass these on.
const (
	// MetadataReceiveCount is how often the message has been received so far, this time included.
	MetadataReceiveCount = "sqs_receive_count"
	// MetadataSentAt is when SQS took the message, as RFC 3339 with milliseconds.
	MetadataSentAt = "sqs_sent_at"
	// MetadataMessageID is SQS's own id of the message; it stays the same in the dead-letter queue.
	MetadataMessageID = "sqs_message_id"
)

// ReceiveCount returns how often msg has been received so far, this time included; 0 when it did not come from SQS.
func ReceiveCount(msg *message.Message) int {
	count, err := strconv.Atoi(msg.Metadata.Get(MetadataReceiveCount))
	if err != nil {
		return 0
	}
	return count
}

// SentAt returns when msg was sent, by SQS's clock; the zero time when it did not come from SQS.
func SentAt(msg *message.Message) time.Time {
	sent, err := time.Parse(time.RFC3339Nano, msg.Metadata.Get(MetadataSentAt))
	if err != nil {
		return time.Time{}
	}
	return sent
}

// receivedAttributes are the system attributes that describe needs.
var receivedAttributes = []types.MessageSystemAttributeName{
	types.MessageSystemAttributeNameApproximateReceiveCount,
	types.MessageSystemAttributeNameSentTimestamp,
}

// describe puts into msg's metadata what SQS said about it.
func describe(msg *message.Message, received types.Message) {
	msg.Metadata.Set(MetadataMessageID, aws.ToString(received.MessageId))
	msg.Metadata.Set(MetadataReceiveCount, received.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
	if millis, err := strconv.ParseInt(received.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)], 10, 64); err == nil {
		msg.Metadata.Set(MetadataSentAt, time.UnixMilli(millis).UTC().Format(time.RFC3339Nano))
	}
}

// sendableMetadata returns metadata without what describe sets.
func sendableMetadata(metadata map[string]string) map[string]string {
	sendable := make(map[string]string, len(metadata))
	for key, value := range metadata {
		switch key {
		case MetadataReceiveCount, MetadataSentAt, MetadataMessageID:
		default:
			sendable[key] = value
		}
	}
	return sendable
}
