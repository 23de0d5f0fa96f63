package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/sluice-media/sluice/handlers/api"
	"github.com/sluice-media/sluice/handlers/api/auth"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

type limitsCommand struct {
	Show  limitsShowCommand  `cmd:"" help:"Show what is set for a tenant."`
	Set   limitsSetCommand   `cmd:"" help:"Set limits of a tenant, and leave those that are not named. Running processes of the API notice within their --limits-cache."`
	Clear limitsClearCommand `cmd:"" help:"Give a tenant the defaults again."`
}

// limitsTarget is whose limits, and where they are.
type limitsTarget struct {
	Tenant   string       `arg:"" help:"The tenant."`
	JSON     bool         `help:"Print one JSON object."`
	Database sagas.Config `embed:"" prefix:"database-"`
}

// Validate reports every mistake at once.
func (t limitsTarget) Validate() error {
	return errors.Join(auth.CheckTenant(t.Tenant), t.Database.Validate())
}

type limitsShowCommand struct {
	Target limitsTarget `embed:""`
}

// Run shows the limits.
func (c *limitsShowCommand) Run(ctx context.Context, k *kong.Context) error {
	return withStore(ctx, c.Target.Database, func(store *sagas.Store) error {
		l, err := store.Limits(ctx, c.Target.Tenant)
		return c.Target.print(k.Stdout, l, err)
	})
}

type limitsSetCommand struct {
	Target            limitsTarget `embed:""`
	RequestsPerSecond *float64     `env:"-" help:"Requests a second to each process of the API; 0 for no limit."`
	FilesInFlight     *int64       `env:"-" help:"Files on their way at once; 0 for no limit."`
	BytesInFlight     *int64       `env:"-" help:"Bytes on their way at once, as declared, or as many as a file may have where nobody said; 0 for no limit."`
	MaxSize           *int64       `env:"-" help:"Largest file in bytes."`
	AllowedTypes      []string     `env:"-" help:"Media types that may be uploaded."`
}

// Validate reports every mistake at once.
func (c *limitsSetCommand) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.RequestsPerSecond == nil && c.FilesInFlight == nil && c.BytesInFlight == nil && c.MaxSize == nil && c.AllowedTypes == nil {
		wrong("name a limit to set")
	}
	if c.RequestsPerSecond != nil && !(*c.RequestsPerSecond >= 0 && *c.RequestsPerSecond <= api.MaxRate) {
		wrong("requests-per-second: %g is not between 0 and %g", *c.RequestsPerSecond, float64(api.MaxRate))
	}
	if c.FilesInFlight != nil && *c.FilesInFlight < 0 {
		wrong("files-in-flight: %d is negative", *c.FilesInFlight)
	}
	if c.BytesInFlight != nil && *c.BytesInFlight < 0 {
		wrong("bytes-in-flight: %d is negative", *c.BytesInFlight)
	}
	if c.MaxSize != nil && (*c.MaxSize < 1 || *c.MaxSize > storage.MaxObject) {
		wrong("max-size: %d is not between 1 and %d", *c.MaxSize, storage.MaxObject)
	}
	for _, t := range c.AllowedTypes {
		if !slices.Contains(api.Types(), t) {
			wrong("allowed-types: %q is not one of %s", t, strings.Join(api.Types(), ", "))
		}
	}
	return errors.Join(append(errs, c.Target.Validate())...)
}

// Run sets what was named.
func (c *limitsSetCommand) Run(ctx context.Context, k *kong.Context) error {
	return withStore(ctx, c.Target.Database, func(store *sagas.Store) error {
		l, err := store.SetLimits(ctx, sagas.Limits{
			Tenant: c.Target.Tenant, RequestsPerSecond: c.RequestsPerSecond, FilesInFlight: c.FilesInFlight,
			BytesInFlight: c.BytesInFlight, MaxSize: c.MaxSize, AllowedTypes: c.AllowedTypes,
		})
		return c.Target.print(k.Stdout, l, err)
	})
}

type limitsClearCommand struct {
	Target limitsTarget `embed:""`
}

// Run may be repeated.
func (c *limitsClearCommand) Run(ctx context.Context, k *kong.Context) error {
	return withStore(ctx, c.Target.Database, func(store *sagas.Store) error {
		return c.Target.print(k.Stdout, sagas.Limits{}, store.ClearLimits(ctx, c.Target.Tenant))
	})
}

// limitsView is what is set for a tenant; what is not has the default.
type limitsView struct {
	Tenant            string     `json:"tenant"`
	RequestsPerSecond *float64   `json:"requests_per_second,omitempty"`
	FilesInFlight     *int64     `json:"files_in_flight,omitempty"`
	BytesInFlight     *int64     `json:"bytes_in_flight,omitempty"`
	MaxSize           *int64     `json:"max_size,omitempty"`
	AllowedTypes      []string   `json:"allowed_types,omitempty"`
	UpdatedAt         *time.Time `json:"updated_at,omitempty"`
}

func (t limitsTarget) print(w io.Writer, l sagas.Limits, err error) error {
	if err != nil {
		return err
	}
	view := limitsView{
		Tenant: t.Tenant, RequestsPerSecond: l.RequestsPerSecond, FilesInFlight: l.FilesInFlight,
		BytesInFlight: l.BytesInFlight, MaxSize: l.MaxSize, AllowedTypes: l.AllowedTypes,
	}
	if l.Tenant != "" {
		view.UpdatedAt = &l.UpdatedAt
	}
	if t.JSON {
		return json.NewEncoder(w).Encode(view)
	}
	return view.print(w)
}

func (v limitsView) print(w io.Writer) error {
	types := "default"
	if v.AllowedTypes != nil {
		types = strings.Join(v.AllowedTypes, ", ")
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintf(table, "tenant\t%s\nrequests per second\t%s\nfiles in flight\t%s\nbytes in flight\t%s\nlargest file\t%s\ntypes\t%s\n",
		v.Tenant, limit(v.RequestsPerSecond), limit(v.FilesInFlight), limit(v.BytesInFlight), limit(v.MaxSize), types)
	return errors.Join(err, table.Flush())
}

func limit[T int64 | float64](value *T) string {
	switch {
	case value == nil:
		return "default"
	case *value == 0:
		return "no limit"
	}
	return fmt.Sprint(*value)
}
