package storage_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-media/sluice/pipeline/storage"
)

const mib = 1 << 20

func TestPlanParts(t *testing.T) {
	for name, c := range map[string]struct {
		total, size int64
		count       int
		last        int64 // size of the last part
	}{
		"one byte":             {1, 8 * mib, 1, 1},
		"one part":             {8 * mib, 8 * mib, 1, 8 * mib},
		"one part and a byte":  {8*mib + 1, 8 * mib, 2, 1},
		"300 MB":               {300_000_000, 8 * mib, 36, 300_000_000 - 35*8*mib},
		"5 GiB":                {5 << 30, 8 * mib, 640, 8 * mib},
		"8 GiB":                {8 << 30, 8 * mib, 1024, 8 * mib},
		"a byte more":          {8<<30 + 1, 16 * mib, 513, 1},
		"10,000 parts":         {160_000 * mib, 16 * mib, 10_000, 16 * mib},
		"one part too many":    {160_000*mib + 1, 17 * mib, 9412, 160_000*mib + 1 - 9411*17*mib},
		"the largest of all":   {5 << 40, 525 * mib, 9987, 5<<40 - 9986*525*mib},
		"nothing":              {0, 0, 0, 0},
		"less than nothing":    {-1, 0, 0, 0},
		"larger than S3 takes": {5<<40 + 1, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := storage.PlanParts(c.total)
			if c.size == 0 {
				if err == nil {
					t.Errorf("planned %+v", p)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, last := p.Part(p.Count()); p.Size != c.size || p.Count() != c.count || last != c.last {
				t.Errorf("%d parts of %d, the last of %d; want %d of %d, the last of %d", p.Count(), p.Size, last, c.count, c.size, c.last)
			}
		})
	}
}

func TestPartsAddUpWithinTheLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(1, 1<<rapid.IntRange(0, 42).Draw(t, "bits")).Draw(t, "total") // of every magnitude
		p, err := storage.PlanParts(total)
		if err != nil {
			t.Fatal(err)
		}
		if p.Size < storage.MinPart || p.Size > storage.MaxPut || p.Count() > storage.MaxParts || p.Total != total {
			t.Fatalf("%+v", p)
		}
		if p.Has(0) || !p.Has(1) || !p.Has(p.Count()) || p.Has(p.Count()+1) {
			t.Fatalf("%+v has other parts than 1 to %d", p, p.Count())
		}
		number := rapid.IntRange(1, p.Count()).Draw(t, "number")
		offset, size := p.Part(number)
		if want := int64(number-1) * p.Size; offset != want {
			t.Fatalf("part %d of %+v begins at %d, want %d", number, p, offset, want)
		}
		if number < p.Count() && size != p.Size || size < 1 || size > p.Size {
			t.Fatalf("part %d of %+v has %d bytes", number, p, size)
		}
		if end, last := p.Part(p.Count()); end+last != total {
			t.Fatalf("the parts of %+v end at %d", p, end+last)
		}
	})
}
