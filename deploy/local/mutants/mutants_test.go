package mutants

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-media/sluice/deploy/local/chaos"
)

const repository = "../../.."

// A mutant whose text is gone from the source proves nothing any more.
func TestEveryMutantFitsTheSource(t *testing.T) {
	names := map[string]bool{}
	for _, m := range All() {
		t.Run(m.Name, func(t *testing.T) {
			if names[m.Name] || len(m.Edits) == 0 || len(m.Caught) == 0 {
				t.Error("it needs a name of its own, edits and a check")
			}
			names[m.Name] = true
			source, err := os.ReadFile(filepath.Join(repository, m.File))
			if err != nil {
				t.Fatal(err)
			}
			changed, err := m.mutate(string(source))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.ParseFile(token.NewFileSet(), m.File, changed, parser.AllErrors); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMutate(t *testing.T) {
	m := Mutant{Edits: []Edit{{"a", "b"}}}
	if got, err := m.mutate("xay"); got != "xby" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for _, source := range []string{"xyz", "xaay"} {
		if got, err := m.mutate(source); err == nil {
			t.Errorf("%q became %q", source, got)
		}
	}
}

func TestVerdict(t *testing.T) {
	finding := func(check string) chaos.Report { return chaos.Report{Findings: []chaos.Finding{{Check: check}}} }
	mutant := Mutant{Edits: []Edit{{"a", "b"}}, Caught: []string{chaos.Leaked}}
	for name, tc := range map[string]struct {
		mutant Mutant
		report chaos.Report
		ok     bool
		said   string
	}{
		"caught":                {mutant, finding(chaos.Leaked), true, "leaked: 1"},
		"survived":              {mutant, chaos.Report{}, false, "survived; found nothing"},
		"caught by accident":    {mutant, finding(chaos.Stuck), false, "survived; found stuck: 1"},
		"control":               {Mutant{}, chaos.Report{}, true, "found nothing"},
		"control with findings": {Mutant{}, finding(chaos.Lost), false, "found lost: 1"},
		"control without fault": {Mutant{}, chaos.Report{Idle: []string{"kill worker"}}, false, "never struck: kill worker"},
	} {
		t.Run(name, func(t *testing.T) {
			if ok, said := tc.mutant.verdict(tc.report); ok != tc.ok || !strings.Contains(said, tc.said) {
				t.Errorf("got %v, %q", ok, said)
			}
		})
	}
}
