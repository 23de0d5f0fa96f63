package notify

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/sluice-media/sluice/sagas"
)

// event is the body of a webhook. Its shape is Standard Webhooks', its data is named as in the upload API.
type event struct {
	Type      string    `json:"type"`      // "upload." and the state
	Timestamp time.Time `json:"timestamp"` // when the outcome was reached, UTC
	Data      data      `json:"data"`
}

type data struct {
	ID          string            `json:"id"`
	State       string            `json:"state"`
	Key         string            `json:"key"`
	URL         string            `json:"url,omitempty"` // only when it is ready
	Filename    string            `json:"filename"`
	ContentType string            `json:"content_type"`     // as found, or else as declared
	Size        int64             `json:"size,omitempty"`   // bytes, likewise
	SHA256      string            `json:"sha256,omitempty"` // hexadecimal, likewise
	Variants    []variant         `json:"variants"`         // empty unless it is ready
	Reason      *reason           `json:"reason,omitempty"` // why it is not
	Metadata    map[string]string `json:"metadata,omitempty"`
}

type variant struct {
	Name        string `json:"name"`
	URL         string `json:"url"`
	ContentType string `json:"content_type"`
	Width       int    `json:"width"`  // pixels
	Height      int    `json:"height"` // pixels
	Size        int64  `json:"size"`   // bytes
}

type reason struct {
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
}

// eventID is the same for every attempt to deliver one outcome: recording a delivery is what moves the version on.
func eventID(u sagas.Upload) string { return fmt.Sprintf("msg_%s_%d", u.ID, u.Version) }

// newEvent describes the outcome of u, whose files are served under mediaURL.
func newEvent(u sagas.Upload, mediaURL string) event {
	e := event{
		Type:      "upload." + string(u.State),
		Timestamp: u.UpdatedAt.UTC(),
		Data: data{
			ID: u.ID.String(), State: string(u.State), Key: u.Key, Filename: u.Filename,
			ContentType: u.Observed.Type, Size: u.Observed.Size, SHA256: hex.EncodeToString(u.Observed.SHA256),
			Variants: []variant{}, Metadata: u.Metadata,
		},
	}
	if e.Data.ContentType == "" {
		e.Data.ContentType = u.Declared.Type
	}
	if e.Data.Size == 0 {
		e.Data.Size = u.Declared.Size
	}
	if e.Data.SHA256 == "" {
		e.Data.SHA256 = hex.EncodeToString(u.Declared.SHA256)
	}
	if u.Reason.Code != "" {
		e.Data.Reason = &reason{Code: string(u.Reason.Code), Detail: u.Reason.Detail}
	}
	if u.State != sagas.Ready {
		return e
	}
	e.Data.URL = mediaURL + "/" + u.Key
	for _, v := range u.Variants {
		e.Data.Variants = append(e.Data.Variants, variant{
			Name: v.Name, URL: mediaURL + "/" + v.Key, ContentType: v.Type, Width: v.Width, Height: v.Height, Size: v.Size,
		})
	}
	return e
}
