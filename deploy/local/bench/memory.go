package main

import (
	"context"
	"fmt"
	"time"
)

const (
	// rssEvery is how often the memory is read in a long soak; a short one reads it rssTimes.
	rssEvery = 30 * time.Second
	rssTimes = 12
	// rssDrift is by how much the memory of the last third may exceed that of the middle one.
	rssDrift = 1.05
)

// measureMemory presigns at a steady rate and watches the API's memory.
func measureMemory(ctx context.Context, _ *bed, sluice *backend, e apiExtent, r *report) error {
	every := min(rssEvery, e.soak/rssTimes)
	presigns := sluice.presigns(e.connections)
	presigns.rate = e.rate
	rows := [][]string{{"after", "RSS"}}
	var sizes []float64
	for at := every; at <= e.soak; at += every {
		if _, err := presigns.fire(ctx, every); err != nil {
			return err
		}
		rss, err := residentSize(sluice.service.PID())
		if err != nil {
			return err
		}
		sizes = append(sizes, float64(rss))
		rows = append(rows, []string{at.String(), mebibytes(float64(rss))})
	}
	title := fmt.Sprintf("Memory: %g presigns a second for %s", e.rate, e.soak)
	if err := r.table(title, rows...); err != nil {
		return err
	}
	third := len(sizes) / 3
	return r.targets(target{
		what: "RSS of the last third against the middle one", atMost: true, limit: rssDrift,
		figure: median(sizes[len(sizes)-third:]) / median(sizes[third:len(sizes)-third]),
	})
}
