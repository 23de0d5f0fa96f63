//go:build failpoints

package pipeline

import "github.com/sluice-media/sluice/pipeline/failpoint"

// Failpoints lists every point at which a process can be made to fail.
func Failpoints() []string { return failpoint.Points(Stages()) }
