package sqs

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// newDeadLetters lets messages die in the queue q of a test and returns the
// dead-letter queue's URL and ARN.
func newDeadLetters(q *testQueue, bodies ...string) (url, arn string) {
	q.Helper()
	url = q.create("dead", nil)
	if err := q.set(q.url, q.redrivePolicy("dead", 1)); err != nil {
		q.Fatal(err)
	}
	for _, body := range bodies {
		q.send(body)
		m := q.receiveOne(awssqs.ReceiveMessageInput{})
		if err := q.changeVisibility(m.ReceiptHandle, 0); err != nil {
			q.Fatal(err)
		}
		q.receive(awssqs.ReceiveMessageInput{})
	}
	q.wantCounts(url, len(bodies), 0, 0)
	return url, q.server.arn("dead")
}

func (q *testQueue) startTask(in awssqs.StartMessageMoveTaskInput) string {
	q.Helper()
	out, err := q.client.StartMessageMoveTask(q.Context(), &in)
	if err != nil {
		q.Fatal(err)
	}
	return *out.TaskHandle
}

func (q *testQueue) tasks(arn string) []types.ListMessageMoveTasksResultEntry {
	q.Helper()
	out, err := q.client.ListMessageMoveTasks(q.Context(), &awssqs.ListMessageMoveTasksInput{SourceArn: &arn, MaxResults: aws.Int32(10)})
	if err != nil {
		q.Fatal(err)
	}
	return out.Results
}

func (q *testQueue) wantTask(arn, status string, moved int64) types.ListMessageMoveTasksResultEntry {
	q.Helper()
	task := q.tasks(arn)[0]
	if *task.Status != status || task.ApproximateNumberOfMessagesMoved != moved {
		q.Errorf("the task is %s with %d moved, want %s with %d", *task.Status, task.ApproximateNumberOfMessagesMoved, status, moved)
	}
	if running := status == taskRunning; (task.TaskHandle != nil) != running {
		q.Errorf("the task has handle %v while it is %s", task.TaskHandle, status)
	}
	return task
}

func TestMoveTaskReturnsMessages(t *testing.T) {
	inBubble(t, nil, func(q *testQueue) {
		dead, arn := newDeadLetters(q, "first", "second")
		old := q.receiveOne(awssqs.ReceiveMessageInput{QueueUrl: &dead, VisibilityTimeout: 1})
		time.Sleep(time.Minute)
		polled := q.poll(awssqs.ReceiveMessageInput{WaitTimeSeconds: 20})
		synctest.Wait()
		q.startTask(awssqs.StartMessageMoveTaskInput{SourceArn: &arn})
		synctest.Wait()
		task := q.wantTask(arn, taskCompleted, 2)
		if *task.ApproximateNumberOfMessagesToMove != 2 || *task.SourceArn != arn || task.StartedTimestamp != time.Now().UnixMilli() {
			q.Errorf("the task is %+v", task)
		}
		q.wantCounts(dead, 0, 0, 0)
		moved := append(<-polled, q.receive(awssqs.ReceiveMessageInput{MaxNumberOfMessages: 10})...)
		if len(moved) != 2 {
			q.Fatalf("moved %d messages, want 2", len(moved))
		}
		for _, m := range moved {
			if *m.MessageId == *old.MessageId {
				q.Error("a moved message must have a new id")
			}
			if m.Attributes[systemReceiveCount] != "1" || m.Attributes[systemSource] != "" {
				q.Errorf("a moved message has %v", m.Attributes)
			}
		}
	})
}

func TestMoveTaskToAnotherQueue(t *testing.T) {
	inBubble(t, nil, func(q *testQueue) {
		_, arn := newDeadLetters(q, "x")
		other := q.create("other", nil)
		q.startTask(awssqs.StartMessageMoveTaskInput{SourceArn: &arn, DestinationArn: aws.String(q.server.arn("other"))})
		synctest.Wait()
		q.wantTask(arn, taskCompleted, 1)
		q.wantCounts(other, 1, 0, 0)
	})
}

// TestMoveTaskLeavesNewcomers: a message that dies again while the task runs
// must not go round for ever.
func TestMoveTaskLeavesNewcomers(t *testing.T) {
	inBubble(t, nil, func(q *testQueue) {
		dead, arn := newDeadLetters(q, "first", "second", "third")
		q.startTask(awssqs.StartMessageMoveTaskInput{SourceArn: &arn, MaxNumberOfMessagesPerSecond: aws.Int32(1)})
		for range 6 {
			synctest.Wait()
			for _, m := range q.receive(awssqs.ReceiveMessageInput{}) {
				if err := q.changeVisibility(m.ReceiptHandle, 0); err != nil {
					q.Fatal(err)
				}
			}
			time.Sleep(time.Second)
		}
		q.receive(awssqs.ReceiveMessageInput{})
		q.wantTask(arn, taskCompleted, 3)
		q.wantCounts(dead, 3, 0, 0)
	})
}

func TestMoveTaskRateAndCancel(t *testing.T) {
	inBubble(t, nil, func(q *testQueue) {
		dead, arn := newDeadLetters(q, "0", "1", "2", "3", "4", "5")
		handle := q.startTask(awssqs.StartMessageMoveTaskInput{SourceArn: &arn, MaxNumberOfMessagesPerSecond: aws.Int32(2)})
		time.Sleep(1250 * time.Millisecond)
		q.wantTask(arn, taskRunning, 3)
		_, err := q.client.StartMessageMoveTask(q.Context(), &awssqs.StartMessageMoveTaskInput{SourceArn: &arn})
		wantError(q, err, codeUnsupportedOperation)
		out, err := q.client.CancelMessageMoveTask(q.Context(), &awssqs.CancelMessageMoveTaskInput{TaskHandle: &handle})
		if err != nil {
			q.Fatal(err)
		}
		if out.ApproximateNumberOfMessagesMoved != 3 {
			q.Errorf("cancelled after %d messages, want 3", out.ApproximateNumberOfMessagesMoved)
		}
		q.wantTask(arn, taskCancelling, 3)
		time.Sleep(time.Second)
		q.wantTask(arn, taskCancelled, 3)
		q.wantCounts(dead, 3, 0, 0)
		_, err = q.client.CancelMessageMoveTask(q.Context(), &awssqs.CancelMessageMoveTaskInput{TaskHandle: &handle})
		wantError(q, err, codeUnsupportedOperation)
	})
}

// TestMoveTaskWithoutOrigin: a message that was sent to the dead-letter queue
// itself has nowhere to go back to.
func TestMoveTaskWithoutOrigin(t *testing.T) {
	inBubble(t, nil, func(q *testQueue) {
		dead, arn := newDeadLetters(q)
		if _, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &dead, MessageBody: aws.String("x")}); err != nil {
			q.Fatal(err)
		}
		q.startTask(awssqs.StartMessageMoveTaskInput{SourceArn: &arn})
		synctest.Wait()
		if task := q.wantTask(arn, taskFailed, 0); aws.ToString(task.FailureReason) != errTaskUnknownOrigin.Error() {
			q.Errorf("failed for %q", aws.ToString(task.FailureReason))
		}
		q.wantCounts(dead, 1, 0, 0)
	})
}

func TestMoveTasksAreRememberedUpToTen(t *testing.T) {
	inBubble(t, nil, func(q *testQueue) {
		_, arn := newDeadLetters(q)
		for range maxTasksKept + 3 {
			q.startTask(awssqs.StartMessageMoveTaskInput{SourceArn: &arn})
			synctest.Wait()
			time.Sleep(time.Second)
		}
		tasks := q.tasks(arn)
		if len(tasks) != maxTasksKept || len(q.server.tasks.tasks) != maxTasksKept {
			q.Fatalf("listed %d tasks, kept %d", len(tasks), len(q.server.tasks.tasks))
		}
		if tasks[0].StartedTimestamp <= tasks[1].StartedTimestamp {
			q.Error("the newest task must come first")
		}
	})
}

// TestMoveTaskGoesOnAfterRestart closes the server in the middle of a task.
func TestMoveTaskGoesOnAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		server, err := Open(testConfig(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		q := &testQueue{TB: t, server: server, client: clientOf("http://sqs.test", inProcess{server})}
		q.url = q.create("q", nil)
		dead, arn := newDeadLetters(q, "0", "1", "2", "3")
		q.startTask(awssqs.StartMessageMoveTaskInput{SourceArn: &arn, MaxNumberOfMessagesPerSecond: aws.Int32(1)})
		time.Sleep(1500 * time.Millisecond)
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
		q.server = openServer(t, dir)
		q.client = clientOf("http://sqs.test", inProcess{q.server})
		synctest.Wait()
		q.wantTask(arn, taskRunning, 3)
		time.Sleep(5 * time.Second)
		q.wantTask(arn, taskCompleted, 4)
		q.wantCounts(dead, 0, 0, 0)
	})
}
