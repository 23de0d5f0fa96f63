package clamd

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	// TestMarker makes any file that contains it infected, as InfectedByMarker.
	TestMarker = "SLUICE-TEST-MALWARE-0001"
	// InfectedByMarker is what clamd calls a file with TestMarker. It marks signatures that are not ClamAV's own.
	InfectedByMarker = "Sluice.Test.Marker.UNOFFICIAL"
	// InfectedByEICAR is what clamd calls a file with EICAR's string.
	InfectedByEICAR = "Sluice.Test.EICAR.UNOFFICIAL"

	testSignatures = "sluice-test.ndb"
)

// EICAR returns the standard antivirus test string (https://www.eicar.org/download-anti-malware-testfile/). It is kept
// in two parts so that no scanner takes this program for it.
func EICAR() string {
	return `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-` + `STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`
}

// writeTestSignatures writes extended signatures, name:target:offset:hex, for any file type (0) at any offset (*).
// Format: https://docs.clamav.net/manual/Signatures/ExtendedSignatures.html
func writeTestSignatures(dir string) error {
	var lines strings.Builder
	for _, signature := range []struct{ name, content string }{
		{InfectedByEICAR, EICAR()},
		{InfectedByMarker, TestMarker},
	} {
		name := strings.TrimSuffix(signature.name, ".UNOFFICIAL")
		fmt.Fprintf(&lines, "%s:0:*:%s\n", name, hex.EncodeToString([]byte(signature.content)))
	}
	return os.WriteFile(filepath.Join(dir, testSignatures), []byte(lines.String()), 0o600)
}

// Official tells whether ClamAV's own main and daily databases are in the daemon's folder, so that more is found than
// the test signatures.
func (c Config) Official() bool {
	for _, database := range []string{"main", "daily"} {
		found, err := filepath.Glob(filepath.Join(c.signatures(), database+".c[lv]d"))
		if err != nil || len(found) == 0 {
			return false
		}
	}
	return true
}

// find looks on the PATH and in the folders of system programs.
func find(program string, missing error) (string, error) {
	for _, candidate := range []string{program, "/usr/sbin/" + program, "/usr/local/sbin/" + program} {
		path, err := exec.LookPath(candidate)
		if err == nil {
			return filepath.Abs(path)
		}
		if !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	return "", missing
}
