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

// Stages lists the stages in order. Notify is last: it takes every outcome.
func Stages() []string {
	names := make([]string, 0, len(line)+1)
	for _, step := range line {
		names = append(names, step.stage)
	}
	return append(names, Notify)
}

// Topic is the queue that feeds a stage.
func Topic(stage string) string {
	if stage == Intake {
		return EventsTopic
	}
	return stage
}

// WaitsFor names the stage that an upload is waiting for; it is empty when the upload has its outcome and everyone
// was told.
func WaitsFor(u sagas.Upload) string {
	if u.State.Terminal() {
		if u.NotifiedAt == nil {
			return Notify
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

// follows reports whether next takes what stage results in. Every stage may end an upload, and notify takes all
// outcomes.
func follows(stage, next string) bool {
	order := Stages()
	return next == Notify && stage != Notify || next != "" && slices.Index(order, next) == slices.Index(order, stage)+1
}

// DeadLetterTopic is the queue that takes what a stage could not handle.
func DeadLetterTopic(stage string) string { return Topic(stage) + "-dlq" }
