package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-media/sluice/pipeline/storage"
)

// checkProvider holds the profile that is used against the endpoint's name, and says what the provider lacks.
func (d *Doctor) checkProvider() Finding {
	const check = "provider"
	used, owner := d.Objects.Provider()
	if owner != "" && owner != used {
		return fail(check, fmt.Sprintf("set SLUICE_S3_PROVIDER to %s, or leave it out", owner),
			"requests are made as %s wants them, but the endpoint is one of %s", used, owner)
	}
	var lacks []string
	for _, lack := range d.Objects.Lacks() {
		lacks = append(lacks, string(lack))
	}
	if len(lacks) == 0 {
		return ok(check, "%s has all that is used", used)
	}
	return ok(check, "%s; Sluice does without what it lacks: %s", used, strings.Join(lacks, ", "))
}

// checkServer holds the profile against what the store calls itself, which may be a proxy's doing.
func (d *Doctor) checkServer(p *probe) []Finding {
	used, _ := d.Objects.Provider()
	server := p.answer.Get("Server")
	other := storage.ServerProvider(server)
	if other == "" || other == used {
		return nil
	}
	return []Finding{warn("server", fmt.Sprintf("set SLUICE_S3_PROVIDER to %s", other),
		"requests are made as %s wants them, but the store calls itself %s", used, server)}
}

func (d *Doctor) lacks(lack storage.Lack) bool { return slices.Contains(d.Objects.Lacks(), lack) }
