package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/uuid"
)

// The kinds of forged events.
const (
	foreignBucket = "foreign-bucket" // an upload's key in a bucket that is not ours
	unknownKey    = "unknown-key"    // nobody's key
	nothingThere  = "nothing-there"  // the key of an upload that has not arrived
	replayed      = "replayed"       // the key of an upload that arrived long ago
	mixedUp       = "mixed-up"       // one upload's key with the size, ETag and version of another object
	malformed     = "malformed"      // no JSON, or none that makes sense
	ownOutput     = "own-output"     // the key of something that Sluice wrote
)

func forgeryKinds() []string {
	return []string{foreignBucket, unknownKey, nothingThere, replayed, mixedUp, malformed, ownOutput}
}

// forger puts events on the queue that nothing in S3 has caused.
type forger struct {
	queues   *sqs.Client
	queueURL string
	ledger   *ledger

	incoming, media string // buckets
}

// forge puts one event of the kind on the queue. It reports false when there is no upload yet that suits.
func (f *forger) forge(ctx context.Context, kind string, dice *rand.Rand) (bool, error) {
	body, found := f.body(kind, dice)
	if !found {
		return false, nil
	}
	if _, err := f.queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &f.queueURL, MessageBody: &body}); err != nil {
		return false, fmt.Errorf("forge an event (%s): %w", kind, err)
	}
	return true, nil
}

func (f *forger) body(kind string, dice *rand.Rand) (string, bool) {
	anybody := func(Receipt) bool { return true }
	switch kind {
	case unknownKey:
		return forgedEvent(f.incoming, "uploads/"+uuid.NewString()+".jpg", dice), true
	case malformed:
		bodies := []string{
			`no JSON at all`, `{"Records":[{}]}`, `{"Records":`, `[]`, `{"Records":[{"eventName":"ObjectCreated:Put","s3":{}}]}`,
		}
		return bodies[dice.IntN(len(bodies))], true
	case nothingThere:
		r, found := f.ledger.pick(dice, func(r Receipt) bool { return len(r.Sent) == 0 })
		return forgedEvent(f.incoming, r.Key, dice), found
	case replayed, mixedUp:
		r, found := f.ledger.pick(dice, Receipt.Accepted)
		return forgedEvent(f.incoming, r.Key, dice), found
	case ownOutput:
		r, found := f.ledger.pick(dice, anybody)
		if dice.IntN(2) == 0 {
			return forgedEvent(f.media, r.Key, dice), found
		}
		return forgedEvent(f.incoming, "thumbnails/"+r.ID+"/200.jpg", dice), found
	default:
		r, found := f.ledger.pick(dice, anybody)
		return forgedEvent("somebody-elses", r.Key, dice), found
	}
}

// forgedEvent is an S3 notification whose size, ETag and version are made up. Format: "Event message structure" in the
// Amazon S3 User Guide.
func forgedEvent(bucket, key string, dice *rand.Rand) string {
	body, _ := json.Marshal(map[string]any{"Records": []any{map[string]any{ //nolint:errchkjson // Strings and numbers only.
		"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
		"eventTime": time.Now().UTC().Format(time.RFC3339), "eventName": "ObjectCreated:Put",
		"s3": map[string]any{
			"s3SchemaVersion": "1.0",
			"bucket":          map[string]any{"name": bucket, "arn": "arn:aws:s3:::" + bucket},
			"object": map[string]any{
				"key": url.QueryEscape(key), "size": dice.IntN(1 << 20), "eTag": fmt.Sprintf("%032x", dice.Uint64()),
				"versionId": fmt.Sprintf("%026x", dice.Uint64()), "sequencer": fmt.Sprintf("%018X", dice.Uint64()),
			},
		},
	}}})
	return string(body)
}
