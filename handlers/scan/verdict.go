package scan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/sagas"
)

// clean is the one reply that vouches for a file.
const clean = "stream: OK"

// brokenFile lists libclamav's errors that come from the file, whoever scans it again. All others, such as a full
// disk, may be gone at the next try.
var brokenFile = []string{"Bad format or broken data", "Can't parse data", "Can't unpack some data"}

// verdict gives clamd's reply to INSTREAM its meaning. Nothing but exactly clean is clean; a reply that does not
// judge the file is an ErrUnavailable.
//
// clamd reports what it could not look into as if it were a signature (AlertExceedsMax, AlertEncrypted in
// clamd.conf(5)), or as an error.
func verdict(reply string) (pipeline.Outcome, error) {
	if reply == clean {
		return pipeline.Advance(sagas.Clean, sagas.Facts{}), nil
	}
	if reply == "INSTREAM size limit exceeded. ERROR" {
		return pipeline.Unscannable(sagas.ScanLimit, "the file is larger than the scanner takes"), nil
	}
	said, ofFile := strings.CutPrefix(reply, "stream: ")
	if signature, found := strings.CutSuffix(said, " FOUND"); ofFile && found && signature != "" {
		return detected(signature), nil
	}
	if trouble, failed := strings.CutSuffix(said, " ERROR"); ofFile && failed {
		if strings.HasPrefix(trouble, "Exceeded ") {
			return pipeline.Unscannable(sagas.ScanLimit, "%s", trouble), nil
		}
		if slices.Contains(brokenFile, trouble) {
			return pipeline.Unscannable(sagas.ScanError, "%s", trouble), nil
		}
	}
	return pipeline.Outcome{}, fmt.Errorf("%w: it answered %.80q", ErrUnavailable, reply)
}

func detected(signature string) pipeline.Outcome {
	switch {
	case strings.HasPrefix(signature, "Heuristics.Limits.Exceeded"):
		return pipeline.Unscannable(sagas.ScanLimit, "%s", signature)
	case strings.HasPrefix(signature, "Heuristics.Encrypted"):
		return pipeline.Unscannable(sagas.ScanEncrypted, "%s", signature)
	default:
		return pipeline.Infected(signature)
	}
}
