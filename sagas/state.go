package sagas

import "slices"

// State says how far an upload has come. The values are part of the API and of the database.
type State string

// The states on the line that every good upload follows.
const (
	Initiated State = "initiated" // permission was given; nothing has arrived yet
	Uploaded  State = "uploaded"  // the object exists and is pinned by ETag and version
	Verified  State = "verified"  // it is what was declared
	Clean     State = "clean"     // the scanner found nothing in exactly these bytes
	Processed State = "processed" // its renditions exist
	Ready     State = "ready"     // it and its renditions are published
)

// The other outcomes.
const (
	Rejected    State = "rejected"    // not what was declared, or not decodable
	Infected    State = "infected"    // the scanner found malware
	Unscannable State = "unscannable" // the scanner could not vouch for it
	Failed      State = "failed"      // a stage gave up after its attempts
	Expired     State = "expired"     // nothing was uploaded in time
	Aborted     State = "aborted"     // the client cancelled
	Deleted     State = "deleted"     // the files were removed
)

// transitions is the one table of allowed moves.
var transitions = map[State][]State{
	Initiated:   {Uploaded, Expired, Aborted},
	Uploaded:    {Verified, Rejected, Failed, Aborted},
	Verified:    {Clean, Rejected, Infected, Unscannable, Failed, Aborted},
	Clean:       {Processed, Rejected, Failed, Aborted},
	Processed:   {Ready, Failed, Aborted},
	Ready:       {Deleted},
	Rejected:    {Deleted},
	Infected:    {Deleted},
	Unscannable: {Deleted},
	Failed:      {Deleted},
	Expired:     {Deleted},
	Aborted:     {Deleted},
	Deleted:     {},
}

var terminal = []State{Ready, Rejected, Infected, Unscannable, Failed, Expired, Aborted, Deleted}

// States lists every state.
func States() []State {
	return append([]State{Initiated, Uploaded, Verified, Clean, Processed}, terminal...)
}

// TerminalStates lists the states in which an upload has its outcome.
func TerminalStates() []State { return slices.Clone(terminal) }

// Terminal reports whether s is an outcome: all that is left to do is to clean up and to tell.
func (s State) Terminal() bool { return slices.Contains(terminal, s) }

// CanBecome reports whether the table allows the move from s to next. An outcome may also "become" itself: that
// is how its delivery is recorded.
func (s State) CanBecome(next State) bool {
	return slices.Contains(transitions[s], next) || s == next && s.Terminal()
}
