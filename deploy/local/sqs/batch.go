package sqs

import "regexp"

const maxBatchEntries = 10

var batchIDPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// batchOutput is what every batch action returns: an entry of either kind for
// each entry of the request.
type batchOutput[T any] struct {
	Successful []T
	Failed     []batchFailure
}

// batchFailure is the entry for what failed alone.
type batchFailure struct {
	ID          string `json:"Id"`
	Code        string
	Message     string
	SenderFault bool
}

// batchSuccess is the entry for what succeeded and has nothing to say.
type batchSuccess struct {
	ID string `json:"Id"`
}

func newBatchOutput[T any](entries int) *batchOutput[T] {
	return &batchOutput[T]{Successful: make([]T, 0, entries), Failed: []batchFailure{}}
}

// fail adds the failure of one entry.
func (o *batchOutput[T]) fail(id string, err error) {
	refusal := refusalOf(err)
	o.Failed = append(o.Failed, batchFailure{
		ID: id, Code: refusal.Code, Message: refusal.Message, SenderFault: refusal.fault() == faultSender,
	})
}

// checkBatch applies the rules for the ids of a batch's entries.
func checkBatch(ids []string) error {
	switch {
	case len(ids) == 0:
		return errorf(codeEmptyBatchRequest, "there should be at least one entry in the request")
	case len(ids) > maxBatchEntries:
		return errorf(codeTooManyEntriesInBatch, "the maximum number of entries per request is %d; you have sent %d", maxBatchEntries, len(ids))
	}
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if !batchIDPattern.MatchString(id) {
			return errorf(codeInvalidBatchEntryID, "the batch entry id %q can only contain alphanumeric characters, hyphens and underscores, at most 80 letters long", id)
		}
		if seen[id] {
			return errorf(codeBatchEntryIDsNotDistinct, "the id %q is repeated", id)
		}
		seen[id] = true
	}
	return nil
}

// idsOf collects the ids of a batch's entries.
func idsOf[T any](entries []T, id func(T) string) []string {
	ids := make([]string, len(entries))
	for i, entry := range entries {
		ids[i] = id(entry)
	}
	return ids
}
