//go:build failpoints

package failpoint

import (
	"slices"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	armed, err := parse(" verify.commit.after=crash@2 ;s3.PutObject.before=error:no: luck;webhook.post.after=sleep:3s@10%; scan.work.before=error@3+;")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]rule{
		"verify.commit.after": {action: crash, nth: 2},
		"s3.PutObject.before": {action: fail, text: "no: luck"},
		"webhook.post.after":  {action: stall, pause: 3 * time.Second, chance: 0.1},
		"scan.work.before":    {action: fail, nth: 3, onwards: true},
	} {
		if p := armed[name]; p == nil || p.rule != want {
			t.Errorf("%s: %+v, want %+v", name, p, want)
		}
	}
	for _, s := range []string{"crash", "a=crash", "a.before", "a.before=burn", "a.before=crash:x", "a.before=sleep", "a.before=sleep:x",
		"a.before=crash@", "a.before=crash@0", "a.before=crash@x", "a.before=crash@0%", "a.before=crash@101%", "a.before=crash@-1+"} {
		if _, err := parse(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestStrikes(t *testing.T) {
	for text, want := range map[string][]bool{
		"error":      {true, true, true, true},
		"error@2":    {false, true, false, false},
		"error@3+":   {false, false, true, true},
		"error@100%": {true, true, true, true},
	} {
		r, err := parseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		p := point{rule: r}
		var got []bool
		for range want {
			got = append(got, p.strikes())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
