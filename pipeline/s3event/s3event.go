// Package s3event decodes what a queue receives when an object is created in a bucket.
//
// It takes every form in which that news arrives:
//
//   - S3's own notification, {"Records": […]}, of any eventVersion, several records in a message; also from
//     stores that write event names with the prefix "s3:";
//   - the message that S3 sends when a notification is configured, s3:TestEvent, which has no records;
//   - Amazon EventBridge's "Object Created" event;
//   - either of these inside an SNS envelope, when the topic does not deliver raw.
//
// The forms are described in the Amazon S3 User Guide, "Event message structure" and "EventBridge event message
// structure", and in the Amazon SNS Developer Guide, "Parsing Amazon SNS message formats".
//
// An event is a hint, not a fact. Anybody who can write to the queue can forge one, events arrive twice, late and
// out of order: whoever acts on one asks S3 first.
package s3event

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxBody is the size in bytes of the longest message that is looked at, which is also the longest that SQS can
// be configured to take.
const MaxBody = 1 << 20

const (
	maxKey    = 1024 // bytes; S3's own limit
	maxBucket = 255  // bytes; the longest name that any S3 bucket has
	maxErrors = 8    // named in one error; more would only fill the log
)

// ErrMalformed reports a message, or a record in it, that is none of the known forms. It will never become one:
// there is no use in trying the message again.
var ErrMalformed = errors.New("malformed S3 notification")

// Event says that an object was created.
type Event struct {
	Name      string // "ObjectCreated:Put", …, without any "s3:"
	Bucket    string
	Key       string // decoded; UTF-8, at most 1024 bytes, no NUL
	VersionID string // empty when the bucket is not versioned
	ETag      string // without quotes
	Size      int64  // bytes; 0 when the store does not say
	Sequencer string // hexadecimal; orders the events of one key, and only those
}

// Decode returns the ObjectCreated events of a message in the order in which they stand there. Other events and
// messages without any are no error.
//
// One bad record does not hide its neighbours: the good events are returned together with an error that joins
// what is wrong with the bad ones. Every error is an ErrMalformed.
func Decode(body []byte) ([]Event, error) {
	m, err := parse(body)
	if err != nil {
		return nil, err
	}
	if m.Type == "" {
		return m.events()
	}
	if m.Type != "Notification" {
		return nil, malformed("an SNS %.40q is not a notification", m.Type)
	}
	inner, err := parse([]byte(m.Message))
	if err != nil {
		return nil, fmt.Errorf("in the SNS envelope: %w", err)
	}
	return inner.events()
}

// message is the union of the forms' outermost objects.
type message struct {
	// S3's own
	Records *[]json.RawMessage `json:"Records"`
	Event   string             `json:"Event"`

	// EventBridge
	DetailType string          `json:"detail-type"`
	Detail     json.RawMessage `json:"detail"`

	// SNS
	Type    string `json:"Type"`
	Message string `json:"Message"`
}

func parse(body []byte) (message, error) {
	var m message
	if len(body) > MaxBody {
		return m, malformed("%d bytes are more than a queue carries", len(body))
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, malformed("%w", err)
	}
	return m, nil
}

func (m message) events() ([]Event, error) {
	switch {
	case m.Records != nil:
		return decodeRecords(*m.Records)
	case m.DetailType == objectCreated:
		return decodeDetail(m.Detail)
	case m.DetailType != "", strings.TrimPrefix(m.Event, "s3:") == "TestEvent":
		return nil, nil
	default:
		return nil, malformed("none of the known forms")
	}
}

// checked returns the event with its ETag and version as the rest of Sluice writes them. It refuses what no
// object's event can hold and what a database cannot store.
func (e Event) checked() (Event, error) {
	e.ETag = strings.Trim(e.ETag, `"`) // some stores keep the quotes that it has in HTTP
	if e.VersionID == "null" {         // how S3 shows an object of a bucket without versions
		e.VersionID = ""
	}
	switch {
	case e.Bucket == "":
		return Event{}, errors.New("no bucket")
	case len(e.Bucket) > maxBucket:
		return Event{}, fmt.Errorf("a bucket name of %d bytes", len(e.Bucket))
	case strings.ContainsRune(e.Bucket, 0):
		return Event{}, errors.New("a NUL in the bucket name")
	case e.Key == "":
		return Event{}, errors.New("no key")
	case len(e.Key) > maxKey:
		return Event{}, fmt.Errorf("a key of %d bytes", len(e.Key))
	case !utf8.ValidString(e.Key):
		return Event{}, errors.New("a key that is not UTF-8")
	case strings.ContainsRune(e.Key, 0):
		return Event{}, errors.New("a NUL in the key")
	case e.Size < 0:
		return Event{}, fmt.Errorf("a size of %d bytes", e.Size)
	}
	return e, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
}
