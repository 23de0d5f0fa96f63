package auth

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

// newKeyBundle is an authenticator on a real database, with a key of alice's.
func newKeyBundle(t *testing.T, cache, lifetime time.Duration) (a *Authenticator, store *sagas.Store, key string, record sagas.APIKey) {
	t.Helper()
	store = sagatest.Store(t)
	c := testConfig()
	c.APIKeyCache = cache
	a, err := New(t.Context(), c, store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	key, record = NewAPIKey(alice, "tests")
	if record, err = store.AddAPIKey(t.Context(), record, lifetime); err != nil {
		t.Fatal(err)
	}
	return a, store, key, record
}

func TestAPIKeys(t *testing.T) {
	a, store, key, record := newKeyBundle(t, time.Minute, 0)
	p, err := a.Authenticate(t.Context(), key)
	if err != nil || p.Owner != alice || !p.Expires.IsZero() {
		t.Fatalf("%+v, %v", p, err)
	}
	used, err := store.APIKey(t.Context(), record.ID)
	if err != nil || used.LastUsedAt == nil || used.Name != "tests" || strings.Contains(string(used.Hash), key) {
		t.Errorf("%+v, %v", used, err)
	}

	other, otherRecord := NewAPIKey(sagas.Owner{Tenant: "rival", Subject: "eve"}, "")
	if _, err := store.AddAPIKey(t.Context(), otherRecord, time.Hour); err != nil {
		t.Fatal(err)
	}
	if p, err := a.Authenticate(t.Context(), other); err != nil || p.Tenant != "rival" || time.Until(p.Expires) < 59*time.Minute {
		t.Errorf("%+v, %v", p, err)
	}
	unknown, _ := NewAPIKey(alice, "")
	id, secret, _ := strings.Cut(strings.TrimPrefix(key, apiKeyPrefix), "_")
	_, otherSecret, _ := strings.Cut(strings.TrimPrefix(other, apiKeyPrefix), "_")
	for name, bad := range map[string]string{
		"unknown":             unknown,
		"secret of another":   apiKeyPrefix + id + "_" + otherSecret,
		"nearly the secret":   key[:len(key)-1] + string('a'+(key[len(key)-1]-'a'+1)%26),
		"cut off":             key[:len(key)-1],
		"without a secret":    apiKeyPrefix + id + "_",
		"more":                key + "a",
		"in capitals":         apiKeyPrefix + strings.ToUpper(id) + "_" + secret,
		"with a line's end":   key + "\n",
		"no more than a name": apiKeyPrefix,
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, a, bad, Invalid) })
	}
}

func TestARevokedKeyIsGoodForAsLongAsItIsCached(t *testing.T) {
	a, store, key, record := newKeyBundle(t, 300*time.Millisecond, 0)
	unknown, unknownRecord := NewAPIKey(alice, "")
	wantRefused(t, a, unknown, Invalid)
	if _, err := a.Authenticate(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		revoked, err := store.RevokeAPIKey(t.Context(), record.ID)
		if err != nil || revoked.RevokedAt == nil {
			t.Fatalf("%+v, %v", revoked, err)
		}
	}
	if _, err := store.AddAPIKey(t.Context(), unknownRecord, 0); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for {
		_, err := a.Authenticate(t.Context(), key)
		if err != nil {
			wantRefused(t, a, key, Invalid)
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Fatal("a revoked key stays good")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := a.Authenticate(t.Context(), unknown); err != nil {
		t.Errorf("a new key that was tried too early: %v", err)
	}
}

// A hot key costs no statement: it is good while the database is away.
func TestAKeyIsCached(t *testing.T) {
	pool := sagatest.Pool(t)
	store := sagas.NewStore(pool, "test")
	c := testConfig()
	c.APIKeyCache = time.Minute
	a, err := New(t.Context(), c, store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	hot, hotRecord := NewAPIKey(alice, "")
	cold, coldRecord := NewAPIKey(alice, "")
	for _, record := range []sagas.APIKey{hotRecord, coldRecord} {
		if _, err := store.AddAPIKey(t.Context(), record, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Authenticate(t.Context(), hot); err != nil {
		t.Fatal(err)
	}
	pool.Close()
	if p, err := a.Authenticate(t.Context(), hot); err != nil || p.Owner != alice {
		t.Errorf("%+v, %v", p, err)
	}
	p, err := a.Authenticate(t.Context(), cold)
	if _, refused := err.(*Error); err == nil || refused { //nolint:errorlint // the error itself, not what it wraps
		t.Errorf("without a database: %+v, %v", p, err)
	}
}

func TestAnExpiredKeyIsNotGood(t *testing.T) {
	a, _, key, _ := newKeyBundle(t, 0, time.Millisecond)
	time.Sleep(2 * time.Millisecond)
	wantRefused(t, a, key, Expired)
}

func TestAPIKeysAreListed(t *testing.T) {
	_, store, _, record := newKeyBundle(t, 0, 0)
	for tenant, want := range map[string]int{"": 1, "acme": 1, "rival": 0} {
		keys, err := store.APIKeys(t.Context(), tenant)
		if err != nil || len(keys) != want {
			t.Errorf("tenant %q: %+v, %v", tenant, keys, err)
		}
		if len(keys) == 1 && (keys[0].ID != record.ID || keys[0].Owner != alice) {
			t.Errorf("%+v", keys)
		}
	}
	if _, err := store.RevokeAPIKey(t.Context(), "nothing"); err != sagas.ErrNoAPIKey { //nolint:errorlint // as above
		t.Error(err)
	}
}
