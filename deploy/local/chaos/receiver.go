package chaos

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Delivery is one webhook that came to the receiver.
type Delivery struct {
	WebhookID string `json:"webhook_id"`
	Upload    string `json:"upload"`
	State     string `json:"state"`
	SHA256    string `json:"sha256"` // of the file, as it was told
	Body      string `json:"body"`   // SHA-256 of the webhook's body
	// Genuine tells that the signature is right, Accepted that the receiver said so.
	Genuine  bool `json:"genuine"`
	Accepted bool `json:"accepted"`
}

// receiver is the application that is told of outcomes. It keeps a log of all that it gets.
type receiver struct {
	secret   string
	verifier *standardwebhooks.Webhook
	refuse   float64 // share of webhooks that are answered with an error
	server   *http.Server
	address  string

	mu       sync.Mutex
	dice     *mathrand.Rand
	log      []Delivery
	accepted map[string]bool      // by upload and state
	heardOf  map[string]time.Time // when the first of an upload's was accepted
	refusals int
}

const (
	maxWebhook  = 1 << 20 // bytes
	readLimit   = 10 * time.Second
	secretBytes = 32
)

// openReceiver listens on a free port.
func openReceiver(ctx context.Context, seed uint64, refuse float64, logger *slog.Logger) (*receiver, error) {
	key := make([]byte, secretBytes)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	r := &receiver{
		secret: "whsec_" + base64.StdEncoding.EncodeToString(key), refuse: refuse, accepted: map[string]bool{}, heardOf: map[string]time.Time{},
		dice: mathrand.New(mathrand.NewPCG(seed, 2)), //nolint:gosec // Reproducible on purpose.
	}
	var err error
	if r.verifier, err = standardwebhooks.NewWebhook(r.secret); err != nil {
		return nil, fmt.Errorf("make the receiver's verifier: %w", err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the webhook receiver: %w", err)
	}
	r.address = listener.Addr().String()
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: readLimit}
	go func() {
		if err := r.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("webhook receiver stopped", "error", err)
		}
	}()
	return r, nil
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxWebhook))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.WriteHeader(r.take(request.Header, body))
}

// take enters a webhook and returns the status that it is answered with. What is entered as accepted may still be
// tried again, when the answer is lost.
func (r *receiver) take(header http.Header, body []byte) int {
	var event struct {
		Type string
		Data struct{ ID, State, SHA256 string }
	}
	sum := sha256.Sum256(body)
	d := Delivery{
		WebhookID: header.Get(standardwebhooks.HeaderWebhookID),
		Body:      hex.EncodeToString(sum[:]),
		Genuine:   r.verifier.Verify(body, header) == nil,
	}
	if err := json.Unmarshal(body, &event); err == nil && event.Type == "upload."+event.Data.State {
		d.Upload, d.State, d.SHA256 = event.Data.ID, event.Data.State, event.Data.SHA256
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d.Accepted = d.Genuine && r.dice.Float64() >= r.refuse
	r.log = append(r.log, d)
	switch {
	case d.Accepted:
		r.accepted[d.Upload+" "+d.State] = true
		if r.heardOf[d.Upload].IsZero() {
			r.heardOf[d.Upload] = time.Now()
		}
		return http.StatusNoContent
	case d.Genuine:
		r.refusals++
		return http.StatusServiceUnavailable
	default:
		return http.StatusUnauthorized
	}
}

// told tells that the outcome of an upload was delivered.
func (r *receiver) told(upload, state string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepted[upload+" "+state]
}

// toldOf tells when some outcome of an upload was delivered first, if any was.
func (r *receiver) toldOf(upload string) (at time.Time, told bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, told = r.heardOf[upload]
	return at, told
}

// calm ends the refusals, and returns how many there were.
func (r *receiver) calm() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = 0
	return r.refusals
}

func (r *receiver) deliveries() []Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

func (r *receiver) close(ctx context.Context) error { return r.server.Shutdown(ctx) }
