package sqs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// FuzzReadFrames feeds arbitrary bytes to the journal's decoder. Whatever it
// accepts it must accept again, and it must not read past the damage.
func FuzzReadFrames(f *testing.F) {
	payload, err := json.Marshal(record{Purge: &purgeRecord{Queue: 1, At: 2}})
	if err != nil {
		f.Fatal(err)
	}
	frame := appendFrame(nil, payload)
	f.Add([]byte{})
	f.Add(frame)
	f.Add(append(slices.Clone(frame), frame[:5]...))
	f.Add(bytes.Repeat([]byte{0}, 64))
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, data []byte) {
		count := 0
		good, err := readFrames(bytes.NewReader(data), int64(len(data)), func(record) error { count++; return nil })
		if good < 0 || good > int64(len(data)) {
			t.Fatalf("%d of %d bytes are good", good, len(data))
		}
		if damage := new(damageError); err != nil && (!errors.As(err, &damage) || damage.offset != good) {
			t.Fatalf("read %d bytes and failed with %v", good, err)
		}
		if err == nil && good != int64(len(data)) {
			t.Fatalf("stopped after %d of %d bytes", good, len(data))
		}
		again := 0
		if _, err := readFrames(bytes.NewReader(data), good, func(record) error { again++; return nil }); err != nil || again != count {
			t.Fatalf("read %d records, then %d and %v", count, again, err)
		}
	})
}

// FuzzRecover opens a server on a journal of arbitrary records, one a line. If
// it opens, its state must survive a snapshot.
func FuzzRecover(f *testing.F) {
	f.Add([]byte(`{"queue":{"id":1,"name":"q","values":{"DelaySeconds":"3"}}}
{"message":{"content":{"id":"m","body":"x"},"queue":1,"seq":1,"state":"delayed","visibleAt":9}}
{"lease":{"queue":1,"seq":1,"lease":7,"at":1,"until":2}}
{"visibility":{"queue":1,"seq":1,"until":5}}
{"queue":{"id":2,"name":"d","values":{}}}
{"move":{"from":1,"old":1,"to":2,"seq":2,"source":"a","task":"t"}}
{"task":{"handle":"t","status":"COMPLETED"}}
{"delete":{"queue":2,"seq":2}}
{"purge":{"queue":1,"at":3}}
{"dropQueue":{"id":1}}
{"counters":{"queue":9,"seq":9}}`))
	f.Fuzz(func(t *testing.T, lines []byte) {
		dir := t.TempDir()
		var journal []byte
		for line := range bytes.SplitSeq(lines, []byte("\n")) {
			journal = appendFrame(journal, line)
		}
		if err := os.WriteFile(filepath.Join(dir, journalPrefix+"0000000000"), journal, 0o600); err != nil {
			t.Fatal(err)
		}
		server, err := Open(testConfig(t, dir))
		if err != nil {
			return
		}
		if err := errors.Join(server.compact(), server.Close()); err != nil {
			t.Fatal(err)
		}
		want := dump(t, server)
		if server, err = Open(testConfig(t, dir)); err != nil {
			t.Fatalf("wrote a snapshot that cannot be read: %v", err)
		}
		wantSameState(t, dump(t, server), want)
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzActions runs every action on arbitrary input. None may fail inside the
// server, and none may disturb its counts.
func FuzzActions(f *testing.F) {
	names := slices.Sorted(maps.Keys(actions()))
	const queueURL = `"QueueUrl":"http://sqs.test/123456789012/q"`
	for i := range names {
		f.Add(uint8(i), []byte(`{`+queueURL+`,"QueueName":"q2","MessageBody":"x","Entries":[{"Id":"a","MessageBody":"x","ReceiptHandle":"AAAA","VisibilityTimeout":1}]}`))
	}
	f.Add(uint8(0), []byte(`{`+queueURL+`,"MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"AA=="}},"MessageBody":"x","DelaySeconds":1}`))
	f.Add(uint8(0), []byte(`{`+queueURL+`,"Attributes":{"RedrivePolicy":"{\"deadLetterTargetArn\":\"x\",\"maxReceiveCount\":\"3\"}"},"tags":{"a":"b"}}`))
	f.Add(uint8(0), []byte(`{`+queueURL+`,"SourceArn":"arn:aws:sqs:eu-central-1:123456789012:q","MaxResults":1,"NextToken":"cQ==","WaitTimeSeconds":20}`))
	f.Fuzz(func(t *testing.T, action uint8, input []byte) {
		server := openServer(t, t.TempDir())
		if err := errors.Join(server.CreateQueue(t.Context(), "q", nil), server.Send(t.Context(), "q", "x")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // so that a poll does not wait
		name := names[int(action)%len(names)]
		output, err := server.actions[name](ctx, server, call{baseURL: "http://sqs.test"}, input)
		if err != nil {
			if refusal := refusalOf(err); refusal.Code == codeInternalFailure && !errors.Is(err, context.Canceled) {
				t.Fatalf("%s failed: %v", name, err)
			}
		} else if _, err := json.Marshal(output); err != nil {
			t.Fatal(err)
		}
		dump(t, server)
	})
}

// FuzzVerify sends arbitrary Authorization headers, none of which is signed.
func FuzzVerify(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20250101/eu-central-1/sqs/aws4_request, SignedHeaders=host;x-amz-date, Signature=0000", "20250101T000000Z")
	f.Add("AWS4-HMAC-SHA256 Credential=////,SignedHeaders=;,Signature==", "x")
	f.Add("", "")
	verifier := newVerifier(testRegion, map[string]string{testAccessKey: testSecretKey})
	f.Fuzz(func(t *testing.T, authorization, date string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://sqs.test/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Authorization"] = []string{authorization}
		r.Header["X-Amz-Date"] = []string{date}
		err = verifier.verify(r, nil, time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
		if refusal := new(Error); !errors.As(err, &refusal) || refusal.status() != http.StatusForbidden {
			t.Fatalf("verified with %v", err)
		}
	})
}

// FuzzReceipt checks that a handle that is read is the one that was written.
func FuzzReceipt(f *testing.F) {
	f.Add(receipt{queue: 1, seq: 2, lease: 3}.handle())
	f.Add("")
	f.Add("AAAAAAAAAAEAAAAAAAAAAgAAAAAAAAAD\n")
	f.Fuzz(func(t *testing.T, handle string) {
		if r, err := parseReceipt(handle, 1); err == nil && r.handle() != handle {
			t.Fatalf("%q was read as %q", handle, r.handle())
		}
	})
}
