package sqs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// dump shows the whole state of a server, in a form to compare. It does not use
// what snapshots are made with.
func dump(tb testing.TB, s *Server) []string {
	tb.Helper()
	at := now()
	s.queues.mu.Lock()
	defer s.queues.mu.Unlock()
	lines := []string{fmt.Sprintf("last queue %d, last message %d", s.queues.lastID, s.lastSeq.Load())}
	for _, q := range s.queues.inOrder() {
		q.mu.Lock()
		q.advance(at)
		lines = append(lines, fmt.Sprintf("queue %d %s %v %v %d %d %d", q.id, q.name, q.settings.Load().values, q.tags, q.created, q.modified, q.purgedAt))
		for _, seq := range slices.Sorted(maps.Keys(q.messages)) {
			m := q.messages[seq]
			visibleAt := m.visibleAt
			if m.state == stateReady {
				visibleAt = 0 // has no meaning
			}
			content, err := json.Marshal(m.content)
			if err != nil {
				tb.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("message %d %s: %q %d, sent %d, received %d %d, %d times and %d before, lease %d, from %q",
				m.seq, content, m.state, visibleAt, m.sentAt, m.firstReceived, m.lastReceived, m.receives, m.earlier, m.lease, m.source))
		}
		if got := q.ready.Len() + q.inFlight + q.delayed; got != len(q.messages) || got != q.deadlines.Len() {
			tb.Errorf("queue %s has %d messages, counts %d and watches %d", q.name, len(q.messages), got, q.deadlines.Len())
		}
		q.mu.Unlock()
	}
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	for _, task := range s.tasks.tasks {
		lines = append(lines, fmt.Sprintf("task %+v", *task))
	}
	return lines
}

func wantSameState(tb testing.TB, got, want []string) {
	tb.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			tb.Fatalf("lost %s", want[i])
		case i >= len(want):
			tb.Fatalf("invented %s", got[i])
		case got[i] != want[i]:
			tb.Fatalf("got  %s\nwant %s", got[i], want[i])
		}
	}
}

// TestRecoveryIsExact does many things at random, and asks now and then that a
// restart, with and without a snapshot, changes nothing.
func TestRecoveryIsExact(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			random := rand.New(rand.NewPCG(seed, 0))
			// Half of the time snapshots are taken in the background.
			config := testConfig(t, dir)
			config.CompactAt = []int64{4 << 10, defaultCompactAt}[seed%2]
			server, err := Open(config)
			if err != nil {
				t.Fatal(err)
			}
			for range 6 {
				q := &testQueue{TB: t, server: server, client: clientOf("http://sqs.test", inProcess{server})}
				muddle(q, random)
				if config.CompactAt == defaultCompactAt && random.IntN(2) == 0 {
					if err := server.compact(); err != nil {
						t.Fatal(err)
					}
					muddle(q, random)
				}
				if err := server.Close(); err != nil {
					t.Fatal(err)
				}
				want := dump(t, server)
				if server, err = Open(config); err != nil {
					t.Fatal(err)
				}
				wantSameState(t, dump(t, server), want)
			}
			if err := server.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// muddle changes a server at random. Refusals do not matter.
func muddle(q *testQueue, random *rand.Rand) {
	names := []string{"a", "b", "dead"}
	urls := make(map[string]*string)
	for _, name := range names {
		out, err := q.client.CreateQueue(q.Context(), &awssqs.CreateQueueInput{QueueName: &name})
		if err != nil {
			q.Fatal(err)
		}
		urls[name] = out.QueueUrl
	}
	var handles []types.Message
	handle := func() *string {
		if len(handles) == 0 {
			return aws.String("none")
		}
		return handles[random.IntN(len(handles))].ReceiptHandle
	}
	for range 60 {
		url := urls[names[random.IntN(len(names))]]
		var err error
		switch random.IntN(14) {
		case 0, 1, 2, 3:
			_, err = q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{
				QueueUrl: url, MessageBody: aws.String(strings.Repeat("<é>", 1+random.IntN(20))), DelaySeconds: random.Int32N(4),
				MessageAttributes: map[string]types.MessageAttributeValue{"b": {DataType: aws.String("Binary"), BinaryValue: []byte{0, 255}}},
			})
		case 4, 5, 6:
			var out *awssqs.ReceiveMessageOutput
			out, err = q.client.ReceiveMessage(q.Context(), &awssqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: 1 + random.Int32N(10), VisibilityTimeout: random.Int32N(9)})
			if err == nil {
				handles = append(handles, out.Messages...)
			}
		case 7:
			_, err = q.client.DeleteMessage(q.Context(), &awssqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: handle()})
		case 8:
			_, err = q.client.ChangeMessageVisibility(q.Context(), &awssqs.ChangeMessageVisibilityInput{QueueUrl: url, ReceiptHandle: handle(), VisibilityTimeout: random.Int32N(5)})
		case 9:
			_, err = q.client.SetQueueAttributes(q.Context(), &awssqs.SetQueueAttributesInput{QueueUrl: urls["a"], Attributes: q.redrivePolicy("dead", 1+random.IntN(3))})
		case 10:
			_, err = q.client.StartMessageMoveTask(q.Context(), &awssqs.StartMessageMoveTaskInput{SourceArn: aws.String(q.server.arn("dead"))})
			synctest.Wait()
		case 11:
			_, err = q.client.TagQueue(q.Context(), &awssqs.TagQueueInput{QueueUrl: url, Tags: map[string]string{"t": strings.Repeat("x", random.IntN(9))}})
		case 12:
			if random.IntN(8) == 0 {
				_, err = q.client.PurgeQueue(q.Context(), &awssqs.PurgeQueueInput{QueueUrl: url})
			} else if random.IntN(8) == 0 {
				_, err = q.client.DeleteQueue(q.Context(), &awssqs.DeleteQueueInput{QueueUrl: urls["b"]})
			}
		case 13:
			time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
		}
		if err != nil && strings.Contains(err.Error(), codeInternalFailure) {
			q.Fatal(err)
		}
	}
}

// not given out again.
func TestSnapshotKeepsNumbers(t *testing.T) {
	dir := t.TempDir()
	server, err := Open(testConfig(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(server.CreateQueue(t.Context(), "q", nil), server.Send(t.Context(), "q", "x")); err != nil {
		t.Fatal(err)
	}
	server.dropQueue(server.queues.named("q"))
	if err := errors.Join(server.compact(), server.Close()); err != nil {
		t.Fatal(err)
	}
	wantSameState(t, dump(t, openServer(t, dir)), dump(t, server))
}

// TestTornJournalBeforeAnother: only the newest journal can have an unfinished
// end.
// the next start, what had expired under the shorter one.
func TestExpiredStaysExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		server, err := Open(testConfig(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		q := &testQueue{TB: t, server: server, client: clientOf("http://sqs.test", inProcess{server})}
		q.url = q.create("q", map[string]string{attrMessageRetentionPeriod: "60"})
		q.send("x")
		time.Sleep(time.Minute)
		if err := errors.Join(q.set(q.url, map[string]string{attrMessageRetentionPeriod: "3600"}), server.Close()); err != nil {
			t.Fatal(err)
		}
		wantBodies(t, dir)
	})
}

// TestSnapshotReplacesJournal checks that the folder does not grow with what
// has been deleted, and that an unfinished snapshot is ignored.
func TestSnapshotReplacesJournal(t *testing.T) {
	dir := t.TempDir()
	config := testConfig(t, dir)
	config.CompactAt = 32 << 10
	server, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.CreateQueue(t.Context(), "q", nil); err != nil {
		t.Fatal(err)
	}
	q := server.queues.named("q")
	const enough, limit = 500, 200 << 10 // messages of 1 kB, bytes
	for round := 0; round < enough || folderSize(t, dir) > limit; round++ {
		if round == 20*enough {
			t.Fatalf("the folder has %d bytes after %d kB of messages came and went", folderSize(t, dir), round)
		}
		if err := server.Send(t.Context(), "q", strings.Repeat("x", 1000)); err != nil {
			t.Fatal(err)
		}
		got, err := server.receive(t.Context(), q, receiveOptions{limit: 1, timeout: 30})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.onLeases([]leaseEntry{{ReceiptHandle: got[0].handle}}, deleteLeased, func(leaseEntry, error) {}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(server.Send(t.Context(), "q", "left"), server.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, snapshotPrefix+"9999999999"+unfinished), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantBodies(t, dir, "left")
}

func folderSize(t *testing.T, dir string) (size int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) { // a snapshot has just replaced it
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

func TestConfigMistakes(t *testing.T) {
	_, err := Open(Config{Credentials: map[string]string{"key": ""}})
	if err == nil || !strings.Contains(err.Error(), "data folder") || !strings.Contains(err.Error(), "secret key") {
		t.Errorf("opened with %v", err)
	}
}
