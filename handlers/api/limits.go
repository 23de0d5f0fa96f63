package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jellydator/ttlcache/v3"
	"golang.org/x/time/rate"

	"github.com/sluice-media/sluice/sagas"
)

const (
	maxTenants   = 10_000           // whose limits are remembered
	limiterIdle  = 10 * time.Minute // after which a tenant's rate is forgotten
	inFlightWait = 5                // seconds to advise; how long it takes nobody knows
)

// limits are what a tenant may do: the defaults, with what is set for it.
type limits struct {
	perSecond float64 // requests to this process; 0: no limit
	quota     sagas.Quota
	maxSize   int64 // bytes
	types     []string
}

// tenants knows the limits of each and how fast it has been calling. It is safe for concurrent use.
type tenants struct {
	store    *sagas.Store
	defaults limits
	known    *ttlcache.Cache[string, limits]
	rates    *ttlcache.Cache[string, *rate.Limiter]
}

func newTenants(c Config, store *sagas.Store) *tenants {
	return &tenants{
		store: store,
		defaults: limits{
			perSecond: c.RateLimit, quota: sagas.Quota{Files: c.MaxFilesInFlight, Bytes: c.MaxBytesInFlight},
			maxSize: c.MaxSize, types: c.AllowedTypes,
		},
		known: ttlcache.New(
			ttlcache.WithTTL[string, limits](max(c.LimitsCache, 1)), // 0 would be for ever
			ttlcache.WithCapacity[string, limits](maxTenants),
			ttlcache.WithDisableTouchOnHit[string, limits](),
		),
		rates: ttlcache.New(
			ttlcache.WithTTL[string, *rate.Limiter](limiterIdle),
			ttlcache.WithCapacity[string, *rate.Limiter](maxTenants),
		),
	}
}

// of returns the tenant's limits, as they were some seconds ago at most.
func (t *tenants) of(ctx context.Context, tenant string) (limits, error) {
	if item := t.known.Get(tenant); item != nil {
		return item.Value(), nil
	}
	own, err := t.store.Limits(ctx, tenant)
	if err != nil {
		return limits{}, err
	}
	l := t.defaults.with(own)
	t.known.Set(tenant, l, ttlcache.DefaultTTL)
	return l, nil
}

func (l limits) with(own sagas.Limits) limits {
	override(&l.perSecond, own.RequestsPerSecond)
	override(&l.quota.Files, own.FilesInFlight)
	override(&l.quota.Bytes, own.BytesInFlight)
	override(&l.maxSize, own.MaxSize)
	if own.AllowedTypes != nil {
		l.types = slices.DeleteFunc(slices.Clone(own.AllowedTypes), func(t string) bool { return extensions[t] == "" })
	}
	return l
}

func override[T any](value, own *T) {
	if own != nil {
		*value = *own
	}
}

// wait counts a request of the tenant's. It returns 0, or how long to wait before the next try. A second's worth
// of requests may come at once.
func (t *tenants) wait(tenant string, perSecond float64, now time.Time) time.Duration {
	if perSecond == 0 {
		return 0
	}
	burst := int(math.Ceil(perSecond))
	item, _ := t.rates.GetOrSetFunc(tenant, func() *rate.Limiter { return rate.NewLimiter(rate.Limit(perSecond), burst) })
	limiter := item.Value()
	if limiter.Limit() != rate.Limit(perSecond) { // was set anew
		limiter.SetLimitAt(now, rate.Limit(perSecond))
		limiter.SetBurstAt(now, burst)
	}
	r := limiter.ReserveN(now, 1)
	delay := r.DelayFrom(now)
	if delay > 0 {
		r.CancelAt(now)
	}
	return delay
}

// limited is the middleware that keeps each tenant to its rate and tells the operations its other limits.
func (s *server) limited(ctx huma.Context, next func(huma.Context)) {
	call := callOf(ctx.Context())
	l, err := s.tenants.of(ctx.Context(), call.principal.Tenant)
	if err == nil {
		if delay := s.tenants.wait(call.principal.Tenant, l.perSecond, time.Now()); delay > 0 {
			err = rateLimited.problem().with("Retry-After", strconv.Itoa(int(math.Ceil(delay.Seconds()))))
		}
	}
	if err != nil {
		s.refuse(ctx, s.explain(ctx.Context(), err))
		return
	}
	call.limits = l
	next(ctx)
}

// crowded turns the store's refusal into the client's.
func crowded(err error, q sagas.Quota) error {
	if errors.Is(err, sagas.ErrPassSpent) {
		return passSpent.problem()
	}
	if !errors.Is(err, sagas.ErrTooManyInFlight) {
		return err
	}
	var most []string
	if q.Files > 0 {
		most = append(most, fmt.Sprintf("%d files", q.Files))
	}
	if q.Bytes > 0 {
		most = append(most, fmt.Sprintf("%d bytes", q.Bytes))
	}
	return tooManyInFlight.because("At most %s may be on their way at once.", strings.Join(most, " and ")).with("Retry-After", strconv.Itoa(inFlightWait))
}
