package api

import (
	"encoding/hex"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

// resource is what the owner may know of an upload. Where it is stored and who worked on it stays inside.
func (s *server) resource(u sagas.Upload, history []sagas.Transition) v1.Upload {
	r := v1.Upload{
		ID:          u.ID.String(),
		Method:      string(u.Method),
		State:       string(u.State),
		Version:     u.Version,
		Filename:    u.Filename,
		ContentType: firstOf(u.Observed.Type, u.Declared.Type),
		Size:        firstOf(u.Observed.Size, u.Declared.Size),
		SHA256:      firstOf(hex.EncodeToString(u.Observed.SHA256), hex.EncodeToString(u.Declared.SHA256)),
		Width:       u.Width,
		Height:      u.Height,
		Variants:    []v1.Variant{},
		Reason:      reason(u.Reason),
		Metadata:    u.Metadata,
		CreatedAt:   u.CreatedAt.UTC(),
		UpdatedAt:   u.UpdatedAt.UTC(),
		ExpiresAt:   u.ExpiresAt.UTC(),
	}
	if u.State == sagas.Ready {
		r.URL = s.config.mediaURL(u.Key)
		for _, v := range u.Variants {
			r.Variants = append(r.Variants, v1.Variant{
				Name: v.Name, URL: s.config.mediaURL(v.Key), ContentType: v.Type,
				Width: v.Width, Height: v.Height, Size: v.Size,
			})
		}
	}
	for _, t := range history {
		if t.Seq > u.Version {
			break // happened after u was read: the next version tells it
		}
		r.History = append(r.History, v1.Transition{
			Seq: t.Seq, Stage: t.Stage, From: string(t.From), To: string(t.To), Attempt: t.Attempt,
			StartedAt: t.StartedAt.UTC(), FinishedAt: t.FinishedAt.UTC(),
			DurationMS: t.FinishedAt.Sub(t.StartedAt).Milliseconds(), Reason: reason(t.Reason),
		})
	}
	return r
}

func reason(r sagas.Reason) *v1.Reason {
	if r.Code == "" {
		return nil
	}
	return &v1.Reason{Code: string(r.Code), Detail: r.Detail}
}

func firstOf[T comparable](a, b T) T {
	var zero T
	if a != zero {
		return a
	}
	return b
}
