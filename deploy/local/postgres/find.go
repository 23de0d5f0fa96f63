package postgres

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNotInstalled means that no server binaries were found.
var ErrNotInstalled = errors.New("PostgreSQL's server programs (initdb, postgres) are not installed")

// Find returns the folder of the newest installed server programs: Debian's place first, then the PATH.
func Find() (string, error) {
	return find("")
}

// find is Find for one major version, such as "15"; "" is any. What is on the PATH is taken at any version: the server
// itself refuses a cluster that is not of its own.
func find(major string) (string, error) {
	pattern := major
	if major == "" {
		pattern = "*"
	}
	candidates, err := filepath.Glob("/usr/lib/postgresql/" + pattern + "/bin")
	if err != nil {
		return "", err
	}
	best, bestMajor := "", 0.0
	for _, dir := range candidates {
		number, err := strconv.ParseFloat(filepath.Base(filepath.Dir(dir)), 64)
		if err == nil && number > bestMajor && complete(dir) {
			best, bestMajor = dir, number
		}
	}
	if best != "" {
		return best, nil
	}
	for _, dir := range strings.Split(os.Getenv("PATH"), string(os.PathListSeparator)) {
		if complete(dir) {
			return dir, nil
		}
	}
	if major != "" {
		return "", fmt.Errorf("the cluster was made by version %s: %w in that version", major, ErrNotInstalled)
	}
	return "", ErrNotInstalled
}

func complete(dir string) bool {
	for _, program := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(dir, program)) //nolint:gosec // Looking along the PATH is what is asked for.
		if err != nil || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}
