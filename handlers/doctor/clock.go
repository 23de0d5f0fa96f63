package doctor

import (
	"time"
)

// AWS refuses requests that were signed more than 15 minutes off (RequestTimeTooSkewed); tokens and presigned URLs
// suffer earlier.
const (
	clockWarn = 5 * time.Second
	clockFail = 5 * time.Minute
)

const clockFix = "synchronise the clocks (chrony, systemd-timesyncd)"

// skew is how far a clock that showed some time from shown to shown + precision was off this host's, when it was read
// between before and after: negative when it is behind, 0 when it may have been right.
func skew(shown time.Time, precision time.Duration, before, after time.Time) time.Duration {
	switch {
	case shown.After(after):
		return shown.Sub(after)
	case shown.Add(precision).Before(before):
		return shown.Add(precision).Sub(before)
	}
	return 0
}

// checkClock judges the clock of who.
func checkClock(who string, off time.Duration) Finding {
	check, direction := "clock of "+who, "ahead of"
	if off < 0 {
		direction = "behind"
	}
	switch off = off.Abs().Round(time.Millisecond); {
	case off >= clockFail:
		return fail(check, clockFix, "%s %s this host's", off, direction)
	case off >= clockWarn:
		return warn(check, clockFix, "%s %s this host's", off, direction)
	}
	return ok(check, "within %s of this host's", clockWarn)
}
