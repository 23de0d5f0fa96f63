//go:build failpoints

package pipeline

import "github.com/sluice-media/sluice/pipeline/failpoint"

// Failpoints lists every point at which a process can be made to fail.
func Failpoints() []string {
	var names []string
	for _, stage := range Stages() {
		effects := []string{"work", "commit", "send"}
		if stage == Settle {
			effects = []string{"work", "send"} // it commits nothing
		}
		for _, effect := range effects {
			names = append(names, stage+"."+effect+".before", stage+"."+effect+".after")
		}
		names = append(names, stage+".ack.before")
	}
	return append(names, failpoint.Points()...)
}
