package s3event

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// record is one record of S3's own notification. Its eventVersion is not read: within a major version S3 only
// adds fields, and the fields used here are the same in all of them.
type record struct {
	Name string `json:"eventName"`
	S3   struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"` // form-encoded: a space is a plus sign
			Size      int64  `json:"size"`
			ETag      string `json:"eTag"`
			VersionID string `json:"versionId"`
			Sequencer string `json:"sequencer"`
		} `json:"object"`
	} `json:"s3"`
}

func decodeRecords(raw []json.RawMessage) ([]Event, error) {
	var (
		events []Event
		errs   []error
		bad    int
	)
	for i, r := range raw {
		e, created, err := decodeRecord(r)
		switch {
		case err != nil:
			if bad++; bad <= maxErrors {
				errs = append(errs, malformed("record %d: %w", i, err))
			}
		case created:
			events = append(events, e)
		}
	}
	if bad > maxErrors {
		errs = append(errs, malformed("and %d more bad records", bad-maxErrors))
	}
	return events, errors.Join(errs...)
}

// decodeRecord reports false for the event of anything but a creation. Of such a record nothing but the name is
// read, so that a form that is not known here yet is no error.
func decodeRecord(raw json.RawMessage) (Event, bool, error) {
	var head struct {
		Name string `json:"eventName"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return Event{}, false, err
	}
	name := strings.TrimPrefix(head.Name, "s3:")
	if name == "" {
		return Event{}, false, errors.New("no eventName")
	}
	if !strings.HasPrefix(name, "ObjectCreated:") {
		return Event{}, false, nil
	}
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return Event{}, false, err
	}
	key, err := url.QueryUnescape(r.S3.Object.Key)
	if err != nil {
		return Event{}, false, fmt.Errorf("decoding the key: %w", err)
	}
	e, err := Event{
		Name:      name,
		Bucket:    r.S3.Bucket.Name,
		Key:       key,
		VersionID: r.S3.Object.VersionID,
		ETag:      r.S3.Object.ETag,
		Size:      r.S3.Object.Size,
		Sequencer: r.S3.Object.Sequencer,
	}.checked()
	return e, true, err
}
