package client

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

const (
	usualParallel = 4
	signAtOnce    = 100 // parts; the most that the API signs in one answer
	renewals      = 2   // how often a part that storage forbids gets another permission, as an expired one needs
)

// Parts is a file of a multipart upload, and how to send it.
type Parts struct {
	File     io.ReaderAt
	Size     int64                  // bytes
	Stored   []v1.StoredPart        // what storage has already, of StoredParts; it is not sent again
	SHA256   bool                   // whether the upload was begun with PartSHA256
	Parallel int                    // most parts in flight; 0 is 4
	Progress func(sent int64)       // is told how many bytes storage has or is being sent, first how many it had before; may be nil
	PartSent func(v1.CompletedPart) // is told of every part that has arrived; may be nil
}

// StoredParts returns what object storage has of a multipart upload.
func (c *Client) StoredParts(ctx context.Context, id string) (v1.StoredParts, error) {
	return retry(ctx, tries, func() (p v1.StoredParts, err error) {
		_, err = c.call(ctx, http.MethodGet, partsPath(id), nil, nil, &p)
		return p, err
	})
}

// SignParts asks for permission to send 1 to 100 parts, again or for the first time.
func (c *Client) SignParts(ctx context.Context, id string, wanted ...v1.WantedPart) (v1.SignedParts, error) {
	return retry(ctx, tries, func() (v1.SignedParts, error) { return c.signParts(ctx, id, wanted) })
}

func (c *Client) signParts(ctx context.Context, id string, wanted []v1.WantedPart) (p v1.SignedParts, err error) {
	_, err = c.call(ctx, http.MethodPost, partsPath(id), nil, v1.WantedParts{Parts: wanted}, &p)
	return p, err
}

func partsPath(id string) string { return "/v1/uploads/" + url.PathEscape(id) + "/parts" }

// Multipart sends to object storage the parts of an upload that it does not have, several at once and in constant
// memory, and returns all parts for Complete. Of permission only the cut has to be there, PartSize and PartCount: what
// is not signed, or no more, is signed on the way. A part that fails is tried again by itself.
func (c *Client) Multipart(ctx context.Context, id string, permission v1.Permission, parts Parts) ([]v1.CompletedPart, error) {
	s := &partSender{
		client: c, id: id, cut: permission, Parts: parts,
		signed: map[int]signedPart{}, tally: tally{progress: telling(parts.Progress)},
	}
	if err := s.plan(); err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(cmp.Or(max(parts.Parallel, 0), usualParallel))
	for _, number := range s.missing {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err() // another part has failed
			}
			return s.send(ctx, number)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(s.done, func(a, b v1.CompletedPart) int { return cmp.Compare(a.Number, b.Number) })
	return s.done, nil
}

// partSender sends the missing parts of one file.
type partSender struct {
	client *Client
	id     string
	cut    v1.Permission
	Parts
	tally tally

	mu      sync.Mutex
	missing []int // ascending
	signed  map[int]signedPart
	done    []v1.CompletedPart
}

type signedPart struct {
	v1.SignedPart
	expires time.Time
}

// plan finds out what is missing.
func (s *partSender) plan() error {
	if s.cut.PartSize < 1 || (s.Size+s.cut.PartSize-1)/s.cut.PartSize != int64(s.cut.PartCount) {
		return fmt.Errorf("a file of %d bytes does not have %d parts of %d", s.Size, s.cut.PartCount, s.cut.PartSize)
	}
	stored, size := map[int]bool{}, int64(0)
	for _, p := range s.Stored {
		if p.Number < 1 || p.Number > s.cut.PartCount || p.Size != s.section(p.Number).Size() {
			continue
		}
		stored[p.Number] = true
		s.done = append(s.done, v1.CompletedPart{Number: p.Number, ETag: p.ETag})
		size += p.Size
	}
	s.tally.add(size)
	for number := 1; number <= s.cut.PartCount; number++ {
		if !stored[number] {
			s.missing = append(s.missing, number)
		}
	}
	s.keep(v1.SignedParts{Parts: s.cut.Parts, ExpiresAt: s.cut.ExpiresAt})
	return nil
}

func (s *partSender) section(number int) *io.SectionReader {
	offset := int64(number-1) * s.cut.PartSize
	return io.NewSectionReader(s.File, offset, min(s.cut.PartSize, s.Size-offset))
}

// send brings one part to storage.
func (s *partSender) send(ctx context.Context, number int) error {
	var sum string
	if s.SHA256 {
		hash := sha256.New()
		if _, err := io.Copy(hash, s.section(number)); err != nil {
			return &FileError{err}
		}
		sum = hex.EncodeToString(hash.Sum(nil))
	}
	renewed := 0
	var counted int64 // bytes of this part that the tally has
	etag, err := retry(ctx, sendTries, func() (string, error) {
		p, err := s.permission(ctx, number, sum)
		if err != nil {
			return "", err
		}
		section := s.section(number)
		etag, err := s.client.deliver(ctx, delivery{
			method: s.cut.Method, url: p.URL, header: p.Headers, size: section.Size(),
			open: func() io.Reader { return io.NewSectionReader(section, 0, section.Size()) },
			sent: func(n int64) {
				s.tally.add(n - counted)
				counted = n
			},
		})
		if isRefused(err, http.StatusForbidden) && renewed < renewals {
			renewed++
			s.forget(p.expires)
			return "", &connectionError{err}
		}
		return etag, err
	})
	if err != nil {
		return fmt.Errorf("part %d: %w", number, err)
	}
	part := v1.CompletedPart{Number: number, ETag: etag}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, part)
	if s.PartSent != nil {
		s.PartSent(part)
	}
	return nil
}

// permission returns one for a single use. Where none is at hand it has this part and the following ones signed,
// unless each needs its digest.
func (s *partSender) permission(ctx context.Context, number int, sum string) (signedPart, error) {
	if sum != "" {
		answer, err := s.client.signParts(ctx, s.id, []v1.WantedPart{{Number: number, SHA256: sum}})
		if err != nil || len(answer.Parts) != 1 {
			return signedPart{}, cmp.Or(err, errNotSigned)
		}
		return signedPart{answer.Parts[0], answer.ExpiresAt}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.signed[number]; !ok {
		answer, err := s.client.signParts(ctx, s.id, s.unsigned(number))
		if err != nil {
			return signedPart{}, err
		}
		s.keep(answer)
	}
	p, ok := s.signed[number]
	if !ok {
		return p, errNotSigned
	}
	delete(s.signed, number)
	return p, nil
}

var errNotSigned = errors.New("the API has signed other parts than it was asked to")

// unsigned lists a missing part and those after it, up to one that is signed.
func (s *partSender) unsigned(number int) []v1.WantedPart {
	var wanted []v1.WantedPart
	first, _ := slices.BinarySearch(s.missing, number)
	for _, next := range s.missing[first:] {
		if _, ok := s.signed[next]; ok || len(wanted) == signAtOnce {
			break
		}
		wanted = append(wanted, v1.WantedPart{Number: next})
	}
	return wanted
}

func (s *partSender) keep(p v1.SignedParts) {
	for _, part := range p.Parts {
		s.signed[part.Number] = signedPart{part, p.ExpiresAt}
	}
}

// forget drops the permissions that end no later than one that storage refused.
func (s *partSender) forget(refused time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.signed, func(_ int, p signedPart) bool { return !p.expires.After(refused) })
}

// tally adds up the bytes of parts in flight.
type tally struct {
	mu       sync.Mutex
	sent     int64
	progress func(int64)
}

func (t *tally) add(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent += n
	t.progress(t.sent)
}
