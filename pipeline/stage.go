package pipeline

import (
	"context"
	"fmt"

	"github.com/sluice-media/sluice/sagas"
)

// Stage is one step of the conveyor. A stage works on the upload it is given and says what came of it; it
// neither publishes messages nor touches the database.
type Stage interface {
	// Name is the stage's name in the history, in metrics, in logs and in the name of its queue.
	Name() string

	// Run does the work. It must be able to happen twice. A nil error commits the Outcome; any other error means
	// that the same work is tried again later.
	Run(ctx context.Context, u sagas.Upload) (Outcome, error)
}

// Outcome is what a stage found out: the state that the upload moves to and the facts to keep.
type Outcome struct {
	State  sagas.State
	Facts  sagas.Facts
	Reason sagas.Reason // why, when State is off the line
}

// Advance is the outcome of a stage that keeps the upload on its line.
func Advance(to sagas.State, f sagas.Facts) Outcome {
	return Outcome{State: to, Facts: f}
}

// Reject is the outcome for a file that is not what was declared or cannot be used.
func Reject(code sagas.Code, format string, args ...any) Outcome {
	return Outcome{State: sagas.Rejected, Reason: reason(code, format, args)}
}

// Infected is the outcome for a file in which the scanner found the named signature.
func Infected(signature string) Outcome {
	return Outcome{State: sagas.Infected, Reason: sagas.Reason{Code: sagas.Malware, Detail: signature}}
}

// Unscannable is the outcome for a file that the scanner could not vouch for.
func Unscannable(code sagas.Code, format string, args ...any) Outcome {
	return Outcome{State: sagas.Unscannable, Reason: reason(code, format, args)}
}

// Fail is the outcome when trying again cannot help.
func Fail(code sagas.Code, format string, args ...any) Outcome {
	return Outcome{State: sagas.Failed, Reason: reason(code, format, args)}
}

func reason(code sagas.Code, format string, args []any) sagas.Reason {
	return sagas.Reason{Code: code, Detail: fmt.Sprintf(format, args...)}
}
