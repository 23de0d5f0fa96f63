package sqs

import "time"

// patience is how long what is there already waits for company, with which it shares a request: for lone when it is
// the first after a rest, and otherwise until nothing more has come for quiet, but never longer than most. So a lone
// message is hardly delayed, and busy ones, whose requests cost more than their haste, fill them.
type patience struct {
	lone, quiet, most time.Duration
}

// gathered is what there is by now.
type gathered struct {
	enough bool      // no need to wait any longer
	latest time.Time // when the last one came
}

// await returns when there is enough or patience is at an end, or when giveUp is closed. It looks again at each token
// in look, of which there must be one when enough becomes true.
func (p patience) await(rested bool, look, giveUp <-chan struct{}, there func() gathered) {
	quiet, most := p.quiet, p.most
	if rested {
		quiet, most = p.lone, p.lone
	}
	end := time.Now().Add(most)
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		g := there()
		left := min(time.Until(g.latest.Add(quiet)), time.Until(end))
		if g.enough || left <= 0 {
			return
		}
		timer.Reset(left)
		select {
		case <-timer.C:
		case <-look:
		case <-giveUp:
			return
		}
	}
}

// tell puts a token into look, which has room for one.
func tell(look chan<- struct{}) {
	select {
	case look <- struct{}{}:
	default:
	}
}
