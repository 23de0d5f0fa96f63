package chaos

import (
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// signed returns a webhook as Sluice sends it.
func signed(t *testing.T, secret, id, upload, state string) (http.Header, []byte) {
	t.Helper()
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Appendf(nil, `{"type":"upload.%s","data":{"id":%q,"state":%q,"sha256":"sum"}}`, state, upload, state)
	at := time.Now()
	signature, err := signer.Sign(id, at, body)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	header.Set(standardwebhooks.HeaderWebhookID, id)
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return header, body
}

func TestTheReceiverLogsWhatItGets(t *testing.T) {
	r, err := openReceiver(t.Context(), 1, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.close(t.Context()) })
	header, body := signed(t, r.secret, "msg-1", "u1", "ready")
	if status := r.take(header, body); status != http.StatusNoContent {
		t.Errorf("answered %d", status)
	}
	if !r.told("u1", "ready") || r.told("u1", "infected") {
		t.Error("the outcome is not the one that was told")
	}
	header.Set(standardwebhooks.HeaderWebhookID, "msg-2") // which was not signed
	if status := r.take(header, body); status != http.StatusUnauthorized {
		t.Errorf("answered %d to a false signature", status)
	}
	log := r.deliveries()
	if len(log) != 2 || !log[0].Genuine || !log[0].Accepted || log[1].Genuine || log[1].Accepted ||
		log[0].Upload != "u1" || log[0].State != "ready" || log[0].SHA256 != "sum" || log[0].WebhookID != "msg-1" {
		t.Errorf("the log is %+v", log)
	}
}

func TestTheReceiverRefusesItsShare(t *testing.T) {
	const webhooks = 1000
	r, err := openReceiver(t.Context(), 1, 0.3, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.close(t.Context()) })
	header, body := signed(t, r.secret, "msg-1", "u1", "ready")
	refused := 0
	for range webhooks {
		if r.take(header, body) == http.StatusServiceUnavailable {
			refused++
		}
	}
	if refused < webhooks/4 || refused > webhooks/3 {
		t.Errorf("refused %d of %d", refused, webhooks)
	}
	if counted := r.calm(); counted != refused {
		t.Errorf("counted %d refusals, not %d", counted, refused)
	}
	if status := r.take(header, body); status != http.StatusNoContent {
		t.Errorf("answered %d when calm", status)
	}
}
