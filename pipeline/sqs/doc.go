// Package sqs carries Watermill messages over Amazon SQS: a message.Subscriber and a message.Publisher on
// aws-sdk-go-v2, made for jobs that last from a millisecond to hours.
//
// A topic is a queue: its name is Config.Prefix + topic. Queues and their dead-letter queues are made by whoever
// deploys Sluice; this package looks their URLs up and never creates one. Each queue wants a redrive policy, since a
// message that keeps failing is given back again and again, and a MaximumMessageSize of 256 KiB.
//
// The life of a received message, which the rest of the package implements:
//
//	slot → receive → lease ─┬─ ack ──▶ DeleteMessageBatch
//	        │               ├─ nack ─▶ visibility = backoff from the receive count
//	        │               ├─ lost ─▶ context cancelled, a later ack or nack does nothing
//	        └─ shutting down┴─ left ─▶ visibility = 0, at once someone else's
//
// A message is only asked for when a slot is free to handle it (slots.go, receiver.go), by as many polls at a time as
// help (polltimes.go). While its handler runs,
// heartbeats keep it invisible to others (heartbeat.go); its context ends when that fails, so two handlers of one
// message do not knowingly run side by side (lease.go). Acks, nacks and sends travel in batches, which wait for company
// while it keeps coming (batcher.go, patience.go); acks and nacks on a context that outlives shutdown (settle.go). A gate pauses receiving while something that every handler needs is away (gate.go).
//
// IAM actions: sqs:GetQueueUrl, sqs:ReceiveMessage, sqs:DeleteMessage and sqs:ChangeMessageVisibility to subscribe,
// sqs:GetQueueUrl and sqs:SendMessage to publish, sqs:GetQueueAttributes for Queues.Depth.
package sqs
