package pipeline

import (
	"slices"

	"github.com/sluice-media/sluice/sagas"
)

// The names of the stages.
const (
	Intake    = "intake"
	Verify    = "verify"
	Scan      = "scan"
	Thumbnail = "thumbnail"
	Publish   = "publish"
	Settle    = "settle"
	Notify    = "notify"
)

// sweeperStage names the sweeper in the history. It has no queue.
const sweeperStage = "sweeper"

// EventsTopic is the queue that S3 sends its notifications to. It feeds the intake.
const EventsTopic = "s3-events"

// line is the order of the stages: each takes uploads from one state to the next one's.
var line = []struct {
	stage string
	from  sagas.State
}{
	{Intake, sagas.Initiated},
	{Verify, sagas.Uploaded},
	{Scan, sagas.Verified},
	{Thumbnail, sagas.Clean},
	{Publish, sagas.Processed},
}

// Stages lists the stages in order. The last two take every outcome: settle cleans up behind it, then notify tells it.
func Stages() []string {
	names := make([]string, 0, len(line)+2)
	for _, step := range line {
		names = append(names, step.stage)
	}
	return append(names, Settle, Notify)
}

// Topic is the queue that feeds a stage.
func Topic(stage string) string {
	if stage == Intake {
		return EventsTopic
	}
	return stage
}

// WaitsFor names the stage to which an upload has to be sent as it stands; it is empty when the upload has its outcome
// and everyone was told. Until then an outcome waits for settle, which leaves no trace in the record and may be repeated.
func WaitsFor(u sagas.Upload) string {
	if u.State.Terminal() {
		if u.NotifiedAt == nil {
			return Settle
		}
		return ""
	}
	for _, step := range line {
		if step.from == u.State {
			return step.stage
		}
	}
	return ""
}

// takes reports whether it is the stage's turn to work on u.
func takes(stage string, u sagas.Upload) bool {
	waits := WaitsFor(u)
	return stage == waits || stage == Notify && waits == Settle
}

// nextOf names the stage to which stage passes u on as it stands; it is empty when that is somebody else's to do. Every
// stage may end an upload, and settle takes all outcomes.
func nextOf(stage string, u sagas.Upload) string {
	waits := WaitsFor(u)
	order := Stages()
	switch {
	case waits == Settle && stage == Settle:
		return Notify
	case waits == Settle && stage != Notify:
		return Settle
	case waits != "" && slices.Index(order, waits) == slices.Index(order, stage)+1:
		return waits
	}
	return ""
}

// DeadLetterTopic is the queue that takes what a stage could not handle.
func DeadLetterTopic(stage string) string { return Topic(stage) + "-dlq" }
