package chaos

import (
	"fmt"
	"strings"
	"time"
)

const (
	// lastWords is how long after the cut a step may still appear that was on its way.
	lastWords = time.Second
	// returnLimit is how long after it was let back a host may take to work again.
	returnLimit = 10 * time.Second
)

// JudgeCuts returns what is wrong with how hosts were missed, and enters what came of each cut: while one was cut off,
// the others made steps; no step was waited for longer than allowed; and once it was back it made steps again. Who is cut
// off from the database cannot make any: if it did, it was not cut off.
func JudgeCuts(cuts []Cut, labours []Labour, allowed time.Duration) (findings []Finding) {
	find := func(upload, format string, args ...any) {
		findings = append(findings, Finding{Stranded, upload, fmt.Sprintf(format, args...)})
	}
	for i := range cuts {
		c := &cuts[i]
		back := false
		for _, l := range labours {
			own := strings.HasPrefix(l.Worker, c.Host+"/")
			during := l.Done.After(c.From) && l.Done.Before(c.To)
			if wait := l.Done.Sub(l.Due); l.From != "initiated" && l.Due.Before(c.To) && l.Done.After(c.From) {
				c.Longest = max(c.Longest, wait)
				if wait > allowed {
					find(l.Upload, "while %s was cut off from %s, the step from %s to %s was waited for for %.1f s (%.1f s allowed)",
						c.Host, c.Target, l.From, l.To, wait.Seconds(), allowed.Seconds())
				}
				if during && !own && wait > leaseLost {
					c.TakenOver++
				}
			}
			switch {
			case during && !own:
				c.Meanwhile++
			case during && c.Target != gateSQS && l.Done.Sub(c.From) > lastWords:
				find(l.Upload, "%s was cut off from %s and made the step from %s to %s", c.Host, c.Target, l.From, l.To)
			case own && !back && l.Done.After(c.To):
				back = true
				c.BackAfter = l.Done.Sub(c.To)
			}
		}
		if c.Meanwhile == 0 {
			find("", "nobody made a step while %s was cut off from %s", c.Host, c.Target)
		}
		if !back || c.BackAfter > returnLimit {
			find("", "%s made no step within %s after it was cut off from %s", c.Host, returnLimit, c.Target)
		}
	}
	return findings
}

// leaseLost is the wait from which it is clear that a step was another's at first.
const leaseLost = visibility * 4 / 5
