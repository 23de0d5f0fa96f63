// Package deadletter is the operator's hand in the dead-letter queues: it looks at what lies there, sends it back to
// its stage or throws it away.
//
// Looking takes nothing away. SQS can only show a message by handing it out, so what is looked at is invisible to
// others for as long as that takes and given back at once; its receive count grows, which a dead-letter queue
// without a redrive policy of its own does not mind.
//
// IAM actions, on the dead-letter queues: sqs:GetQueueUrl, sqs:GetQueueAttributes, sqs:ReceiveMessage,
// sqs:ChangeMessageVisibility, sqs:DeleteMessage, sqs:StartMessageMoveTask, sqs:ListMessageMoveTasks and
// sqs:CancelMessageMoveTask; on the stages' queues: sqs:GetQueueUrl, sqs:GetQueueAttributes and sqs:SendMessage.
package deadletter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/s3event"
	"github.com/sluice-media/sluice/pipeline/sqs"
	"github.com/sluice-media/sluice/sagas"
)

// ErrNoMessage reports a message that was not found among the first Searched of its dead-letter queue.
var ErrNoMessage = errors.New("no such message in the dead-letter queue")

// Searched is how many messages of a dead-letter queue are looked at in search of one.
const Searched = 1000

// Queues are the dead-letter queues of all stages. It is safe for concurrent use.
type Queues struct {
	client *awssqs.Client
	queues *sqs.Queues
}

// New returns the dead-letter queues that go with queues.
func New(client *awssqs.Client, queues *sqs.Queues) *Queues {
	return &Queues{client: client, queues: queues}
}

// Depth says how full a stage's dead-letter queue is. SQS counts approximately.
type Depth struct {
	Queue    string `json:"queue"`
	Visible  int64  `json:"visible"`
	InFlight int64  `json:"in_flight"` // being looked at or moved by somebody
}

// Depth counts the messages in the stage's dead-letter queue.
func (q *Queues) Depth(ctx context.Context, stage string) (Depth, error) {
	topic := pipeline.DeadLetterTopic(stage)
	visible, inFlight, delayed, err := q.queues.Depth(ctx, topic)
	return Depth{Queue: q.queues.Name(topic), Visible: visible + delayed, InFlight: inFlight}, err
}

// Message is a dead letter.
type Message struct {
	ID           string            `json:"message_id"` // SQS's own
	Stage        string            `json:"stage"`      // that could not handle it
	SentAt       time.Time         `json:"sent_at"`
	ReceiveCount int               `json:"receive_count"` // with every look at it
	EnvelopeID   string            `json:"envelope_id"`
	Metadata     map[string]string `json:"metadata"`
	Payload      []byte            `json:"-"`
}

// MarshalJSON shows a payload that is JSON as it is, and any other as a string.
func (m Message) MarshalJSON() ([]byte, error) {
	type plain Message
	var payload any = string(m.Payload)
	if json.Valid(m.Payload) {
		payload = json.RawMessage(m.Payload)
	}
	return json.Marshal(struct {
		plain
		Payload any `json:"payload"`
	}{plain(m), payload})
}

func decode(stage string, received types.Message) Message {
	msg := sqs.Decode(received)
	m := Message{
		ID: aws.ToString(received.MessageId), Stage: stage, SentAt: sqs.SentAt(msg), ReceiveCount: sqs.ReceiveCount(msg),
		EnvelopeID: msg.UUID, Metadata: map[string]string{}, Payload: msg.Payload,
	}
	for key, value := range msg.Metadata {
		switch key {
		case sqs.MetadataMessageID, sqs.MetadataReceiveCount, sqs.MetadataSentTimestamp: // told above
		default:
			m.Metadata[key] = value
		}
	}
	return m
}

// Uploads returns the uploads that the message is about, as they stand now: one for a job, one for each object of an
// S3 notification that has one. An error says why there is none; with sagas.ErrNotFound nothing waits for the message.
func (m Message) Uploads(ctx context.Context, store *sagas.Store) ([]sagas.Upload, error) {
	if m.Stage == pipeline.Intake {
		return m.eventUploads(ctx, store)
	}
	id, err := pipeline.JobUpload(m.Payload)
	if err != nil {
		return nil, err
	}
	u, err := store.Load(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("upload %s: %w", id, err)
	}
	return []sagas.Upload{u}, nil
}

func (m Message) eventUploads(ctx context.Context, store *sagas.Store) ([]sagas.Upload, error) {
	events, err := s3event.Decode(m.Payload)
	errs := []error{err}
	var uploads []sagas.Upload
	seen := map[uuid.UUID]bool{}
	for _, e := range events {
		u, err := store.LoadByObject(ctx, e.Bucket, e.Key)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("object %s/%s: %w", e.Bucket, e.Key, err))
		case !seen[u.ID]:
			seen[u.ID] = true
			uploads = append(uploads, u)
		}
	}
	return uploads, errors.Join(errs...)
}
