package main

import (
	"fmt"
	"strings"

	"github.com/sluice-media/sluice/deploy/local/clamd"
	"github.com/sluice-media/sluice/deploy/local/edge"
	"github.com/sluice-media/sluice/deploy/local/postgres"
)

// requirePrograms returns an error that names everything that is missing and the Debian packages that have it.
func requirePrograms(needsPostgres bool) error {
	var missing, packages []string
	check := func(err error, names ...string) {
		if err != nil {
			missing = append(missing, err.Error())
			packages = append(packages, names...)
		}
	}
	if needsPostgres {
		_, err := postgres.Find()
		check(err, "postgresql")
	}
	_, err := clamd.Find()
	check(err, "clamav-daemon", "clamav-freshclam")
	_, _, err = edge.Find()
	check(err, "nginx", "libnginx-mod-http-js")
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%s.\nOn Debian: apt-get install %s", strings.Join(missing, "; "), strings.Join(packages, " "))
}
