package sqs

import (
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Decode returns the message that a Subscriber would make of what was received, for those who look at queues
// without consuming them. ReceiveCount and SentAt need the attributes of the same names to have been asked for.
func Decode(received types.Message) *message.Message {
	msg := decodeBody(aws.ToString(received.Body), aws.ToString(received.MessageId))
	describe(msg, received)
	return msg
}
