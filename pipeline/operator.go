package pipeline

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
)

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
