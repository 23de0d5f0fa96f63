package sagas

import (
	"fmt"
	"maps"
	"testing"

	"github.com/google/uuid"
)

func TestPayloads(t *testing.T) {
	for _, n := range []int{1, 2, 190, 1000} {
		want := map[uuid.UUID]int64{}
		for i := range n {
			want[uuid.New()] = int64(i)*1e12 + 1
		}
		got := map[uuid.UUID]int64{}
		for _, payload := range payloads(want) {
			if len(payload) > maxPayload || payload == "" {
				t.Errorf("a payload of %d bytes", len(payload))
			}
			readPayload(payload, func(id uuid.UUID, version int64) { got[id] = version })
		}
		if !maps.Equal(got, want) {
			t.Errorf("of %d versions %d came through", n, len(got))
		}
	}
}

// The channel is open to anyone who can connect to the database.
func FuzzReadPayload(f *testing.F) {
	id := uuid.New()
	for _, seed := range []string{"", "\n", id.String(), id.String() + " 7", id.String() + " 7\n" + id.String() + " 8\n", id.String() + " -1 2", "x 7"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		readPayload(payload, func(id uuid.UUID, version int64) {
			line := fmt.Sprintf("%s %d", id, version)
			readPayload(line, func(again uuid.UUID, v int64) {
				if again != id || v != version {
					t.Errorf("%q came back as %s %d", line, again, v)
				}
			})
		})
	})
}
