package chaos

import (
	"fmt"
	"image/color"
	"slices"
	"strings"
	"time"
)

// The checks of the judge.
const (
	Lost     = "lost"      // S3 accepted it, and Sluice knows nothing of it or says that nothing came
	Stuck    = "stuck"     // it has no outcome in time
	Wrong    = "wrong"     // another outcome or other bytes than it must have
	Leaked   = "leaked"    // something could be read, or lay where the edge reads, that must not get out
	LeftOver = "left over" // an object that belongs to nothing any more
	Untold   = "untold"    // an outcome that was not delivered
	Twice    = "twice"     // something happened twice that may happen once only
	Stranded = "stranded"  // a host that was cut off kept its work, or did not work again
)

// Checks lists them.
func Checks() []string {
	return []string{Lost, Stuck, Wrong, Leaked, LeftOver, Untold, Twice, Stranded}
}

// Finding is one thing that is not as it must be.
type Finding struct {
	Check  string `json:"check"`
	Upload string `json:"upload,omitempty"`
	Detail string `json:"detail"`
}

// judge holds the evidence to what was promised.
type judge struct {
	e        Evidence
	byID     map[string]Receipt
	byKey    map[string]Receipt
	findings []Finding
}

// Judge returns everything that is wrong, or nothing.
func Judge(e Evidence) []Finding {
	j := &judge{e: e, byID: map[string]Receipt{}, byKey: map[string]Receipt{}}
	for _, r := range e.Receipts {
		j.byID[r.ID], j.byKey[r.Key] = r, r
	}
	for _, r := range e.Receipts {
		j.outcome(r)
		j.history(r)
		j.deliveries(r)
	}
	j.strangers()
	for _, s := range e.Sightings {
		j.find(Leaked, s.Upload, "%s could be read at %s (%s)", s.URL, s.At.Format(time.TimeOnly), j.class(s.Upload, s.SHA256))
	}
	for _, o := range e.Media {
		j.published(o)
	}
	for _, o := range e.Incoming {
		j.kept(o)
	}
	for _, key := range e.Unfinished {
		j.find(LeftOver, j.byKey[key].ID, "a multipart upload of %s is still open", key)
	}
	return j.findings
}

func (j *judge) find(check, upload, format string, args ...any) {
	j.findings = append(j.findings, Finding{check, upload, fmt.Sprintf(format, args...)})
}

// class says what a hash is of, as far as the upload's customer knows.
func (j *judge) class(upload, sha256 string) string {
	if s, found := j.byID[upload].sent(sha256); found {
		return "the file that must become " + s.Class
	}
	return "bytes that nobody sent"
}

// outcome holds an upload's state, and what is published of it, to what its customer sent.
func (j *judge) outcome(r Receipt) {
	seen, found := j.e.Shown[r.ID]
	allowed := r.outcomes()
	if j.e.GivesUp && r.Accepted() {
		allowed = append(allowed, failed)
	}
	switch {
	case !found && r.Accepted():
		j.find(Lost, r.ID, "S3 accepted it (%s), and the API does not know it", r.Customer)
		return
	case !found:
		j.find(Wrong, r.ID, "the API has forgotten it (%s)", r.Customer)
		return
	case !settled(seen.State):
		j.find(Stuck, r.ID, "it still is %s (%s)", seen.State, r.Customer)
		return
	case seen.State == "expired" && r.Accepted() && !r.Cancelled:
		j.find(Lost, r.ID, "S3 accepted it (%s), and it expired", r.Customer)
		return
	case !slices.Contains(allowed, seen.State):
		j.find(Wrong, r.ID, "it is %s%s, and must be %s (%s)", seen.State, because(seen), strings.Join(allowed, " or "), r.Customer)
		return
	}
	if seen.State == good {
		j.file(r, seen)
		j.renditions(r, seen)
	} else if seen.URL != "" || len(seen.Variants) > 0 {
		j.find(Wrong, r.ID, "it is %s and has URLs", seen.State)
	}
}

func because(seen Seen) string {
	if seen.Reason == nil {
		return ""
	}
	return fmt.Sprintf(" (%s: %s)", seen.Reason.Code, seen.Reason.Detail)
}

// file holds what viewers get to what was sent and scanned.
func (j *judge) file(r Receipt, seen Seen) {
	sent, known := r.sent(seen.SHA256)
	switch {
	case !known:
		j.find(Wrong, r.ID, "the SHA-256 that was scanned, %s, is of nothing that was sent", seen.SHA256)
	case sent.Class != good:
		j.find(Leaked, r.ID, "it is ready, and what was scanned must become %s", sent.Class)
	}
	view := j.e.Viewed[seen.URL]
	switch s, sentByCustomer := r.sent(view.SHA256); {
	case view.Status != 200:
		j.find(Wrong, r.ID, "the edge answers %d for %s", view.Status, seen.URL)
	case sentByCustomer && s.Class != good:
		j.find(Leaked, r.ID, "the edge serves the file that must become %s", s.Class)
	case view.SHA256 != seen.SHA256:
		j.find(Wrong, r.ID, "the edge serves other bytes than were scanned")
	}
	if !slices.ContainsFunc(j.e.Media, func(o Object) bool { return o.Key == r.Key && !o.Marker }) {
		j.find(Wrong, r.ID, "it is ready, and not in the media bucket")
	}
}

// renditions holds each to its size and to the photo's colour.
func (j *judge) renditions(r Receipt, seen Seen) {
	if len(seen.Variants) == 0 {
		j.find(Wrong, r.ID, "it is ready and has no renditions")
	}
	sent, _ := r.sent(seen.SHA256)
	for _, v := range seen.Variants {
		view := j.e.Viewed[v.URL]
		switch {
		case view.Status != 200:
			j.find(Wrong, r.ID, "the edge answers %d for %s", view.Status, v.URL)
		case view.Width != v.Width || view.Height != v.Height || view.Width == 0:
			j.find(Wrong, r.ID, "rendition %s is %d × %d, and shown as %d × %d", v.Name, view.Width, view.Height, v.Width, v.Height)
		case !alike(view.Colour, sent.Colour):
			j.find(Wrong, r.ID, "rendition %s is of another photo: %v, not %v", v.Name, view.Colour, sent.Colour)
		}
	}
}

// alike tells that two colours differ by no more than compression makes them.
func alike(a, b color.RGBA) bool {
	const tolerance = 8 // of 255
	near := func(x, y uint8) bool { return max(x, y)-min(x, y) <= tolerance }
	return near(a.R, b.R) && near(a.G, b.G) && near(a.B, b.B)
}

// history finds steps that were made twice.
func (j *judge) history(r Receipt) {
	seen := j.e.Shown[r.ID]
	reached := map[string]int{}
	told := map[string]int{}
	for i, step := range seen.History {
		if step.Seq != int64(i+1) {
			j.find(Twice, r.ID, "step %d of its history has the number %d", i+1, step.Seq)
		}
		if step.From == step.To {
			told[step.To]++
			continue
		}
		reached[step.To]++
	}
	for _, state := range sorted(reached) {
		if reached[state] > 1 {
			j.find(Twice, r.ID, "it became %s %d times", state, reached[state])
		}
	}
	for _, state := range sorted(told) {
		if told[state] > 1 {
			j.find(Twice, r.ID, "that it is %s was recorded as delivered %d times", state, told[state])
		}
	}
}

// deliveries holds the receiver's log to the upload's outcome.
func (j *judge) deliveries(r Receipt) {
	seen := j.e.Shown[r.ID]
	ids := map[string]map[string]bool{} // by state
	accepted := false
	for _, d := range j.e.Deliveries {
		if d.Upload != r.ID {
			continue
		}
		if !d.Genuine {
			j.find(Wrong, r.ID, "a webhook has a false signature")
		}
		if ids[d.State] == nil {
			ids[d.State] = map[string]bool{}
		}
		ids[d.State][d.WebhookID+" "+d.Body] = true
		accepted = accepted || d.Accepted && d.State == seen.State
		if d.State == good && d.SHA256 != seen.SHA256 {
			j.find(Wrong, r.ID, "a webhook says that its SHA-256 is %s, the API %s", d.SHA256, seen.SHA256)
		}
		if !slices.ContainsFunc(seen.History, func(s Step) bool { return s.To == d.State }) {
			j.find(Wrong, r.ID, "a webhook says that it is %s, which it never was", d.State)
		}
	}
	if settled(seen.State) && !accepted {
		j.find(Untold, r.ID, "nobody was told that it is %s (%s)", seen.State, r.Customer)
	}
	for state, different := range ids {
		if len(different) > 1 {
			j.find(Twice, r.ID, "that it is %s was told under %d ids or in as many words", state, len(different))
		}
	}
}

// strangers judges the webhooks of uploads that no customer knows of. There are some, whose begin was answered and the
// answer lost, or which S3 did not begin; nothing was ever sent for them.
func (j *judge) strangers() {
	owner := map[string]string{} // upload, by webhook id
	for _, d := range j.e.Deliveries {
		if other, used := owner[d.WebhookID]; used && other != d.Upload {
			j.find(Twice, d.Upload, "its webhook has the id of one of upload %s", other)
		}
		owner[d.WebhookID] = d.Upload
		if _, known := j.byID[d.Upload]; !known && d.State != "expired" && d.State != "aborted" {
			j.find(Wrong, d.Upload, "a webhook says that it is %s, and nobody sent it", d.State)
		}
	}
}
