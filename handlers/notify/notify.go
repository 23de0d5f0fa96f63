// Package notify is the stage that tells the application how an upload ended: a webhook, signed as Standard
// Webhooks (https://www.standardwebhooks.com), POSTed once the upload has its outcome, whichever it is.
//
// Any 2xx answer is a delivery. 410 Gone is one too: the receiver says that it wants no more, and asking again
// will not change its mind. Everything else, redirects and slow answers included, is tried again. The receiver
// may get a webhook twice and recognises it by its webhook-id, which is the same for each attempt, as is the body.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/failpoint"
	"github.com/sluice-media/sluice/sagas"
)

// maxAnswer is how many bytes of an answer are read, so that its connection can be used again. Nobody looks at
// them.
const maxAnswer = 16 << 10

// Stage implements pipeline.Stage.
type Stage struct {
	config   Config
	mediaURL string
	http     *http.Client
	reach    *reach
	now      func() time.Time
}

// New returns the stage; published files are served under mediaURL. The configuration must be valid.
func New(c Config, mediaURL string) *Stage {
	return &Stage{
		config:   c,
		mediaURL: strings.TrimSuffix(mediaURL, "/"),
		reach:    newReach(),
		now:      time.Now,
		http: &http.Client{
			Timeout:       c.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Name implements pipeline.Stage.
func (*Stage) Name() string { return pipeline.Notify }

// Run delivers the outcome. The upload stays in its state: the move to itself records the delivery.
func (s *Stage) Run(ctx context.Context, u sagas.Upload) (pipeline.Outcome, error) {
	if s.config.URL != "" {
		if err := s.deliver(ctx, u); err != nil {
			return pipeline.Outcome{}, fmt.Errorf("delivering the webhook: %w", err)
		}
	}
	return pipeline.Outcome{State: u.State}, nil
}

func (s *Stage) deliver(ctx context.Context, u sagas.Upload) error {
	body, err := json.Marshal(newEvent(u, s.mediaURL))
	if err != nil {
		return err
	}
	req, err := s.signed(ctx, eventID(u), body)
	if err != nil {
		return err
	}
	if err := failpoint.Hit("webhook.post", "before"); err != nil {
		return err
	}
	res, err := s.http.Do(req)
	if err != nil {
		err = withoutURL(err)
		if ctx.Err() == nil { // else it was we who left
			s.reach.failed(s.now(), err)
		}
		return err
	}
	defer func() { _ = res.Body.Close() }() // the status has said all
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer)
	if err := failpoint.Hit("webhook.post", "after"); err != nil {
		return err
	}
	return s.judge(req.URL.Host, res.StatusCode)
}

// judge says what the receiver's status means for the delivery, and notes what it means for others.
func (s *Stage) judge(host string, status int) error {
	answer := fmt.Errorf("%s answered %d %s", host, status, http.StatusText(status))
	if isOutage(status) {
		s.reach.failed(s.now(), answer)
		return answer
	}
	s.reach.answered()
	if status/100 == 2 || status == http.StatusGone {
		return nil
	}
	return answer
}

// signed makes the request of one attempt. The signature covers the id, the time of the attempt and the body.
func (s *Stage) signed(ctx context.Context, id string, body []byte) (*http.Request, error) {
	signer, err := standardwebhooks.NewWebhook(s.config.Secret)
	if err != nil {
		return nil, fmt.Errorf("reading the secret: %w", err)
	}
	now := s.now()
	signature, err := signer.Sign(id, now, body)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.config.URL, bytes.NewReader(body))
	if err != nil {
		return nil, withoutURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "sluice")
	req.Header.Set(standardwebhooks.HeaderWebhookID, id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return req, nil
}

// withoutURL keeps the webhook's URL, which may hold a token, out of logs.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
