package sqs

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// childDir is the variable that makes the test binary a server on a folder.
const childDir = "SQS_TEST_CHILD_DIR"

// TestMain runs the tests or, in a child process, a server to be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := serveUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveUntilKilled prints its URL. It takes snapshots often, so that some are
// cut short.
func serveUntilKilled(dir string) error {
	server, err := Open(Config{
		Dir: dir, Region: testRegion, AccountID: testAccount, Credentials: map[string]string{testAccessKey: testSecretKey},
		CompactAt: 64 << 10,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	return (&http.Server{Handler: server, ReadHeaderTimeout: time.Minute}).Serve(listener)
}

// startChild starts a server process on a folder and returns its URL and what
// kills it.
func startChild(tb testing.TB, dir string) (url string, kill func()) {
	tb.Helper()
	child := exec.CommandContext(tb.Context(), os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	child.Stderr = tb.Output()
	out, err := child.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := child.Start(); err != nil {
		tb.Fatal(err)
	}
	killed := sync.OnceFunc(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	tb.Cleanup(killed)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(line), killed
}

// ledger is what clients know for certain and what they cannot know.
type ledger struct {
	mu       sync.Mutex
	sent     map[string]bool // bodies whose sending was answered
	tried    map[string]bool // bodies whose sending was begun
	deleted  map[string]bool // bodies whose deletion was answered
	doubtful map[string]bool // bodies whose deletion was begun
	receives map[string]int  // receives that were answered, by body
}

func newLedger() *ledger {
	return &ledger{
		sent: make(map[string]bool), tried: make(map[string]bool),
		deleted: make(map[string]bool), doubtful: make(map[string]bool), receives: make(map[string]int),
	}
}

func (l *ledger) note(change func(*ledger)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// TestKill kills the server again and again while clients send, receive and
// delete, and holds what is left against what clients were told.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	l := newLedger()
	for round := range 6 {
		url, kill := startChild(t, dir)
		client := clientOf(url, &http.Client{})
		queue := urlOfNew(t, client, "q")
		var (
			clients sync.WaitGroup
			answers atomic.Int64
		)
		for worker := range 4 {
			clients.Go(func() { sendUntilFailure(t, client, queue, l, fmt.Sprintf("%d-%d", round, worker), &answers) })
			clients.Go(func() { consumeUntilFailure(t, client, queue, l, &answers) })
		}
		waitUntil(t, "traffic", func() bool { return answers.Load() > int64(100+50*round) })
		kill()
		clients.Wait()
		checkLedger(t, dir, l)
	}
	t.Logf("%d messages sent, %d deleted", len(l.sent), len(l.deleted))
}

func urlOfNew(tb testing.TB, client *awssqs.Client, name string) *string {
	tb.Helper()
	out, err := client.CreateQueue(tb.Context(), &awssqs.CreateQueueInput{QueueName: &name})
	if err != nil {
		tb.Fatal(err)
	}
	return out.QueueUrl
}

func sendUntilFailure(tb testing.TB, client *awssqs.Client, queue *string, l *ledger, prefix string, answers *atomic.Int64) {
	tb.Helper()
	for n := 0; ; n++ {
		var entries []types.SendMessageBatchRequestEntry
		for i := range 3 {
			body := fmt.Sprintf("%s-%d-%d", prefix, n, i)
			l.note(func(l *ledger) { l.tried[body] = true })
			entries = append(entries, types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: &body})
		}
		if _, err := client.SendMessageBatch(tb.Context(), &awssqs.SendMessageBatchInput{QueueUrl: queue, Entries: entries}); err != nil {
			return
		}
		answers.Add(1)
		for _, e := range entries {
			l.note(func(l *ledger) { l.sent[*e.MessageBody] = true })
		}
	}
}

// consumeUntilFailure deletes two of three messages and releases the third.
func consumeUntilFailure(tb testing.TB, client *awssqs.Client, queue *string, l *ledger, answers *atomic.Int64) {
	tb.Helper()
	for n := 0; ; n++ {
		out, err := client.ReceiveMessage(tb.Context(), &awssqs.ReceiveMessageInput{QueueUrl: queue, WaitTimeSeconds: 20, VisibilityTimeout: 600})
		if err != nil {
			return
		}
		answers.Add(1)
		for _, m := range out.Messages {
			l.note(func(l *ledger) { l.receives[*m.Body]++ })
			if n%3 == 0 {
				_, err = client.ChangeMessageVisibility(tb.Context(), &awssqs.ChangeMessageVisibilityInput{QueueUrl: queue, ReceiptHandle: m.ReceiptHandle})
			} else {
				l.note(func(l *ledger) { l.doubtful[*m.Body] = true })
				_, err = client.DeleteMessage(tb.Context(), &awssqs.DeleteMessageInput{QueueUrl: queue, ReceiptHandle: m.ReceiptHandle})
				if err == nil {
					l.note(func(l *ledger) { l.deleted[*m.Body] = true })
				}
			}
			if err != nil {
				return
			}
		}
	}
}

// checkLedger opens the folder of a killed server.
func checkLedger(tb testing.TB, dir string, l *ledger) {
	tb.Helper()
	server, err := Open(testConfig(tb, dir))
	if err != nil {
		tb.Fatal(err)
	}
	present := make(map[string]bool)
	for _, m := range server.queues.named("q").messages {
		if present[m.Body] {
			tb.Errorf("%s is there twice", m.Body)
		}
		present[m.Body] = true
		switch {
		case !l.tried[m.Body]:
			tb.Errorf("%s was never sent", m.Body)
		case l.deleted[m.Body]:
			tb.Errorf("%s was deleted", m.Body)
		case m.receives < l.receives[m.Body]:
			tb.Errorf("%s was received %d times and counts %d", m.Body, l.receives[m.Body], m.receives)
		}
	}
	for body := range l.sent {
		if !present[body] && !l.doubtful[body] {
			tb.Errorf("%s is lost", body)
		}
	}
	if err := server.Close(); err != nil {
		tb.Fatal(err)
	}
}

// TestKillKeepsEverything looks at each kind of state across a SIGKILL, through
// the API.
func TestKillKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	url, kill := startChild(t, dir)
	q := &testQueue{TB: t, client: clientOf(url, &http.Client{})}
	dead := q.create("dead", nil)
	arn := "arn:aws:sqs:" + testRegion + ":" + testAccount + ":dead"
	q.url = q.create("q", map[string]string{attrRedrivePolicy: `{"deadLetterTargetArn":"` + arn + `","maxReceiveCount":1}`, attrVisibilityTimeout: "77"})
	if _, err := q.client.TagQueue(t.Context(), &awssqs.TagQueueInput{QueueUrl: &q.url, Tags: map[string]string{"tag": "kept"}}); err != nil {
		t.Fatal(err)
	}
	dies := q.send("dies")
	m := q.receiveOne(awssqs.ReceiveMessageInput{})
	if err := q.changeVisibility(m.ReceiptHandle, 0); err != nil {
		t.Fatal(err)
	}
	if got := q.receive(awssqs.ReceiveMessageInput{}); len(got) != 0 {
		t.Fatal("the message did not die")
	}
	q.send("leased")
	leased := q.receiveOne(awssqs.ReceiveMessageInput{VisibilityTimeout: 600})
	_, err := q.client.SendMessage(t.Context(), &awssqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: aws.String("delayed"), DelaySeconds: 900,
		MessageAttributes: map[string]types.MessageAttributeValue{"a": stringAttribute("b")},
	})
	if err != nil {
		t.Fatal(err)
	}
	ready := q.send("ready")
	before, deadBefore := q.attributes(q.url), q.attributes(dead)

	kill()
	url, _ = startChild(t, dir)
	q.client = clientOf(url, &http.Client{})

	for name, c := range map[string]struct{ got, want map[string]string }{
		"q": {q.attributes(q.url), before}, "dead": {q.attributes(dead), deadBefore},
	} {
		if fmt.Sprint(c.got) != fmt.Sprint(c.want) {
			t.Errorf("queue %s has %v, had %v", name, c.got, c.want)
		}
	}
	q.wantCounts(q.url, 1, 1, 1)
	tags, err := q.client.ListQueueTags(t.Context(), &awssqs.ListQueueTagsInput{QueueUrl: &q.url})
	if err != nil || tags.Tags["tag"] != "kept" {
		t.Errorf("tags %v, %v", tags.Tags, err)
	}
	if m := q.receiveOne(awssqs.ReceiveMessageInput{}); *m.MessageId != ready {
		t.Errorf("received %q", *m.Body)
	}
	if err := q.changeVisibility(leased.ReceiptHandle, 30); err != nil {
		t.Errorf("the lease was lost: %v", err)
	}
	q.delete(leased.ReceiptHandle)
	q.wantCounts(q.url, 0, 1, 1)
	if m := q.receiveOne(awssqs.ReceiveMessageInput{QueueUrl: &dead}); *m.MessageId != dies || m.Attributes[systemReceiveCount] != "2" {
		t.Errorf("the dead-letter queue has %s, received %s times", *m.MessageId, m.Attributes[systemReceiveCount])
	}
}
