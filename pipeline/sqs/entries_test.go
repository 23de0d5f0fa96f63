package sqs

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func TestEntryResults(t *testing.T) {
	results := entryResults(4, []*string{aws.String("2"), aws.String("9"), nil}, []types.BatchResultErrorEntry{
		{Id: aws.String("0"), Code: aws.String("InternalError")},
		{Id: aws.String("3"), Code: aws.String("ReceiptHandleIsInvalid"), Message: aws.String("no such"), SenderFault: true},
		{Id: aws.String("nonsense")},
	})
	if len(results) != 4 || results[2] != nil {
		t.Fatalf("results are %v", results)
	}
	if !errors.Is(results[1], errNoResult) || isSenderFault(results[1]) {
		t.Errorf("an entry without a result has %v", results[1])
	}
	if results[0] == nil || isSenderFault(results[0]) {
		t.Errorf("SQS's fault is %v", results[0])
	}
	if !isSenderFault(results[3]) || results[3].Error() != "ReceiptHandleIsInvalid: no such" {
		t.Errorf("the sender's fault is %v", results[3])
	}
}

// script is a batchCall whose answers are laid down, one map of failures by item for each call.
type script struct {
	answers []map[string]error
	calls   [][]string
}

func (s *script) call(_ context.Context, items []string) ([]error, error) {
	failures := s.answers[min(len(s.calls), len(s.answers)-1)]
	s.calls = append(s.calls, items)
	if err := failures["whole"]; err != nil {
		return nil, err
	}
	results := make([]error, len(items))
	for i, item := range items {
		results[i] = failures[item]
	}
	return results, nil
}

func TestSendEntries(t *testing.T) {
	var (
		passing  = &EntryError{Code: "InternalError"}
		hopeless = &EntryError{Code: "InvalidMessageContents", SenderFault: true}
		whole    = errors.New("connection refused")
	)
	for name, test := range map[string]struct {
		answers []map[string]error
		calls   [][]string
		want    []error // of a, b and c
	}{
		"all well": {
			[]map[string]error{{}},
			[][]string{{"a", "b", "c"}}, []error{nil, nil, nil},
		},
		"passing and hopeless": {
			[]map[string]error{{"a": passing, "b": hopeless, "c": passing}, {"c": passing}, {}},
			[][]string{{"a", "b", "c"}, {"a", "c"}, {"c"}}, []error{nil, hopeless, nil},
		},
		"never passing": {
			[]map[string]error{{"b": passing}},
			[][]string{{"a", "b", "c"}, {"b"}, {"b"}, {"b"}}, []error{nil, passing, nil},
		},
		"as a whole": {
			[]map[string]error{{"whole": whole}},
			[][]string{{"a", "b", "c"}}, []error{whole, whole, whole},
		},
		"as a whole, later": {
			[]map[string]error{{"c": passing}, {"whole": whole}},
			[][]string{{"a", "b", "c"}, {"c"}}, []error{nil, nil, whole},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{answers: test.answers}
			got := sendEntries(t.Context(), []string{"a", "b", "c"}, s.call)
			if !slices.Equal(got, test.want) {
				t.Errorf("results %v, want %v", got, test.want)
			}
			if !slices.EqualFunc(s.calls, test.calls, slices.Equal) {
				t.Errorf("calls %v, want %v", s.calls, test.calls)
			}
		})
	}
}

func TestSendEntriesEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &script{answers: []map[string]error{{"a": errNoResult}}}
	if got := sendEntries(ctx, []string{"a"}, s.call); !errors.Is(got[0], errNoResult) || len(s.calls) != 1 {
		t.Errorf("result %v after %d calls", got, len(s.calls))
	}
}
