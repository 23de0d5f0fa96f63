package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/sluice-media/sluice/handlers/api/auth"
	"github.com/sluice-media/sluice/sagas"
)

type apiKeyCommand struct {
	Create apiKeyCreateCommand `cmd:"" help:"Make a key. It is shown once, and cannot be read again."`
	List   apiKeyListCommand   `cmd:"" help:"List keys, the revoked ones too."`
	Revoke apiKeyRevokeCommand `cmd:"" help:"End a key. Running processes of the API notice within their --api-key-cache."`
}

type apiKeyCreateCommand struct {
	Tenant    string        `required:"" help:"Tenant that the key speaks for." env:"-"`
	Subject   string        `required:"" help:"Subject that the key speaks for: what is uploaded with it is this one's." env:"-"`
	Name      string        `help:"What the key is for." env:"-"`
	ExpiresIn time.Duration `help:"How long the key is good, such as 2160h; 0 for ever." env:"-"`
	JSON      bool          `help:"Print one JSON object."`
	Database  sagas.Config  `embed:"" prefix:"database-"`
}

// Validate reports every mistake at once.
func (c *apiKeyCreateCommand) Validate() error {
	err := errors.Join(auth.CheckOwner(c.owner()), c.Database.Validate())
	if c.ExpiresIn < 0 {
		err = errors.Join(err, fmt.Errorf("expires-in: %s is negative", c.ExpiresIn))
	}
	return err
}

func (c *apiKeyCreateCommand) owner() sagas.Owner {
	return sagas.Owner{Tenant: c.Tenant, Subject: c.Subject}
}

// Run prints the key and nothing else, so that it can be piped to where it is wanted.
func (c *apiKeyCreateCommand) Run(ctx context.Context, k *kong.Context) error {
	text, record := auth.NewAPIKey(c.owner(), c.Name)
	return withStore(ctx, c.Database, func(store *sagas.Store) error {
		added, err := store.AddAPIKey(ctx, record, c.ExpiresIn)
		if err != nil {
			return err
		}
		if c.JSON {
			view := newAPIKeyView(added)
			view.Key = text
			return json.NewEncoder(k.Stdout).Encode(view)
		}
		_, err = fmt.Fprintln(k.Stdout, text)
		return err
	})
}

type apiKeyListCommand struct {
	Tenant   string       `help:"Only the keys of this tenant." env:"-"`
	JSON     bool         `help:"Print one JSON object."`
	Database sagas.Config `embed:"" prefix:"database-"`
}

// Run shows all that is known of the keys, which is not the keys.
func (c *apiKeyListCommand) Run(ctx context.Context, k *kong.Context) error {
	return withStore(ctx, c.Database, func(store *sagas.Store) error {
		keys, err := store.APIKeys(ctx, c.Tenant)
		if err != nil {
			return err
		}
		views := make([]apiKeyView, len(keys))
		for i, key := range keys {
			views[i] = newAPIKeyView(key)
		}
		if c.JSON {
			return json.NewEncoder(k.Stdout).Encode(map[string]any{"api_keys": views})
		}
		return printAPIKeys(k.Stdout, views)
	})
}

type apiKeyRevokeCommand struct {
	ID       string       `arg:"" name:"id" help:"The key's id: what stands between its two underscores."`
	JSON     bool         `help:"Print one JSON object."`
	Database sagas.Config `embed:"" prefix:"database-"`
}

// Run may be repeated.
func (c *apiKeyRevokeCommand) Run(ctx context.Context, k *kong.Context) error {
	return withStore(ctx, c.Database, func(store *sagas.Store) error {
		key, err := store.RevokeAPIKey(ctx, c.ID)
		if err != nil {
			return err
		}
		view := newAPIKeyView(key)
		if c.JSON {
			return json.NewEncoder(k.Stdout).Encode(view)
		}
		return printAPIKeys(k.Stdout, []apiKeyView{view})
	})
}

// withStore opens the database for one command.
func withStore(ctx context.Context, c sagas.Config, use func(*sagas.Store) error) error {
	pool, err := sagas.Connect(ctx, c)
	if err != nil {
		return err
	}
	defer pool.Close()
	return use(sagas.NewStore(pool, worker()))
}

// apiKeyView is a key as an operator sees it.
type apiKeyView struct {
	ID         string     `json:"id"`
	Key        string     `json:"key,omitempty"` // only when it is new
	Tenant     string     `json:"tenant"`
	Subject    string     `json:"subject"`
	Name       string     `json:"name,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	RevokedAt  *time.Time `json:"revoked_at,omitempty"`
}

func newAPIKeyView(k sagas.APIKey) apiKeyView {
	return apiKeyView{
		ID: k.ID, Tenant: k.Owner.Tenant, Subject: k.Owner.Subject, Name: k.Name,
		CreatedAt: k.CreatedAt, LastUsedAt: k.LastUsedAt, ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt,
	}
}

// printAPIKeys quotes names: they must not reach the terminal as they are.
func printAPIKeys(w io.Writer, keys []apiKeyView) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintln(table, "ID\tTENANT\tSUBJECT\tNAME\tCREATED\tLAST USED\tEXPIRES\tREVOKED")
	for _, k := range keys {
		if err == nil {
			_, err = fmt.Fprintf(table, "%s\t%s\t%q\t%q\t%s\t%s\t%s\t%s\n", k.ID, k.Tenant, k.Subject, k.Name,
				moment(&k.CreatedAt), moment(k.LastUsedAt), moment(k.ExpiresAt), moment(k.RevokedAt))
		}
	}
	return errors.Join(err, table.Flush())
}

func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Format(time.RFC3339)
}
