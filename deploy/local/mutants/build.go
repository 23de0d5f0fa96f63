package mutants

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// build compiles sluice, with the mutant's bug in it, to a file in dir. Without edits it is sluice as it is.
func build(ctx context.Context, repository, dir string, m Mutant) (program string, err error) {
	program = filepath.Join(dir, "sluice")
	args := []string{"build", "-tags", "failpoints", "-o", program} // some profiles have workers fail where they say
	if len(m.Edits) > 0 {
		overlay, err := writeOverlay(repository, dir, m)
		if err != nil {
			return "", err
		}
		args = append(args, "-overlay", overlay)
	}
	command := exec.CommandContext(ctx, "go", append(args, "./cmd/sluice")...) //nolint:gosec // The arguments are ours.
	command.Dir = repository
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", m.Name, err, output)
	}
	return program, nil
}

// writeOverlay writes the changed file and the list of replacements that go build takes.
func writeOverlay(repository, dir string, m Mutant) (string, error) {
	path := filepath.Join(repository, m.File)
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	changed, err := m.mutate(string(source))
	if err != nil {
		return "", err
	}
	replacement := filepath.Join(dir, filepath.Base(m.File))
	if err := os.WriteFile(replacement, []byte(changed), 0o600); err != nil { //nolint:gosec // The mutants are ours, and so is the folder.
		return "", err
	}
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{path: replacement}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}

// mutate makes the edits. A text that is not there, or there twice, means that the source has changed and the mutant
// has to be written anew.
func (m Mutant) mutate(source string) (string, error) {
	for _, e := range m.Edits {
		if n := strings.Count(source, e.Old); n != 1 {
			return "", fmt.Errorf("mutant %q: %s has %d times, not once:\n%s", m.Name, m.File, n, e.Old)
		}
		source = strings.Replace(source, e.Old, e.New, 1)
	}
	return source, nil
}
