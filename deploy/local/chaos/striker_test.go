package chaos

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-media/sluice/deploy/local/s3"
)

// TestAPlanTakesItsTime: what comes back in its quiet end is not struck by the next plan before it is back.
func TestAPlanTakesItsTime(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		plan []action
		stop time.Duration
		want time.Duration
	}{
		"with a quiet end": {[]action{{at: 0, kind: weather}, {at: 40 * time.Second, kind: weather}}, time.Hour, time.Minute},
		"without a fault":  {nil, time.Hour, time.Minute},
		"ended before it":  {[]action{{at: 40 * time.Second, kind: weather}}, 10 * time.Second, 10 * time.Second},
		"ended in quiet":   {[]action{{at: 0, kind: weather}}, 50 * time.Second, 50 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), test.stop)
				defer stop()
				began := time.Now()
				(&striker{events: &s3.Faults{}}).run(ctx, test.plan, time.Minute)
				if took := time.Since(began); took != test.want {
					t.Errorf("took %s, want %s", took, test.want)
				}
			})
		})
	}
}
