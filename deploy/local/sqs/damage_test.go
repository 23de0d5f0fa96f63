package sqs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
)

// journalOf returns the newest journal of a data folder.
func journalOf(tb testing.TB, dir string) string {
	tb.Helper()
	journals, err := filepath.Glob(filepath.Join(dir, journalPrefix+"*"))
	if err != nil || len(journals) == 0 {
		tb.Fatalf("no journal in %s: %v", dir, err)
	}
	return journals[len(journals)-1]
}

// TestTornTail cuts the journal off within its last record, at every byte.
func TestTornTail(t *testing.T) {
	original := t.TempDir()
	server, err := Open(testConfig(t, original))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.CreateQueue(t.Context(), "q", nil); err != nil {
		t.Fatal(err)
	}
	if err := server.Send(t.Context(), "q", "first"); err != nil {
		t.Fatal(err)
	}
	whole := server.journal.size.Load()
	if err := server.Send(t.Context(), "q", "last"); err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(journalOf(t, original))
	if err != nil {
		t.Fatal(err)
	}
	wrong := slices.Clone(content)
	wrong[len(wrong)-3] ^= 1
	tails := [][]byte{wrong}
	for cut := whole; cut < int64(len(content)); cut++ {
		tails = append(tails, content[:cut])
	}
	for _, tail := range tails {
		dir := t.TempDir()
		journal := filepath.Join(dir, filepath.Base(journalOf(t, original)))
		if err := os.WriteFile(journal, tail, 0o600); err != nil {
			t.Fatal(err)
		}
		wantBodies(t, dir, "first")
		sendTo(t, dir, "next")
		wantBodies(t, dir, "first", "next")
	}
}

// sendTo sends a message to the queue q of a data folder.
func sendTo(tb testing.TB, dir, body string) {
	tb.Helper()
	server, err := Open(testConfig(tb, dir))
	if err != nil {
		tb.Fatal(err)
	}
	if err := errors.Join(server.CreateQueue(tb.Context(), "q", nil), server.Send(tb.Context(), "q", body), server.Close()); err != nil {
		tb.Fatal(err)
	}
}

// wantBodies checks which messages the queue q of a data folder has.
func wantBodies(tb testing.TB, dir string, want ...string) {
	tb.Helper()
	server, err := Open(testConfig(tb, dir))
	if err != nil {
		tb.Fatal(err)
	}
	var got []string
	for _, m := range server.queues.named("q").messages {
		got = append(got, m.Body)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		tb.Errorf("the queue has %q, want %q", got, want)
	}
	if err := server.Close(); err != nil {
		tb.Fatal(err)
	}
}

// TestDamageIsNotHidden changes a record that others follow: what comes after
// cannot be trusted, and must not be thrown away either.
func TestDamageIsNotHidden(t *testing.T) {
	dir := t.TempDir()
	sendTo(t, dir, "first")
	sendTo(t, dir, "second")
	journal := journalOf(t, dir)
	content, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	damaged := slices.Clone(content)
	damaged[frameHeader+2] ^= 1
	if err := os.WriteFile(journal, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(testConfig(t, dir))
	var damage *damageError
	if !errors.As(err, &damage) || damage.offset != 0 {
		t.Errorf("opened a damaged journal with %v", err)
	}
	if kept, err := os.ReadFile(journal); err != nil || !slices.Equal(kept, damaged) {
		t.Errorf("the journal was changed: %v", err)
	}
	if err := os.WriteFile(journal, content, 0o600); err != nil {
		t.Fatal(err)
	}
	wantBodies(t, dir, "first", "second")
}

// TestSnapshotKeepsNumbers: numbers of queues and messages that are gone are
func TestTornJournalBeforeAnother(t *testing.T) {
	dir := t.TempDir()
	sendTo(t, dir, "x")
	journal := journalOf(t, dir)
	content, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(dir, journalPrefix+"0000000001")
	if err := errors.Join(os.WriteFile(journal, content[:len(content)-1], 0o600), os.WriteFile(next, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testConfig(t, dir)); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("opened with %v", err)
	}
}

// TestExpiredStaysExpired: a longer retention period does not bring back, at
func TestMissingJournalIsNoticed(t *testing.T) {
	dir := t.TempDir()
	sendTo(t, dir, "x")
	server, err := Open(testConfig(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(server.compact(), server.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(journalOf(t, dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testConfig(t, dir)); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("opened with %v", err)
	}
}

func TestOneServerAFolder(t *testing.T) {
	dir := t.TempDir()
	openServer(t, dir)
	if _, err := Open(testConfig(t, dir)); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second server opened with %v", err)
	}
}

// TestFailedWriteIsNotAnswered: after the journal cannot be written, nothing
// is acknowledged any more.
func TestFailedWriteIsNotAnswered(t *testing.T) {
	server, err := Open(testConfig(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	q := &testQueue{TB: t, server: server, client: clientOf("http://sqs.test", inProcess{server})}
	q.url = q.create("q", nil)
	q.send("kept")
	if err := server.journal.file.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := q.client.SendMessage(t.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String("lost")})
		wantFault(t, err)
	}
	_, err = q.tryReceive(awssqs.ReceiveMessageInput{})
	wantFault(t, err)
	if server.Close() == nil {
		t.Error("closed without an error")
	}
}

// wantFault checks that a call failed for a reason inside the server.
func wantFault(tb testing.TB, err error) {
	tb.Helper()
	var refusal smithy.APIError
	if !errors.As(err, &refusal) || refusal.ErrorCode() != codeInternalFailure || refusal.ErrorFault() != smithy.FaultServer {
		tb.Errorf("got %v, want %s", err, codeInternalFailure)
	}
}
