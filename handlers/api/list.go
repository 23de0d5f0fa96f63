package api

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

type listInput struct {
	States        []string  `query:"state,explode" enum:"initiated,uploaded,verified,clean,processed,ready,rejected,infected,unscannable,failed,expired,aborted,deleted" doc:"Only uploads in this state; may be repeated."`
	CreatedAfter  time.Time `query:"created_after" example:"2026-11-25T00:00:00Z" doc:"Only uploads that were begun later."`
	CreatedBefore time.Time `query:"created_before" example:"2126-11-26T00:00:00Z" doc:"Only uploads that were begun earlier."`
	Limit         int       `query:"limit" minimum:"1" maximum:"100" default:"50" example:"20" doc:"Most uploads in one answer."`
	Cursor        string    `query:"cursor" maxLength:"64" example:"AAZEa7nOQAABmeCifB99OpseL2pcjU4Q" doc:"The next of an earlier answer, to go on from there."`
}

type listOutput struct {
	Body v1.UploadList
}

// listUploads shows the caller's uploads. Pages do not shift when uploads are begun meanwhile: the cursor is the place
// of the last one shown.
func (s *server) listUploads(ctx context.Context, in *listInput) (*listOutput, error) {
	sel := sagas.Selection{CreatedAfter: in.CreatedAfter, CreatedBefore: in.CreatedBefore, Most: in.Limit + 1}
	for _, state := range in.States {
		sel.States = append(sel.States, sagas.State(state))
	}
	if in.Cursor != "" {
		var ok bool
		if sel.After, ok = parseCursor(in.Cursor); !ok {
			p := invalid.problem()
			p.Errors = []v1.Fault{{Location: "query.cursor", Message: "must be the next of an earlier answer", Value: short(in.Cursor)}}
			return nil, p
		}
	}
	uploads, err := s.store.List(ctx, callOf(ctx).principal.Owner, sel)
	if err != nil {
		return nil, err
	}
	out := &listOutput{Body: v1.UploadList{Uploads: []v1.Upload{}}}
	if len(uploads) > in.Limit { // one more than fits says that there is another page
		uploads = uploads[:in.Limit]
		out.Body.Next = cursor(uploads[len(uploads)-1].Position())
	}
	for _, u := range uploads {
		out.Body.Uploads = append(out.Body.Uploads, s.resource(u, nil))
	}
	return out, nil
}

// cursorSize is 8 bytes of microseconds since 1970 and 16 bytes of id.
const cursorSize = 8 + len(uuid.UUID{})

// cursor writes a place in the list in a form that is nobody's business.
func cursor(p sagas.Position) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, cursorSize), uint64(p.CreatedAt.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(b, p.ID[:]...))
}

func parseCursor(s string) (p sagas.Position, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != cursorSize {
		return sagas.Position{}, false
	}
	p.CreatedAt = time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC()
	p.ID = uuid.UUID(b[8:])
	if year := p.CreatedAt.Year(); year < 1970 || year > 9999 || p.ID == uuid.Nil {
		return sagas.Position{}, false
	}
	return p, true
}
