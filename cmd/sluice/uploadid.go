package main

import (
	"fmt"

	"github.com/google/uuid"
)

// exampleID is what an upload's id looks like.
const exampleID = "0197f0d4-6c1e-7b8a-9d35-4e2f81c07a6b"

// uploadID is an argument that names an upload.
type uploadID struct{ uuid.UUID }

// UnmarshalText implements encoding.TextUnmarshaler. kong says whose value it is.
func (id *uploadID) UnmarshalText(text []byte) error {
	if err := id.UUID.UnmarshalText(text); err != nil {
		return fmt.Errorf("%.60q is no upload's id, which looks like %s: %w", text, exampleID, err)
	}
	return nil
}
