package s3event

import "encoding/json"

// objectCreated is the detail-type of the one EventBridge event that counts.
const objectCreated = "Object Created"

// detail is the detail of an EventBridge event of S3.
type detail struct {
	Bucket struct {
		Name string `json:"name"`
	} `json:"bucket"`
	Object struct {
		Key       string `json:"key"` // as it is, not encoded
		Size      int64  `json:"size"`
		ETag      string `json:"etag"`
		VersionID string `json:"version-id"`
		Sequencer string `json:"sequencer"`
	} `json:"object"`
	Reason string `json:"reason"` // the S3 operation that created the object
}

// creations gives the operations that EventBridge names the names that they have in S3's own notifications.
var creations = map[string]string{
	"PutObject":               "Put",
	"POST Object":             "Post",
	"CopyObject":              "Copy",
	"CompleteMultipartUpload": "CompleteMultipartUpload",
}

func decodeDetail(raw json.RawMessage) ([]Event, error) {
	var d detail
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, malformed("EventBridge detail: %w", err)
	}
	how, known := creations[d.Reason]
	if !known {
		how = d.Reason
	}
	e, err := Event{
		Name:      "ObjectCreated:" + how,
		Bucket:    d.Bucket.Name,
		Key:       d.Object.Key,
		VersionID: d.Object.VersionID,
		ETag:      d.Object.ETag,
		Size:      d.Object.Size,
		Sequencer: d.Object.Sequencer,
	}.checked()
	if err != nil {
		return nil, malformed("EventBridge detail: %w", err)
	}
	return []Event{e}, nil
}
