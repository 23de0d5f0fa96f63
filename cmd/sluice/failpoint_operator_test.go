//go:build failpoints

package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/deadletter"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
)

// heldLimit is until a dead letter can be seen again that a process held when it died: a minute, and some.
const heldLimit = 90 * time.Second

func operatorStories() map[string]story {
	return map[string]story{
		"an operator aborts an upload":    {[]string{"operator.commit.", "s3.DeleteObjects.", "sqs.SendMessageBatch."}, aborting},
		"an operator retries an upload":   {[]string{"intake.work.", "intake.commit.", "intake.send.", "sqs.SendMessageBatch."}, retrying},
		"an operator sends a letter back": {[]string{"sqs.SendMessage.", "sqs.DeleteMessage."}, redrivingOne},
		"an operator sends all back":      {[]string{"sqs.StartMessageMoveTask."}, redriving},
		"an operator stops sending back":  {[]string{"sqs.CancelMessageMoveTask."}, stoppingToRedrive},
		"an operator discards a letter":   {[]string{"sqs.DeleteMessage."}, discarding},
		"an operator asks the doctor":     {[]string{"s3.DeleteObject."}, examining},
	}
}

// says runs a command to its end, and returns its exit code with what it says.
func (c *crash) says(t *testing.T, env map[string]string, args ...string) (code int, said string) {
	t.Helper()
	p := c.start(t, env, args...)
	if err := p.wait(crashLimit); err != nil && p.cmd.ProcessState.ExitCode() < 0 {
		t.Fatalf("%s ended with %v\n%s", strings.Join(args, " "), err, &p.log)
	}
	return p.cmd.ProcessState.ExitCode(), p.log.String()
}

// An upload that is aborted, of which nobody was told, is known to be so by whoever aborts it again. The sweeper does the rest.
func aborting(t *testing.T, c *crash) {
	t.Helper()
	u := c.begin(t, sagas.Uploaded, sagas.Verified, sagas.Clean, sagas.Processed)
	c.put(t, c.bucket, u.Key, []byte("hello"))
	c.put(t, c.media, u.Key, []byte("hello")) // publish has begun
	command := []string{"saga", "abort", u.ID.String()}
	c.startDoomed(t, nil, nil, command...).dies()
	wantCode, want := exitFailed, "is aborted already"
	if c.point == "operator.commit.before" {
		wantCode, want = 0, "is aborted; sent to settle"
	}
	if code, said := c.says(t, nil, command...); code != wantCode || !strings.Contains(said, want) {
		t.Errorf("exit %d, %s", code, said)
	}
	c.ends(t, u, sagas.Aborted)
}

// The event of this upload was lost.
func retrying(t *testing.T, c *crash) {
	t.Helper()
	u := c.stored(t, photograph(t))
	command := []string{"saga", "retry", u.ID.String()}
	c.startDoomed(t, nil, nil, command...).dies()
	if code, said := c.says(t, nil, command...); code != 0 || !strings.Contains(said, "is uploaded; sent to verify") {
		t.Errorf("exit %d, %s", code, said)
	}
	c.ends(t, u, sagas.Ready)
}

// died is an upload whose event is a dead letter.
func (c *crash) died(t *testing.T) (u sagas.Upload, letter string) {
	t.Helper()
	u = c.stored(t, photograph(t))
	c.queues.Send(pipeline.DeadLetterTopic(pipeline.Intake), arrival(u.Bucket, u.Key))
	return u, c.letter(t)
}

// letter is the id of the only dead letter.
func (c *crash) letter(t *testing.T) string {
	t.Helper()
	letters, err := deadletter.New(c.queues.Client, c.queues.Queues).Peek(t.Context(), pipeline.Intake, 2)
	if err != nil || len(letters) != 1 {
		t.Fatalf("%d dead letters, %v", len(letters), err)
	}
	return letters[0].ID
}

// isSeen waits until nobody holds a dead letter, and reports whether there is any.
func (c *crash) isSeen(t *testing.T) bool {
	t.Helper()
	for deadline := time.Now().Add(heldLimit); ; time.Sleep(200 * time.Millisecond) {
		visible, held := c.queues.Depth(pipeline.DeadLetterTopic(pipeline.Intake))
		if held == 0 {
			return visible > 0
		}
		if time.Now().After(deadline) {
			t.Fatal("a dead letter is held for ever")
		}
	}
}

// takesLetter dies at a command that takes a dead letter away, and says it again if the letter is still there.
func (c *crash) takesLetter(t *testing.T, command []string) {
	t.Helper()
	c.startDoomed(t, nil, nil, command...).dies()
	left := c.isSeen(t)
	if gone := c.point == "sqs.DeleteMessage.after"; gone == left {
		t.Errorf("the letter is left: %t", left)
	}
	if left {
		if code, said := c.says(t, nil, command...); code != 0 {
			t.Errorf("exit %d, %s", code, said)
		}
	}
}

// A letter that was sent back and is still there is sent back twice, which makes nothing happen twice.
func redrivingOne(t *testing.T, c *crash) {
	t.Helper()
	u, id := c.died(t)
	command := []string{"dlq", "redrive", pipeline.Intake, "--message", id}
	c.takesLetter(t, command)
	c.ends(t, u, sagas.Ready)
}

// SQS goes on by itself with what it was told to begin.
func redriving(t *testing.T, c *crash) {
	t.Helper()
	u, _ := c.died(t)
	c.startDoomed(t, nil, nil, "dlq", "redrive", pipeline.Intake).dies()
	c.redriveAgain(t)
	c.ends(t, u, sagas.Ready)
}

// redriveAgain asks until all dead letters are sent back: SQS does not begin while an earlier redrive goes on.
func (c *crash) redriveAgain(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(heldLimit); ; time.Sleep(time.Second) {
		code, said := c.says(t, nil, "dlq", "redrive", pipeline.Intake)
		if _, left := c.depths(t, pipeline.Intake); code == 0 && left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("exit %d, %s", code, said)
		}
	}
}

func stoppingToRedrive(t *testing.T, c *crash) {
	t.Helper()
	u, _ := c.died(t)
	const more = 3
	for range more {
		c.queues.Send(pipeline.DeadLetterTopic(pipeline.Intake), arrival(u.Bucket, "uploads/of-nobody"))
	}
	p := c.startDoomed(t, nil, nil, "dlq", "redrive", pipeline.Intake, "--max-per-second", "1")
	await(t, &p.log, func() bool {
		_, left := c.depths(t, pipeline.Intake)
		return left <= more
	})
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	p.dies()
	c.redriveAgain(t)
	c.ends(t, u, sagas.Ready)
}

func discarding(t *testing.T, c *crash) {
	t.Helper()
	c.queues.Send(pipeline.DeadLetterTopic(pipeline.Intake), arrival(c.bucket, "uploads/of-nobody"))
	command := []string{"dlq", "discard", pipeline.Intake, "--yes", "--message", c.letter(t)}
	c.takesLetter(t, command)
	if queue, dead := c.depths(t, pipeline.Intake); queue != 0 || dead != 0 {
		t.Errorf("%d messages and %d dead letters are left", queue, dead)
	}
}

// A doctor that dies leaves a probe that has come to nothing, of which nobody is told. It is cleaned up like any other
// deleted upload; the next doctor cleans up its own.
func examining(t *testing.T, c *crash) {
	t.Helper()
	env := map[string]string{"SLUICE_ALLOWED_ORIGINS": "", "SLUICE_CLAMD_TEST_SIGNATURES": "true", "SLUICE_EVENT_WAIT": "100ms", "SLUICE_MAX_ATTEMPTS": "1"}
	c.queues.Send(pipeline.EventsTopic, arrival(c.bucket, "uploads/of-nobody")) // what waits is worth a warning, else it is a failure
	c.startDoomed(t, env, nil, "doctor").dies()
	if code, said := c.says(t, env, "doctor"); code != 0 {
		t.Errorf("exit %d, %s", code, said)
	}
	worker := c.start(t, quickly(c.receiver.URL), "worker")
	await(t, &worker.log, func() bool { return len(storagetest.Keys(t, c.bucket)) == 0 && c.handled() })
	worker.stop()
	probes, err := c.store.List(t.Context(), sagas.Owner{Tenant: "sluice", Subject: "doctor"}, sagas.Selection{Most: 10})
	if err != nil || len(probes) != 1 || probes[0].State != sagas.Deleted {
		t.Errorf("the doctors have left %+v, %v", probes, err)
	}
	if ids := c.receiver.ids(); len(ids) != 0 {
		t.Errorf("webhooks with the ids %q, want none", ids)
	}
}
