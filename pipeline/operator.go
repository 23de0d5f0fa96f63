package pipeline

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/sluice-media/sluice/sagas"
)

// WaitsFor names the stage that an upload is waiting for; it is empty when the upload has its outcome and everyone
// was told.
func WaitsFor(u sagas.Upload) string { return waitsFor(u) }

// DeadLetterTopic is the queue that takes what a stage could not handle.
func DeadLetterTopic(stage string) string { return Topic(stage) + deadLetterSuffix }

// JobUpload returns the id of the upload that a job, the message between stages, names.
func JobUpload(payload []byte) (uuid.UUID, error) {
	var j job
	if err := json.Unmarshal(payload, &j); err != nil {
		return uuid.Nil, fmt.Errorf("decoding a job: %w", err)
	}
	if j.UploadID == uuid.Nil {
		return uuid.Nil, fmt.Errorf("decoding a job: %.80q names no upload", payload)
	}
	return j.UploadID, nil
}
