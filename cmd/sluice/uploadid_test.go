package main

import (
	"strings"
	"testing"
)

func TestAMalformedUploadIDIsExplained(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"status", "delete", "delete " + exampleID, "saga show", "saga retry", "saga abort"} {
		for _, id := range []string{"abc", strings.Replace(exampleID, "0", "g", 1), exampleID + "0"} {
			code, stdout, stderr := sluice(t, append(strings.Fields(command), id)...)
			if code != exitUsage || stdout != "" {
				t.Errorf("%s %s: exit %d, %s", command, id, code, stdout)
			}
			for _, want := range []string{"sluice: <id>", `"` + id + `"`, exampleID} {
				if !strings.Contains(stderr, want) {
					t.Errorf("%s %s: %q is not in %s", command, id, want, stderr)
				}
			}
		}
	}
}
