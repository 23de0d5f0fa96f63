//go:build failpoints

package failpoint

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

type action string

const (
	crash action = "crash"
	fail  action = "error"
	stall action = "sleep"
)

// rule is what happens at a point, and when.
type rule struct {
	action  action
	text    string        // of an error
	pause   time.Duration // of a sleep
	nth     int           // 0: any time
	onwards bool          // from the nth time on
	chance  float64       // 0: not by chance
}

func parse(s string) (map[string]*point, error) {
	armed := map[string]*point{}
	for part := range strings.SplitSeq(s, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, text, found := strings.Cut(part, "=")
		if !found || !strings.HasSuffix(name, ".before") && !strings.HasSuffix(name, ".after") {
			return nil, fmt.Errorf("%q is not EFFECT.before=ACTION or EFFECT.after=ACTION", part)
		}
		r, err := parseRule(text)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		armed[name] = &point{rule: r}
	}
	return armed, nil
}

func parseRule(s string) (r rule, err error) {
	if at := strings.LastIndex(s, "@"); at >= 0 {
		if err := r.parseWhen(s[at+1:]); err != nil {
			return r, err
		}
		s = s[:at]
	}
	name, argument, _ := strings.Cut(s, ":")
	switch r.action = action(name); r.action {
	case crash:
		if argument != "" {
			err = fmt.Errorf("crash takes no %q", argument)
		}
	case fail:
		r.text = argument
	case stall:
		r.pause, err = time.ParseDuration(argument)
	default:
		err = fmt.Errorf("no action is called %q", name)
	}
	return r, err
}

func (r *rule) parseWhen(s string) (err error) {
	if percent, found := strings.CutSuffix(s, "%"); found {
		r.chance, err = strconv.ParseFloat(percent, 64)
		if r.chance /= 100; err == nil && (r.chance <= 0 || r.chance > 1) {
			err = fmt.Errorf("%q is not above 0%% and at most 100%%", s)
		}
		return err
	}
	s, r.onwards = strings.CutSuffix(s, "+")
	r.nth, err = strconv.Atoi(s)
	if err == nil && r.nth < 1 {
		err = fmt.Errorf("there is no time %d", r.nth)
	}
	return err
}
