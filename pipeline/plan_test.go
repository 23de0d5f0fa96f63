package pipeline_test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/sagas"
)

// fate is what is true of a file, and so what must become of its upload.
type fate struct {
	stage  string      // the stage at which it leaves the line; empty: none
	state  sagas.State // where it ends
	code   sagas.Code  // with this reason
	late   bool        // its time is over before it arrives
	moody  bool        // the client may cancel
	rueful bool        // the client deletes it when all is over
}

func (f fate) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s late=%t moody=%t rueful=%t", f.stage, f.state, f.code, f.late, f.moody, f.rueful))
}

// arrives reports whether the client ever sends the file.
func (f fate) arrives() bool { return f.state != sagas.Expired }

// exhausts reports whether the stage fails each time.
func (f fate) exhausts() bool { return f.code == sagas.AttemptsExhausted }

var fates = rapid.SampledFrom([]fate{
	{state: sagas.Ready},
	{state: sagas.Ready, rueful: true},
	{state: sagas.Ready, moody: true},
	{state: sagas.Ready, late: true},
	{state: sagas.Expired, code: sagas.NeverUploaded, late: true},
	{stage: pipeline.Verify, state: sagas.Rejected, code: sagas.TypeMismatch},
	{stage: pipeline.Verify, state: sagas.Failed, code: sagas.AttemptsExhausted},
	{stage: pipeline.Scan, state: sagas.Infected, code: sagas.Malware},
	{stage: pipeline.Scan, state: sagas.Infected, code: sagas.Malware, moody: true, rueful: true},
	{stage: pipeline.Scan, state: sagas.Unscannable, code: sagas.ScanLimit},
	{stage: pipeline.Scan, state: sagas.Failed, code: sagas.AttemptsExhausted},
	{stage: pipeline.Thumbnail, state: sagas.Rejected, code: sagas.Undecodable},
	{stage: pipeline.Thumbnail, state: sagas.Failed, code: sagas.AttemptsExhausted},
	{stage: pipeline.Publish, state: sagas.Failed, code: sagas.ObjectGone},
	{stage: pipeline.Publish, state: sagas.Failed, code: sagas.AttemptsExhausted, moody: true},
	{stage: pipeline.Publish, state: sagas.Failed, code: sagas.AttemptsExhausted},
})

// fault is what goes wrong while a message is handled.
type fault string

const (
	none            fault = "none"
	lostBefore      fault = "killed before anything was read"
	stageFails      fault = "the stage fails"
	stagePanics     fault = "the stage panics"
	lostInWork      fault = "killed before the commit"
	lostAfterCommit fault = "killed between commit and publish"
	lostInPublish   fault = "killed between publish and its reply"
	lostBeforeAck   fault = "killed before the ack"
)

// kind is what happens next.
type kind string

const (
	deliver kind = "deliver" // any message that waits
	hurry   kind = "hurry"   // the message that was sent last
	confirm kind = "confirm" // a client says that it has sent its file, or claims so
	arrive  kind = "arrive"  // a client sends its file
	replay  kind = "replay"  // a message of long ago comes again
	forge   kind = "forge"   // somebody sends what they should not
	abort   kind = "abort"   // a client cancels
	erase   kind = "erase"   // a client wants nothing to be left, whatever has become of it
	sweep   kind = "sweep"
)

// happening is one thing that happens, drawn beforehand so that nothing is drawn inside the runner.
type happening struct {
	kind   kind
	which  int         // of the messages, uploads or forgeries that there are, modulo their number
	copies int         // of every message that is sent meanwhile; 0: it is lost
	fault  fault       // of a delivery, a confirmation or a sweep
	inside []happening // between a stage's reading and its commit
	commit []happening // between the commit and the publishing
	sent   []happening // between the publishing and the ack
}

// anyNumber draws evenly: an integer of rapid's own would mostly be small.
func anyNumber() *rapid.Generator[int] {
	numbers := make([]int, 60)
	for i := range numbers {
		numbers[i] = i
	}
	return rapid.SampledFrom(numbers)
}

// happenings draws one thing, with others nested in it to the given depth.
func happenings(depth int) *rapid.Generator[happening] {
	return rapid.Custom(func(t *rapid.T) happening {
		h := happening{
			kind: rapid.SampledFrom([]kind{deliver, deliver, deliver, deliver, deliver, deliver, hurry, hurry, hurry, hurry,
				confirm, arrive, replay, forge, abort, erase, sweep}).Draw(t, "kind"),
			which:  anyNumber().Draw(t, "which"),
			copies: rapid.SampledFrom([]int{1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 0}).Draw(t, "copies"),
			fault:  none,
		}
		switch h.kind {
		case arrive, replay, forge:
			return h
		default:
		}
		h.fault = rapid.SampledFrom([]fault{none, none, none, none, none, lostBefore, stageFails, stagePanics,
			lostInWork, lostAfterCommit, lostInPublish, lostBeforeAck}).Draw(t, "fault")
		if depth > 0 && rapid.Bool().Draw(t, "nested") {
			nested := rapid.SliceOfN(happenings(depth-1), 0, 3)
			h.inside = nested.Draw(t, "inside")
			h.commit = nested.Draw(t, "commit")
			h.sent = nested.Draw(t, "sent")
		}
		return h
	})
}
