package scan

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Version is what a clamd daemon says of itself.
type Version struct {
	Engine     string    // "1.4.6"
	Signatures int       // version of the official daily database; 0 when the daemon has only others
	Built      time.Time // when that database was made, to the second; zero without one
}

// parseVersion reads "ClamAV ENGINE/SIGNATURES/DATE", or "ClamAV ENGINE" from a daemon without the official
// database. The date is in the daemon's time zone, which it does not tell: it is taken to be this process's.
func parseVersion(reply string) (Version, error) {
	product, rest, _ := strings.Cut(reply, " ")
	fields := strings.SplitN(rest, "/", 3)
	v := Version{Engine: fields[0]}
	if product != "ClamAV" || v.Engine == "" {
		return Version{}, fmt.Errorf("%w: it answered VERSION with %.80q", ErrUnavailable, reply)
	}
	if len(fields) < 3 {
		return v, nil
	}
	var err error
	if v.Signatures, err = strconv.Atoi(fields[1]); err != nil {
		return Version{}, fmt.Errorf("%w: version of the signatures: %w", ErrUnavailable, err)
	}
	if v.Built, err = time.ParseInLocation(time.ANSIC, fields[2], time.Local); err != nil {
		return Version{}, fmt.Errorf("%w: date of the signatures: %w", ErrUnavailable, err)
	}
	return v, nil
}

const (
	versionTimeout  = 2 * time.Second // a scrape must not wait for a daemon that hangs
	versionLifetime = time.Minute
)

// signatureAge is a gauge that asks the daemon when it is scraped, and at most once a minute. A daemon without the
// official database is infinitely out of date, so that an alert on the age fires; of one that does not answer there
// is no gauge.
type signatureAge struct {
	clamd *Clamd
	desc  *prometheus.Desc

	mu    sync.Mutex
	built time.Time
	asked time.Time
}

func newSignatureAge(c *Clamd) *signatureAge {
	return &signatureAge{clamd: c, desc: prometheus.NewDesc(
		"sluice_clamd_signature_age_seconds", "Age of clamd's official signature database; +Inf without one.", nil, nil)}
}

// Describe implements prometheus.Collector.
func (g *signatureAge) Describe(ch chan<- *prometheus.Desc) { ch <- g.desc }

// Collect implements prometheus.Collector.
func (g *signatureAge) Collect(ch chan<- prometheus.Metric) {
	built, err := g.current()
	if err != nil {
		return
	}
	age := math.Inf(1)
	if !built.IsZero() {
		age = time.Since(built).Seconds()
	}
	ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, age)
}

func (g *signatureAge) current() (time.Time, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.asked) < versionLifetime {
		return g.built, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), versionTimeout)
	defer cancel()
	v, err := g.clamd.Version(ctx)
	if err != nil {
		return time.Time{}, err
	}
	g.built, g.asked = v.Built, time.Now()
	return g.built, nil
}
