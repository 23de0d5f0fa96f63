package sagas_test

import (
	"slices"
	"testing"

	"github.com/sluice-media/sluice/sagas"
)

func TestEveryUploadCanReachAnOutcome(t *testing.T) {
	for _, s := range sagas.States() {
		if s.Terminal() {
			continue
		}
		if !slices.ContainsFunc(sagas.TerminalStates(), s.CanBecome) && s != sagas.Initiated {
			t.Errorf("%s leads to no outcome", s)
		}
	}
}

func TestOnlyTheLineLeadsToReady(t *testing.T) {
	line := []sagas.State{sagas.Initiated, sagas.Uploaded, sagas.Verified, sagas.Clean, sagas.Processed, sagas.Ready}
	for _, from := range sagas.States() {
		for i, to := range line[1:] {
			allowed := from == line[i] || from == to && to.Terminal()
			if from.CanBecome(to) != allowed {
				t.Errorf("%s → %s: allowed is %t, want %t", from, to, from.CanBecome(to), allowed)
			}
		}
	}
}

func TestNothingLeavesDeleted(t *testing.T) {
	for _, to := range sagas.States() {
		if to != sagas.Deleted && sagas.Deleted.CanBecome(to) {
			t.Errorf("deleted can become %s", to)
		}
	}
}
