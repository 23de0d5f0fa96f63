package main

import (
	"context"
	"fmt"
)

// measurePresign has clients ask both backends for permission to upload a photo, in turn.
func (c *apiCommand) measurePresign(ctx context.Context, b *bed, sluice *backend, r *report) error {
	e := c.extent()
	peer, err := b.startPeer(ctx, c.Peer)
	if err != nil {
		return err
	}
	figures := map[*backend][]apiFigures{}
	for round := range e.rounds {
		order := []*backend{peer, sluice}
		if round%2 == 1 {
			order = []*backend{sluice, peer}
		}
		for _, s := range order {
			f, err := b.measure(ctx, s.presigns(e.connections), e)
			if err != nil {
				return err
			}
			figures[s] = append(figures[s], f)
		}
	}
	if err := peer.checkWritten(ctx); err != nil {
		return err
	}
	title := fmt.Sprintf("Presign: %d connections, the upload written before it is answered (fsync %s)", e.connections, onOff(c.Durable))
	if err := r.table(title, apiHeading, apiRow(peer.name, figures[peer]), apiRow(sluice.name, figures[sluice])); err != nil {
		return err
	}
	ratio := func(of func(sluice, peer apiFigures) float64) float64 {
		ratios := make([]float64, e.rounds)
		for round := range ratios {
			ratios[round] = of(figures[sluice][round], figures[peer][round])
		}
		return median(ratios)
	}
	return r.targets(
		target{what: "presigns by CPU-second of the API, against the peer", limit: 8, figure: ratio(func(s, p apiFigures) float64 {
			return p.each(p.used.api) / s.each(s.used.api)
		})},
		target{what: "presigns per second, against the peer", limit: 5, figure: ratio(func(s, p apiFigures) float64 {
			return s.rate() / p.rate()
		})},
		target{what: "p99 as a part of the peer's p50", limit: 1, atMost: true, figure: ratio(func(s, p apiFigures) float64 {
			return s.quantile(0.99) / p.quantile(0.5)
		})},
	)
}

// apiHeading is above every apiRow.
var apiHeading = []string{"", "requests/s", "p50", "p99", "CPU/request: API", "Postgres", "clients", "RSS", "grown by"}

// apiRow is a row of the table: medians over the rounds.
func apiRow(name string, rounds []apiFigures) []string {
	of := func(figure func(apiFigures) float64) float64 {
		values := make([]float64, len(rounds))
		for i, f := range rounds {
			values[i] = figure(f)
		}
		return median(values)
	}
	return []string{
		name,
		fmt.Sprintf("%.0f", of(apiFigures.rate)),
		millis(of(func(f apiFigures) float64 { return f.quantile(0.5) })),
		millis(of(func(f apiFigures) float64 { return f.quantile(0.99) })),
		micros(seconds(of(func(f apiFigures) float64 { return f.each(f.used.api) }))),
		micros(seconds(of(func(f apiFigures) float64 { return f.each(f.used.postgres) }))),
		micros(seconds(of(func(f apiFigures) float64 { return f.each(f.used.client) }))),
		mebibytes(of(func(f apiFigures) float64 { return float64(f.rss) })),
		mebibytes(of(func(f apiFigures) float64 { return float64(f.grown) })),
	}
}

func millis(s float64) string { return fmt.Sprintf("%.1f ms", s*1e3) }

func mebibytes(b float64) string { return fmt.Sprintf("%.1f MiB", b/(1<<20)) }

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
