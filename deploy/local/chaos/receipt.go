package chaos

import (
	"image/color"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Receipt is what a customer knows of one upload: what it asked for, what it sent and what it was told.
type Receipt struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Key      string `json:"key"` // in the incoming bucket
	// GivenUpAt is when the upload may expire that nothing arrived for.
	GivenUpAt time.Time `json:"given_up_at"`
	Sent      []Sending `json:"sent"`
	// Cancelled tells that the customer deleted the upload and was told so; Cancelling that it tried to.
	Cancelled  bool `json:"cancelled,omitempty"`
	Cancelling bool `json:"cancelling,omitempty"`
}

// Sending is one file that a customer sends to an upload's key, however often.
type Sending struct {
	SHA256 string `json:"sha256"`
	Class  string `json:"class"` // the outcome that this file must have
	// Accepted tells that S3 said so, Unsure that an answer was lost.
	Accepted bool       `json:"accepted"`
	Unsure   bool       `json:"unsure"`
	LastTry  time.Time  `json:"last_try"`
	Colour   color.RGBA `json:"-"`
}

// Accepted tells that S3 has confirmed at least one file.
func (r Receipt) Accepted() bool {
	return slices.ContainsFunc(r.Sent, func(s Sending) bool { return s.Accepted })
}

// sent finds what was sent with this hash.
func (r Receipt) sent(sha256 string) (Sending, bool) {
	for _, s := range r.Sent {
		if s.SHA256 == sha256 && (s.Accepted || s.Unsure) {
			return s, true
		}
	}
	return Sending{}, false
}

// meant tells that the customer sends a file with this hash that may be published.
func (r Receipt) meant(sha256 string) bool {
	return slices.ContainsFunc(r.Sent, func(s Sending) bool { return s.SHA256 == sha256 && s.Class == good })
}

// outcomes lists the states that the upload may end in.
func (r Receipt) outcomes() []string {
	if r.Cancelled {
		return []string{"aborted", "deleted"}
	}
	var states []string
	for _, s := range r.Sent {
		if s.Accepted || s.Unsure {
			states = append(states, s.Class)
		}
	}
	if !r.Accepted() {
		states = append(states, "expired")
	}
	if r.Cancelling {
		states = append(states, "aborted", "deleted")
	}
	return states
}

// harmless tells that the upload may become ready.
func (r Receipt) harmless() bool {
	return slices.ContainsFunc(r.Sent, func(s Sending) bool { return s.Class == good })
}

// ledger keeps the receipts.
type ledger struct {
	mu       sync.Mutex
	receipts map[string]*Receipt
	order    []*Receipt // in which the uploads were begun
}

func newLedger() *ledger { return &ledger{receipts: map[string]*Receipt{}} }

// open enters a new upload.
func (l *ledger) open(r Receipt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.receipts[r.ID] = &r
	l.order = append(l.order, &r)
}

// note changes the receipt of an upload.
func (l *ledger) note(id string, change func(*Receipt)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l.receipts[id])
}

// all returns a copy of everything, in the order in which the uploads were begun.
func (l *ledger) all() []Receipt { return l.those(func(Receipt) bool { return true }) }

// one returns a copy of an upload's receipt.
func (l *ledger) one(id string) Receipt {
	l.mu.Lock()
	defer l.mu.Unlock()
	return copies([]*Receipt{l.receipts[id]}, func(Receipt) bool { return true })[0]
}

// those returns a copy of what suits, in the order in which the uploads were begun.
func (l *ledger) those(suit func(Receipt) bool) []Receipt {
	l.mu.Lock()
	defer l.mu.Unlock()
	return copies(l.order, suit)
}

// copies of the receipts that suit.
func copies(receipts []*Receipt, suit func(Receipt) bool) []Receipt {
	var suitable []Receipt
	for _, r := range receipts {
		if suit(*r) {
			c := *r
			c.Sent = slices.Clone(r.Sent)
			suitable = append(suitable, c)
		}
	}
	return suitable
}

// pick returns one of the latest uploads that suit, if there is any.
func (l *ledger) pick(dice *rand.Rand, suits func(Receipt) bool) (Receipt, bool) {
	const latest = 50
	l.mu.Lock()
	defer l.mu.Unlock()
	suitable := copies(l.order[max(0, len(l.order)-latest):], suits)
	if len(suitable) == 0 {
		return Receipt{}, false
	}
	return suitable[dice.IntN(len(suitable))], true
}
