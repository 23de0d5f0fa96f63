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
	// MetadataSentTimestamp is when SQS took the message, in milliseconds since 1970.
	MetadataSentTimestamp = "sqs_sent_timestamp"
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
	millis, err := strconv.ParseInt(msg.Metadata.Get(MetadataSentTimestamp), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
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
	msg.Metadata.Set(MetadataSentTimestamp, received.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)])
}

// sendableMetadata returns metadata without what describe sets.
func sendableMetadata(metadata map[string]string) map[string]string {
	sendable := make(map[string]string, len(metadata))
	for key, value := range metadata {
		switch key {
		case MetadataReceiveCount, MetadataSentTimestamp, MetadataMessageID:
		default:
			sendable[key] = value
		}
	}
	return sendable
}
