package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The kinds of customers.
const (
	honest     = "honest"     // sends a photo and says so
	silent     = "silent"     // sends a photo and says nothing
	insister   = "insister"   // sends it twice and says so three times
	infectious = "infectious" // sends an infected photo
	liar       = "liar"       // sends another type than declared
	damager    = "damager"    // sends half a photo
	cheat      = "cheat"      // tries to send more than declared
	idler      = "idler"      // sends nothing
	quitter    = "quitter"    // hangs up in the middle
	swapper    = "swapper"    // puts infected photos in the place of the one that was accepted
)

// tardy are the customers whose uploads end by expiring. They come first, or everybody would wait for them.
func tardy() []string { return []string{cheat, idler, quitter, deserter} }

const (
	// sendFor is how long a customer tries to send, which is less than its permission lasts.
	sendFor = 18 * time.Second
	// talkFor is how long it tries to say that it has.
	talkFor = 30 * time.Second
	// sendLimit bounds one transfer.
	sendLimit = 6 * time.Second
)

// customers use the service, each upload by another one.
type customers struct {
	door   *door
	ledger *ledger
	photos photographer
	bucket string // that they upload to
	http   *http.Client
}

// serve has one customer make one upload.
func (c *customers) serve(ctx context.Context, kind string, dice *rand.Rand) error {
	act, known := map[string]func(context.Context, string, *rand.Rand) error{
		honest: c.upload, silent: c.upload, insister: c.upload, infectious: c.upload, liar: c.upload, damager: c.upload,
		cheat: c.overcharge, idler: c.idle, quitter: c.quit, swapper: c.swap,
		poster: c.post, piecemeal: c.sendParts, deserter: c.sendParts, repenter: c.repent,
	}[kind]
	if !known {
		return fmt.Errorf("there are no customers of the kind %q", kind)
	}
	if err := act(ctx, kind, dice); err != nil {
		return fmt.Errorf("a customer (%s): %w", kind, err)
	}
	return nil
}

// upload is the usual way.
func (c *customers) upload(ctx context.Context, kind string, dice *rand.Rand) error {
	return c.uploadAnd(ctx, kind, dice, func(string) error { return nil })
}

// uploadAnd goes on with what is to be done after the usual way.
func (c *customers) uploadAnd(ctx context.Context, kind string, dice *rand.Rand, then func(id string) error) error {
	f, err := c.fileOf(kind, dice)
	if err != nil {
		return err
	}
	id, p, err := c.begin(ctx, kind, f)
	if err != nil {
		return err
	}
	c.intend(id, f)
	accepted := c.send(ctx, id, p, f)
	if kind == insister {
		c.send(ctx, id, p, f)
	}
	if !accepted || kind == silent {
		return then(id)
	}
	repeats := 1
	if kind == insister {
		repeats = 3
	}
	for range repeats {
		c.complete(ctx, id)
	}
	return then(id)
}

func (c *customers) fileOf(kind string, dice *rand.Rand) (file, error) {
	switch kind {
	case infectious:
		return c.photos.infectedPhoto(dice)
	case liar:
		return c.photos.lie(dice)
	case damager:
		return c.photos.damaged(dice)
	default:
		return c.photos.photo(dice)
	}
}

// begin asks for permission to PUT f and opens the receipt.
func (c *customers) begin(ctx context.Context, kind string, f file) (string, permission, error) {
	return c.beginBy(ctx, kind, "put", f)
}

func (c *customers) beginBy(ctx context.Context, kind, method string, f file) (string, permission, error) {
	ctx, cancel := context.WithTimeout(ctx, talkFor)
	defer cancel()
	asked := map[string]any{"filename": kind + ".jpg", "content_type": photoType, "size": len(f.body), "method": method}
	var begun struct {
		Seen
		Upload permission `json:"upload"`
	}
	if err := c.door.call(ctx, http.MethodPost, "/v1/uploads", asked, &begun); err != nil {
		return "", permission{}, err
	}
	key, err := c.keyOf(begun.Upload)
	if err != nil {
		return "", permission{}, err
	}
	c.ledger.open(Receipt{ID: begun.ID, Customer: kind, Key: key, GivenUpAt: begun.ExpiresAt})
	return begun.ID, begun.Upload, nil
}

// keyOf reads an object's key from the permission to send it.
func (c *customers) keyOf(p permission) (string, error) {
	presigned := p.URL
	switch {
	case p.Fields["key"] != "":
		return p.Fields["key"], nil
	case len(p.Parts) > 0:
		presigned = p.Parts[0].URL
	}
	u, err := url.Parse(presigned)
	if err != nil {
		return "", errors.New("the presigned URL is none")
	}
	key, found := strings.CutPrefix(u.Path, "/"+c.bucket+"/")
	if !found {
		return "", fmt.Errorf("the presigned path %s is not in bucket %s", u.Path, c.bucket)
	}
	return key, nil
}

// send PUTs the file until S3 accepts or refuses it, or the permission is about to end.
func (c *customers) send(ctx context.Context, id string, p permission, f file) (accepted bool) {
	return c.persist(ctx, func(ctx context.Context) int { return c.put(ctx, p, f.body) }, func(status int) { c.enter(id, f, status) })
}

// intend writes into the receipt what will be sent, before anybody can come across it.
func (c *customers) intend(id string, f file) {
	c.ledger.note(id, func(r *Receipt) {
		r.Sent = append(r.Sent, Sending{SHA256: f.sha256(), Class: f.class, Colour: f.colour})
	})
}

// enter writes into the receipt what came of trying to send f. Status 412 says that it has been there before: nobody
// else has its key.
func (c *customers) enter(id string, f file, status int) {
	c.ledger.note(id, func(r *Receipt) {
		s := &r.Sent[slices.IndexFunc(r.Sent, func(s Sending) bool { return s.SHA256 == f.sha256() })]
		s.LastTry = time.Now()
		s.Accepted = s.Accepted || status == http.StatusOK || status == http.StatusPreconditionFailed
		s.Unsure = s.Unsure || status == 0 || status >= 500
	})
}

// put makes one transfer and returns S3's status, or 0 when there was no answer.
func (c *customers) put(ctx context.Context, p permission, body []byte) (status int) {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, p.URL, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	for name, value := range p.Headers {
		request.Header.Set(name, value)
	}
	_, err = exchange(c.http, request)
	if err == nil {
		return http.StatusOK
	}
	return statusOf(err)
}

// complete says that the file was sent. Nobody is to mind when the API does not answer in time, or says that there is
// nothing: the event comes too.
func (c *customers) complete(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, talkFor)
	defer cancel()
	_ = c.door.call(ctx, http.MethodPost, "/v1/uploads/"+id+"/complete", nil, nil)
}

// overcharge sends more than was declared, and then claims to be done.
func (c *customers) overcharge(ctx context.Context, kind string, dice *rand.Rand) error {
	f, err := c.photos.photo(dice)
	if err != nil {
		return err
	}
	id, p, err := c.begin(ctx, kind, f)
	if err != nil {
		return err
	}
	longer := file{body: append(bytes.Clone(f.body), make([]byte, 1+dice.IntN(1000))...), class: lying}
	c.intend(id, longer)
	c.send(ctx, id, p, longer)
	c.complete(ctx, id)
	return nil
}

// idle claims to have sent what it has not.
func (c *customers) idle(ctx context.Context, kind string, dice *rand.Rand) error {
	f, err := c.photos.photo(dice)
	if err != nil {
		return err
	}
	id, _, err := c.begin(ctx, kind, f)
	if err != nil {
		return err
	}
	if dice.IntN(2) == 0 {
		c.complete(ctx, id)
	}
	return nil
}

// quit hangs up after half of the file.
func (c *customers) quit(ctx context.Context, kind string, dice *rand.Rand) error {
	f, err := c.photos.photo(dice)
	if err != nil {
		return err
	}
	id, p, err := c.begin(ctx, kind, f)
	if err != nil {
		return err
	}
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	half := len(f.body) / 2
	body := io.MultiReader(bytes.NewReader(f.body[:half]), reader(func([]byte) (int, error) {
		hangUp()
		<-ctx.Done()
		return 0, ctx.Err()
	}))
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, p.URL, body)
	if err != nil {
		return errors.New("the presigned URL is none")
	}
	for name, value := range p.Headers {
		request.Header.Set(name, value)
	}
	request.ContentLength = int64(len(f.body))
	if _, err := exchange(c.http, request); err == nil {
		return fmt.Errorf("S3 accepted half of upload %s", id)
	}
	return nil
}

type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

// swap uses the simple protocol, whose permission can be used again: once the good photo is accepted and confirmed, it
// sends infected ones to the same place for a while.
func (c *customers) swap(ctx context.Context, kind string, dice *rand.Rand) error {
	const swaps, pause = 12, 60 * time.Millisecond
	f, err := c.photos.photo(dice)
	if err != nil {
		return err
	}
	id, key, p, err := c.beginSimple(ctx, kind)
	if err != nil {
		return err
	}
	c.intend(id, f)
	if !c.send(ctx, id, p, f) {
		return nil
	}
	c.confirm(ctx, key)
	for range swaps {
		evil, err := c.photos.infectedPhoto(dice)
		if err != nil {
			return err
		}
		c.intend(id, evil)
		c.enter(id, evil, c.put(ctx, p, evil.body))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
	return nil
}

// beginSimple asks for permission by the simple protocol, which names the upload by its key. The key ends in the
// upload's id, as confirm-upload would say.
func (c *customers) beginSimple(ctx context.Context, kind string) (id, key string, p permission, err error) {
	ctx, cancel := context.WithTimeout(ctx, talkFor)
	defer cancel()
	asked := map[string]any{"filename": kind + ".jpg", "contentType": photoType}
	var permitted struct{ UploadURL, Key string }
	if err := c.door.call(ctx, http.MethodPost, "/get-upload-url", asked, &permitted); err != nil {
		return "", "", permission{}, err
	}
	name := permitted.Key[strings.LastIndexByte(permitted.Key, '/')+1:]
	id, _, _ = strings.Cut(name, ".")
	var seen Seen
	if err := c.door.call(ctx, http.MethodGet, "/v1/uploads/"+id, nil, &seen); err != nil {
		return "", "", permission{}, err
	}
	c.ledger.open(Receipt{ID: id, Customer: kind, Key: permitted.Key, GivenUpAt: seen.ExpiresAt})
	p = permission{URL: permitted.UploadURL, Headers: map[string]string{"Content-Type": photoType}}
	return id, permitted.Key, p, nil
}

func (c *customers) confirm(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(ctx, talkFor)
	defer cancel()
	_ = c.door.call(ctx, http.MethodPost, "/confirm-upload", map[string]string{"key": key}, nil)
}
