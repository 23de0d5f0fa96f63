// Package sqstest gives tests queues of their own on a real SQS server, the one that SLUICE_SQS_ENDPOINT names.
package sqstest

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/pipeline/sqs"
)

// MaxReceiveCount is how often a message of a test's queue is received before it goes to the dead-letter queue.
const MaxReceiveCount = 6

// environment is what a test needs to reach the server.
var environment = []string{"SLUICE_SQS_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"}

// requestTimeout is for the set-up's own requests.
const requestTimeout = 30 * time.Second

// Server is a test's view of the SQS server: queues with a prefix that no other test has.
type Server struct {
	AWS    aws.Config
	Config sqs.Config // Endpoint and Prefix set
	Client *awssqs.Client
	Queues *sqs.Queues

	t testing.TB
}

// New makes a queue and its dead-letter queue for each topic and deletes them when the test ends. It fails the test
// when there is no server.
func New(t testing.TB, topics ...string) *Server {
	t.Helper()
	for _, name := range environment {
		if os.Getenv(name) == "" {
			t.Fatalf("%s is not set: these tests need an SQS server, run them with `make test`", name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), requestTimeout)
	defer cancel()
	base, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		t.Fatalf("load the AWS configuration: %v", err)
	}
	settings := sqs.Config{
		Endpoint:     os.Getenv("SLUICE_SQS_ENDPOINT"),
		Prefix:       "test-" + uuid.NewString()[:13] + "-",
		MaxIdleConns: 128,
	}
	client := sqs.NewClient(base, settings)
	s := &Server{AWS: base, Config: settings, Client: client, Queues: sqs.NewQueues(client, settings.Prefix), t: t}
	for _, topic := range topics {
		deadLetters := s.create(ctx, topic+"-dlq", nil)
		s.create(ctx, topic, map[string]string{
			"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"%d"}`, deadLetters, MaxReceiveCount),
		})
	}
	return s
}

// create makes a queue, deletes it when the test ends, and returns its ARN.
func (s *Server) create(ctx context.Context, topic string, attributes map[string]string) string {
	s.t.Helper()
	name := s.Config.Prefix + topic
	queue, err := s.Client.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attributes})
	if err != nil {
		s.t.Fatalf("create queue %q: %v", name, err)
	}
	s.t.Cleanup(func() { //nolint:contextcheck // the test's own context has ended by then
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		defer cancel()
		if _, err := s.Client.DeleteQueue(ctx, &awssqs.DeleteQueueInput{QueueUrl: queue.QueueUrl}); err != nil {
			s.t.Errorf("delete queue %q: %v", name, err)
		}
	})
	output, err := s.Client.GetQueueAttributes(ctx, &awssqs.GetQueueAttributesInput{
		QueueUrl:       queue.QueueUrl,
		AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
	})
	if err != nil {
		s.t.Fatalf("get the ARN of queue %q: %v", name, err)
	}
	return output.Attributes[string(types.QueueAttributeNameQueueArn)]
}

// Send puts bodies on the topic's queue as they are, as a sender other than Sluice would.
func (s *Server) Send(topic string, bodies ...string) {
	s.t.Helper()
	url, err := s.Queues.URL(s.t.Context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, body := range bodies {
		if _, err := s.Client.SendMessage(s.t.Context(), &awssqs.SendMessageInput{
			QueueUrl:    aws.String(url),
			MessageBody: aws.String(body),
		}); err != nil {
			s.t.Fatalf("send to topic %q: %v", topic, err)
		}
	}
}

// Depth returns how many messages of the topic are visible and how many are in flight.
func (s *Server) Depth(topic string) (visible, inFlight int64) {
	s.t.Helper()
	visible, inFlight, _, err := s.Queues.Depth(s.t.Context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	return visible, inFlight
}
