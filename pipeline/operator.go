package pipeline

import "github.com/google/uuid"

// JobUpload returns the id of the upload that a job, the message between stages, names.
func JobUpload(payload []byte) (uuid.UUID, error) {
	j, err := decodeJob(payload)
	return j.UploadID, err
}
