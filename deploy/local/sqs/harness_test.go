package sqs

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

const (
	testAccessKey = "AKIDEXAMPLE"
	testSecretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	testRegion    = "eu-central-1"
	testAccount   = "123456789012"
)

func testConfig(tb testing.TB, dir string) Config {
	tb.Helper()
	return Config{
		Dir: dir, Region: testRegion, AccountID: testAccount,
		Credentials: map[string]string{testAccessKey: testSecretKey},
		Logger:      slog.New(slog.NewTextHandler(tb.Output(), nil)),
	}
}

// openServer opens a server on the folder for the length of the test.
func openServer(tb testing.TB, dir string) *Server {
	tb.Helper()
	s, err := Open(testConfig(tb, dir))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// clientOf returns an SDK client of a server at a URL, which does not retry.
func clientOf(url string, httpClient aws.HTTPClient, with ...func(*awssqs.Options)) *awssqs.Client {
	options := awssqs.Options{
		Region:       testRegion,
		BaseEndpoint: aws.String(url),
		Credentials:  credentials.NewStaticCredentialsProvider(testAccessKey, testSecretKey, ""),
		HTTPClient:   httpClient,
		Retryer:      aws.NopRetryer{},
	}
	return awssqs.New(options, with...)
}

// testQueue is a queue on a server of its own, reached by the SDK over
// loopback.
type testQueue struct {
	testing.TB
	server *Server
	http   *httptest.Server
	client *awssqs.Client
	url    string
}

// newTestQueue starts a server with one queue named q.
func newTestQueue(tb testing.TB, attributes map[string]string) *testQueue {
	tb.Helper()
	server := openServer(tb, tb.TempDir())
	listening := httptest.NewServer(server)
	tb.Cleanup(listening.Close)
	q := &testQueue{TB: tb, server: server, http: listening, client: clientOf(listening.URL, listening.Client())}
	q.url = q.create("q", attributes)
	return q
}

func (q *testQueue) create(name string, attributes map[string]string) string {
	q.Helper()
	out, err := q.client.CreateQueue(q.Context(), &awssqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		q.Fatal(err)
	}
	return *out.QueueUrl
}

func (q *testQueue) send(body string) string {
	q.Helper()
	out, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: &body})
	if err != nil {
		q.Fatal(err)
	}
	return *out.MessageId
}

// receive receives with the input, whose queue is q's unless it says another.
func (q *testQueue) receive(in awssqs.ReceiveMessageInput) []types.Message {
	q.Helper()
	messages, err := q.tryReceive(in)
	if err != nil {
		q.Fatal(err)
	}
	return messages
}

func (q *testQueue) tryReceive(in awssqs.ReceiveMessageInput) ([]types.Message, error) {
	if in.QueueUrl == nil {
		in.QueueUrl = &q.url
	}
	in.MessageSystemAttributeNames = []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}
	out, err := q.client.ReceiveMessage(q.Context(), &in)
	if err != nil {
		return nil, err
	}
	return out.Messages, nil
}

// poll receives in the background.
func (q *testQueue) poll(in awssqs.ReceiveMessageInput) <-chan []types.Message {
	received := make(chan []types.Message, 1)
	go func() {
		messages, err := q.tryReceive(in)
		if err != nil {
			q.Error(err)
		}
		received <- messages
	}()
	return received
}

// receiveOne receives the one message that must be there.
func (q *testQueue) receiveOne(in awssqs.ReceiveMessageInput) types.Message {
	q.Helper()
	messages := q.receive(in)
	if len(messages) != 1 {
		q.Fatalf("received %d messages, want 1", len(messages))
	}
	return messages[0]
}

func (q *testQueue) delete(handle *string) {
	q.Helper()
	if _, err := q.client.DeleteMessage(q.Context(), &awssqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: handle}); err != nil {
		q.Fatal(err)
	}
}

func (q *testQueue) changeVisibility(handle *string, timeout int32) error {
	_, err := q.client.ChangeMessageVisibility(q.Context(), &awssqs.ChangeMessageVisibilityInput{
		QueueUrl: &q.url, ReceiptHandle: handle, VisibilityTimeout: timeout,
	})
	return err
}

func (q *testQueue) attributes(url string) map[string]string {
	q.Helper()
	out, err := q.client.GetQueueAttributes(q.Context(), &awssqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil {
		q.Fatal(err)
	}
	return out.Attributes
}

// counts shows how many messages are visible, in flight and delayed.
func (q *testQueue) counts(url string) string {
	q.Helper()
	a := q.attributes(url)
	return fmt.Sprintf("%s visible, %s in flight, %s delayed", a[attrVisible], a[attrNotVisible], a[attrDelayed])
}

func (q *testQueue) wantCounts(url string, visible, inFlight, delayed int) {
	q.Helper()
	want := fmt.Sprintf("%d visible, %d in flight, %d delayed", visible, inFlight, delayed)
	if got := q.counts(url); got != want {
		q.Errorf("the queue has %s, want %s", got, want)
	}
}

// wantError checks that a call failed with an SQS error, by its older code,
// which the SDK shows, or its shape's name.
func wantError(tb testing.TB, err error, code string) {
	tb.Helper()
	var refusal smithy.APIError
	if !errors.As(err, &refusal) {
		tb.Errorf("got error %v, want %s", err, code)
		return
	}
	want := (&Error{Code: code}).queryError()
	if got := refusal.ErrorCode() + ";" + faultSender; got != want {
		tb.Errorf("got error %v with code %s, want %s", err, got, want)
	}
}

// inProcess is an HTTP client that calls the handler directly. Time inside a
// synctest bubble stands still for it, as it could not for a network.
type inProcess struct{ handler http.Handler }

// Do implements aws.HTTPClient.
func (c inProcess) Do(r *http.Request) (*http.Response, error) {
	served := r.Clone(r.Context())
	if served.Body == nil {
		served.Body = http.NoBody
	}
	served.RequestURI = r.URL.RequestURI()
	served.Host = r.URL.Host
	recorder := httptest.NewRecorder()
	c.handler.ServeHTTP(recorder, served)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}
