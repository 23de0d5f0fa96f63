package deadletter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/deadletter"
	"github.com/sluice-media/sluice/pipeline/sqs"
	"github.com/sluice-media/sluice/pipeline/sqs/sqstest"
	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

type testBundle struct {
	server  *sqstest.Server
	letters *deadletter.Queues
}

func newTestBundle(t *testing.T, stages ...string) *testBundle {
	t.Helper()
	topics := make([]string, len(stages))
	for i, stage := range stages {
		topics[i] = pipeline.Topic(stage)
	}
	server := sqstest.New(t, topics...)
	return &testBundle{server: server, letters: deadletter.New(server.Client, server.Queues)}
}

// bury puts bodies into the dead-letter queue of a stage and returns their ids.
func (b *testBundle) bury(t *testing.T, stage string, bodies ...string) []string {
	t.Helper()
	url, err := b.server.Queues.URL(t.Context(), pipeline.DeadLetterTopic(stage))
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, len(bodies))
	for i, body := range bodies {
		kind, value := "String", "kept"
		out, err := b.server.Client.SendMessage(t.Context(), &awssqs.SendMessageInput{
			QueueUrl: &url, MessageBody: &body,
			MessageAttributes: map[string]types.MessageAttributeValue{"trace": {DataType: &kind, StringValue: &value}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = *out.MessageId
	}
	return ids
}

// wantDepth checks how many messages are visible, and that nobody holds one.
func (b *testBundle) wantDepth(t *testing.T, topic string, want int64) {
	t.Helper()
	if visible, inFlight := b.server.Depth(topic); visible != want || inFlight != 0 {
		t.Errorf("%s has %d visible and %d in flight, want %d and 0", topic, visible, inFlight, want)
	}
}

func job(id uuid.UUID) string {
	return fmt.Sprintf(`{"id":"%s-3","metadata":{"attempt":"2"},"payload":{"upload_id":"%s"}}`, id, id)
}

func TestPeekLeavesEverything(t *testing.T) {
	b := newTestBundle(t, pipeline.Verify)
	bodies := make([]string, 23)
	for i := range bodies {
		bodies[i] = job(uuid.New())
	}
	ids := b.bury(t, pipeline.Verify, bodies...)

	for _, most := range []int{0, 1, 12, 23, 100} {
		messages, err := b.letters.Peek(t.Context(), pipeline.Verify, most)
		if err != nil {
			t.Fatal(err)
		}
		if want := min(most, len(ids)); len(messages) != want {
			t.Errorf("%d of at most %d messages", len(messages), most)
		}
		seen := map[string]bool{}
		for _, m := range messages {
			if seen[m.ID] || !slices.Contains(ids, m.ID) {
				t.Errorf("message %s was not sent, or is there twice", m.ID)
			}
			seen[m.ID] = true
		}
		b.wantDepth(t, "verify-dlq", int64(len(ids)))
	}
	depth, err := b.letters.Depth(t.Context(), pipeline.Verify)
	if err != nil || depth != (deadletter.Depth{Queue: b.server.Config.Prefix + "verify-dlq", Visible: 23}) {
		t.Errorf("%+v, %v", depth, err)
	}
}

func TestFind(t *testing.T) {
	b := newTestBundle(t, pipeline.Verify)
	upload := uuid.New()
	ids := b.bury(t, pipeline.Verify, job(uuid.New()), job(upload), "garbage")

	m, err := b.letters.Find(t.Context(), pipeline.Verify, ids[1])
	if err != nil {
		t.Fatal(err)
	}
	if m.Stage != pipeline.Verify || m.EnvelopeID != upload.String()+"-3" || len(m.Metadata) != 1 || m.Metadata["attempt"] != "2" ||
		m.ReceiveCount < 1 || time.Since(m.SentAt).Abs() > time.Minute {
		t.Errorf("found %+v", m)
	}
	encoded, err := json.Marshal(m)
	if err != nil || !strings.Contains(string(encoded), `"payload":{"upload_id":"`+upload.String()+`"}`) {
		t.Errorf("%s, %v", encoded, err)
	}
	garbage, err := b.letters.Find(t.Context(), pipeline.Verify, ids[2])
	if err != nil {
		t.Fatal(err)
	}
	if encoded, err := json.Marshal(garbage); err != nil || !strings.Contains(string(encoded), `"payload":"garbage"`) {
		t.Errorf("%s, %v", encoded, err)
	}
	if _, err := b.letters.Find(t.Context(), pipeline.Verify, uuid.NewString()); !errors.Is(err, deadletter.ErrNoMessage) {
		t.Errorf("error %v", err)
	}
	b.wantDepth(t, "verify-dlq", 3)
}

func TestDiscardTakesOnlyOne(t *testing.T) {
	b := newTestBundle(t, pipeline.Scan)
	ids := b.bury(t, pipeline.Scan, job(uuid.New()), job(uuid.New()), job(uuid.New()))
	if err := b.letters.Discard(t.Context(), pipeline.Scan, ids[1]); err != nil {
		t.Fatal(err)
	}
	b.wantDepth(t, "scan-dlq", 2)
	b.wantDepth(t, "scan", 0)
	if err := b.letters.Discard(t.Context(), pipeline.Scan, ids[1]); !errors.Is(err, deadletter.ErrNoMessage) {
		t.Errorf("error %v", err)
	}
}

func TestRedriveOfOneMessage(t *testing.T) {
	b := newTestBundle(t, pipeline.Intake)
	ids := b.bury(t, pipeline.Intake, "first", "second")
	if err := b.letters.RedriveMessage(t.Context(), pipeline.Intake, ids[0]); err != nil {
		t.Fatal(err)
	}
	b.wantDepth(t, "s3-events-dlq", 1)
	url, err := b.server.Queues.URL(t.Context(), pipeline.EventsTopic)
	if err != nil {
		t.Fatal(err)
	}
	out, err := b.server.Client.ReceiveMessage(t.Context(), &awssqs.ReceiveMessageInput{
		QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: 5, MessageAttributeNames: []string{"All"},
	})
	if err != nil || len(out.Messages) != 1 || *out.Messages[0].Body != "first" || *out.Messages[0].MessageAttributes["trace"].StringValue != "kept" {
		t.Errorf("the stage gets %+v, %v", out, err)
	}
	if err := b.letters.RedriveMessage(t.Context(), pipeline.Intake, ids[0]); !errors.Is(err, deadletter.ErrNoMessage) {
		t.Errorf("error %v", err)
	}
}

// A message that could not be sent back must stay where it is.
func TestRedriveThatFailsKeepsTheMessage(t *testing.T) {
	b := newTestBundle(t, pipeline.Verify)
	id := b.bury(t, pipeline.Verify, job(uuid.New()))[0]
	failing := sqs.NewClient(b.server.AWS, b.server.Config, func(o *awssqs.Options) {
		o.HTTPClient = refuse{action: "AmazonSQS.SendMessage", next: o.HTTPClient}
		o.RetryMaxAttempts = 1
	})
	letters := deadletter.New(failing, sqs.NewQueues(failing, b.server.Config.Prefix))
	if err := letters.RedriveMessage(t.Context(), pipeline.Verify, id); !errors.Is(err, errRefused) {
		t.Errorf("error %v", err)
	}
	b.wantDepth(t, "verify-dlq", 1)
}

var errRefused = errors.New("refused")

// refuse fails the requests of one action.
type refuse struct {
	action string
	next   awssqs.HTTPClient
}

func (r refuse) Do(req *http.Request) (*http.Response, error) {
	if req.Header.Get("X-Amz-Target") == r.action {
		return nil, errRefused
	}
	return r.next.Do(req)
}

// SQS delivers at least once: it may hand out again what is held.
func TestPeekShowsAMessageOnce(t *testing.T) {
	b := newTestBundle(t, pipeline.Verify)
	b.bury(t, pipeline.Verify, "one", "two")
	stuttering := sqs.NewClient(b.server.AWS, b.server.Config, func(o *awssqs.Options) {
		o.HTTPClient = &stutter{action: "AmazonSQS.ReceiveMessage", next: o.HTTPClient}
	})
	letters := deadletter.New(stuttering, sqs.NewQueues(stuttering, b.server.Config.Prefix))
	messages, err := letters.Peek(t.Context(), pipeline.Verify, 10)
	if err != nil || len(messages) != 2 {
		t.Errorf("%d messages, %v", len(messages), err)
	}
	b.wantDepth(t, "verify-dlq", 2)
}

// stutter answers the requests of one action with the first answer.
type stutter struct {
	action string
	next   awssqs.HTTPClient
	body   []byte
}

func (s *stutter) Do(req *http.Request) (*http.Response, error) {
	resp, err := s.next.Do(req)
	if err != nil || req.Header.Get("X-Amz-Target") != s.action {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if s.body == nil {
		s.body = body
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(s.body)), int64(len(s.body))
	return resp, err
}

func TestRedriveOfAll(t *testing.T) {
	b := newTestBundle(t, pipeline.Notify)
	bodies := slices.Repeat([]string{"x"}, 30)
	b.bury(t, pipeline.Notify, bodies...)
	var reports []deadletter.Progress
	last, err := b.letters.Redrive(t.Context(), pipeline.Notify, 0, func(p deadletter.Progress) { reports = append(reports, p) })
	if err != nil || last.Moved != 30 || last.ToMove != 30 {
		t.Fatalf("%+v, %v after %+v", last, err, reports)
	}
	b.wantDepth(t, "notify-dlq", 0)
	b.wantDepth(t, "notify", 30)
}

func TestRedriveStopsWithItsContext(t *testing.T) {
	b := newTestBundle(t, pipeline.Notify)
	b.bury(t, pipeline.Notify, slices.Repeat([]string{"x"}, 20)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := b.letters.Redrive(ctx, pipeline.Notify, 1, func(deadletter.Progress) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	// A queue has one move at a time: only when the first has been stopped can another begin, and move the rest.
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, err = b.letters.Redrive(t.Context(), pipeline.Notify, 0, func(deadletter.Progress) {})
		if err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		t.Error(err)
	}
	b.wantDepth(t, "notify-dlq", 0)
	b.wantDepth(t, "notify", 20)
}

func TestUploadsOfAMessage(t *testing.T) {
	store := sagatest.Store(t)
	begin := func(key string) sagas.Upload {
		u, err := store.Begin(t.Context(), sagas.Beginning{
			ID: uuid.New(), Owner: sagas.Owner{Tenant: "t", Subject: "s"}, Method: sagas.MethodPut, Filename: "a",
			Bucket: "incoming", Key: key, Declared: sagas.Content{Type: "image/png"}, Lifetime: time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	one, two := begin("uploads/one.png"), begin("uploads/two.png")
	record := func(key string) string {
		return fmt.Sprintf(`{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"incoming"},"object":{"key":%q,"size":1}}}`, key)
	}
	for name, c := range map[string]struct {
		stage, payload string
		want           []uuid.UUID
		err            string // empty: none
		is             error
	}{
		"job":            {pipeline.Scan, `{"upload_id":"` + one.ID.String() + `"}`, []uuid.UUID{one.ID}, "", nil},
		"unknown upload": {pipeline.Scan, `{"upload_id":"0199c1f2-0000-7000-8000-000000000000"}`, nil, "0199c1f2", sagas.ErrNotFound},
		"not a job":      {pipeline.Scan, "garbage", nil, "decoding a job", nil},
		"nobody's job":   {pipeline.Scan, `{}`, nil, "names no upload", nil},
		"events": {pipeline.Intake, `{"Records":[` + record("uploads/one.png") + `,` + record("uploads/two.png") + `,` + record("uploads/one.png") + `]}`,
			[]uuid.UUID{one.ID, two.ID}, "", nil},
		"unknown object": {pipeline.Intake, `{"Records":[` + record("uploads/two.png") + `,` + record("uploads/x.png") + `]}`,
			[]uuid.UUID{two.ID}, "incoming/uploads/x.png", sagas.ErrNotFound},
		"not an event": {pipeline.Intake, "garbage", nil, "malformed", nil},
	} {
		t.Run(name, func(t *testing.T) {
			uploads, err := deadletter.Message{Stage: c.stage, Payload: []byte(c.payload)}.Uploads(t.Context(), store)
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error %v", err)
			}
			var ids []uuid.UUID
			for _, u := range uploads {
				ids = append(ids, u.ID)
			}
			if !slices.Equal(ids, c.want) {
				t.Errorf("uploads %v, want %v", ids, c.want)
			}
		})
	}
}
