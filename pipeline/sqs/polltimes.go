package sqs

import (
	"sync"
	"time"
)

const (
	// slowdown is by how much polls may slow each other down before more of them are no gain: they are there to hide
	// the time that a request is on its way, and that does not grow with their number. Answers of SQS vary by less. Where
	// it is next to nothing, polls wait for processors instead, and some of them have to, or the processors wait for them.
	slowdown = 16
	// smoothing is of how many polls the usual time is.
	smoothing = 8
)

// pollTimes are how long the polls take that bring a full batch.
type pollTimes struct {
	mu              sync.Mutex
	quickest, usual time.Duration
	noted           time.Time
}

// note adds a poll that took so long and has just ended. The quickest one counts as twice as long after a minute, since
// the way to SQS may have changed.
func (p *pollTimes) note(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.noted.IsZero() {
		p.quickest, p.usual, p.noted = took, took, now
	}
	p.quickest += time.Duration(float64(p.quickest) * now.Sub(p.noted).Minutes())
	p.quickest = min(p.quickest, took)
	p.usual += (took - p.usual) / smoothing
	p.noted = now
}

// crowded reports whether there are so many polls that one more would gain nothing, and whether there are far more
// than that.
func (p *pollTimes) crowded() (enough, tooMany bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.usual > slowdown*p.quickest, p.usual > 2*slowdown*p.quickest
}
