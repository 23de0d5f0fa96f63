package chaos

import (
	"image/color"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	goodID, badID, idleID, goneID = "good", "bad", "idle", "gone"

	goodSum, badSum, otherSum = "sum of the good file", "sum of the infected file", "sum of another file"

	fileURL, renditionURL = "http://edge/uploads/good.jpg", "http://edge/thumbnails/good/200.jpg"
)

var (
	red = color.RGBA{R: 200, A: 255}
	now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// innocent is the evidence of a run in which nothing is wrong: a photo that became ready, an infected one, one that
// never came and one that was deleted.
func innocent() Evidence {
	return Evidence{
		Receipts: []Receipt{
			{ID: goodID, Key: "uploads/good.jpg", Sent: []Sending{{SHA256: goodSum, Class: good, Accepted: true, Colour: red, LastTry: now.Add(-time.Minute)}}},
			{ID: badID, Key: "uploads/bad.jpg", Sent: []Sending{{SHA256: badSum, Class: infected, Accepted: true, LastTry: now.Add(-time.Minute)}}},
			{ID: idleID, Key: "uploads/idle.jpg"},
			{ID: goneID, Key: "uploads/gone.jpg", Cancelled: true, Sent: []Sending{{SHA256: otherSum, Class: good, Accepted: true, LastTry: now.Add(-time.Minute)}}},
		},
		Shown: map[string]Seen{
			goodID: {
				ID: goodID, State: good, SHA256: goodSum, URL: fileURL, History: steps("initiated", "uploaded", "verified", "clean", "processed", good, good),
				Variants: []Variant{{Name: "200", URL: renditionURL, Width: 200, Height: 150}},
			},
			badID:  {ID: badID, State: infected, SHA256: badSum, History: steps("initiated", "uploaded", "verified", infected, infected)},
			idleID: {ID: idleID, State: "expired", History: steps("initiated", "expired", "expired")},
			goneID: {ID: goneID, State: "deleted", History: steps("initiated", "uploaded", "verified", "clean", "processed", good, good, "deleted", "deleted")},
		},
		Deliveries: []Delivery{
			{WebhookID: "msg-1", Upload: goodID, State: good, SHA256: goodSum, Body: "b1", Genuine: true},
			{WebhookID: "msg-1", Upload: goodID, State: good, SHA256: goodSum, Body: "b1", Genuine: true, Accepted: true},
			{WebhookID: "msg-2", Upload: badID, State: infected, Body: "b2", Genuine: true, Accepted: true},
			{WebhookID: "msg-3", Upload: idleID, State: "expired", Body: "b3", Genuine: true, Accepted: true},
			{WebhookID: "msg-4", Upload: goneID, State: "deleted", Body: "b4", Genuine: true, Accepted: true},
			{WebhookID: "msg-5", Upload: "a begin whose answer was lost", State: "expired", Body: "b5", Genuine: true, Accepted: true},
		},
		Media: []Object{
			{Key: "uploads/good.jpg", VersionID: "1", SHA256: goodSum},
			{Key: "thumbnails/good/200.jpg", VersionID: "2", SHA256: "rendition"},
			{Key: "thumbnails/good/200.jpg", VersionID: "3", SHA256: "rendition"},
		},
		Incoming: []Object{{Key: "uploads/bad.jpg", VersionID: "4", SHA256: badSum}},
		Viewed: map[string]View{
			fileURL:      {Status: 200, SHA256: goodSum},
			renditionURL: {Status: 200, SHA256: "rendition", Width: 200, Height: 150, Colour: color.RGBA{R: 203, G: 2, A: 255}},
		},
	}
}

// steps is a history that ends at now.
func steps(states ...string) (history []Step) {
	from := ""
	for i, to := range states {
		history = append(history, Step{
			Seq: int64(i + 1), From: from, To: to, FinishedAt: now.Add(time.Duration(i+1-len(states)) * time.Second),
		})
		from = to
	}
	return history
}

func TestTheInnocentAreAcquitted(t *testing.T) {
	if found := Judge(innocent()); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
}

// Where stages give up soon, a photo may have failed. Nothing of it may be reachable then, and its original stays.
func TestWhoGaveUpCleansUp(t *testing.T) {
	gaveUp := func() Evidence {
		e := innocent()
		e.GivesUp = true
		e.Shown[goodID] = Seen{ID: goodID, State: failed, History: steps("initiated", "uploaded", "verified", "clean", "processed", failed, failed)}
		e.Deliveries = append(slices.DeleteFunc(e.Deliveries, func(d Delivery) bool { return d.Upload == goodID }),
			Delivery{WebhookID: "msg-1", Upload: goodID, State: failed, Body: "b1", Genuine: true, Accepted: true})
		e.Media = nil
		e.Incoming = append(e.Incoming, Object{Key: "uploads/good.jpg", VersionID: "5", SHA256: goodSum})
		return e
	}
	if found := Judge(gaveUp()); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
	for name, tc := range map[string]struct {
		forge func(*Evidence)
		check string
	}{
		"where nobody gives up": {func(e *Evidence) { e.GivesUp = false }, Wrong},
		"a copy is left":        {func(e *Evidence) { e.Media = []Object{{Key: "uploads/good.jpg", VersionID: "1", SHA256: goodSum}} }, LeftOver},
		"a rendition is left": {func(e *Evidence) {
			e.Incoming = append(e.Incoming, Object{Key: "thumbnails/good/200.jpg", VersionID: "6", SHA256: "rendition"})
		}, LeftOver},
		"nobody was told": {func(e *Evidence) { e.Deliveries = e.Deliveries[:len(e.Deliveries)-1] }, Untold},
		"never arrived": {func(e *Evidence) {
			e.Shown[idleID] = Seen{ID: idleID, State: failed, History: steps("initiated", failed)}
			e.Deliveries[1].State = failed
		}, Wrong},
	} {
		e := gaveUp()
		tc.forge(&e)
		found := Judge(e)
		if !slices.ContainsFunc(found, func(f Finding) bool { return f.Check == tc.check }) {
			t.Errorf("%s: found %+v, want it %s", name, found, tc.check)
		}
	}
}

// Each forgery of the evidence must be found, by the check that is meant for it and no other.
func TestEveryCheckFindsWhatItIsFor(t *testing.T) {
	show := func(id string, change func(*Seen)) func(*Evidence) {
		return func(e *Evidence) {
			seen := e.Shown[id]
			change(&seen)
			e.Shown[id] = seen
		}
	}
	deliver := func(i int, change func(*Delivery)) func(*Evidence) {
		return func(e *Evidence) { change(&e.Deliveries[i]) }
	}
	inMedia := func(o Object) func(*Evidence) { return func(e *Evidence) { e.Media = append(e.Media, o) } }
	inIncoming := func(o Object) func(*Evidence) { return func(e *Evidence) { e.Incoming = append(e.Incoming, o) } }
	view := func(url string, change func(*View)) func(*Evidence) {
		return func(e *Evidence) {
			v := e.Viewed[url]
			change(&v)
			e.Viewed[url] = v
		}
	}
	for name, tc := range map[string]struct {
		forge func(*Evidence)
		check string
		says  string
	}{
		"forgotten":            {func(e *Evidence) { delete(e.Shown, goodID) }, Lost, "does not know it"},
		"expired after S3 had": {show(goodID, func(s *Seen) { *s = Seen{State: "expired", History: steps("initiated", "expired")} }), Lost, "and it expired"},
		"an idler forgotten":   {func(e *Evidence) { delete(e.Shown, idleID) }, Wrong, "has forgotten it"},
		"no outcome":           {show(badID, func(s *Seen) { s.State = "verified"; s.History = s.History[:3] }), Stuck, "still is verified"},
		"failed":               {show(badID, func(s *Seen) { s.State = "failed"; s.History = steps("initiated", "uploaded", "failed") }), Wrong, "is failed, and must be infected"},
		"came from nowhere":    {show(idleID, func(s *Seen) { s.State = "rejected"; s.History = steps("initiated", "uploaded", "rejected") }), Wrong, "must be expired"},
		"infected and ready": {show(badID, func(s *Seen) {
			s.State, s.History = good, steps("initiated", good)
		}), Wrong, "is ready, and must be infected"},
		"a URL of an infected file": {show(badID, func(s *Seen) { s.URL = "http://edge/uploads/bad.jpg" }), Wrong, "has URLs"},
		"another file was scanned":  {show(goodID, func(s *Seen) { s.SHA256 = otherSum }), Wrong, "nothing that was sent"},
		"infected bytes were scanned": {func(e *Evidence) {
			e.Receipts[0].Sent = append(e.Receipts[0].Sent, Sending{SHA256: badSum, Class: infected, Accepted: true})
			show(goodID, func(s *Seen) { s.SHA256 = badSum })(e)
		}, Leaked, "what was scanned must become infected"},
		"the edge has other bytes": {view(fileURL, func(v *View) { v.SHA256 = otherSum }), Wrong, "serves other bytes"},
		"the edge has infected bytes": {func(e *Evidence) {
			e.Receipts[0].Sent = append(e.Receipts[0].Sent, Sending{SHA256: badSum, Class: infected, Accepted: true})
			view(fileURL, func(v *View) { v.SHA256 = badSum })(e)
		}, Leaked, "the edge serves the file that must become infected"},
		"the edge has nothing":        {view(fileURL, func(v *View) { v.Status = 404 }), Wrong, "the edge answers 404"},
		"not in the media bucket":     {func(e *Evidence) { e.Media = e.Media[1:] }, Wrong, "not in the media bucket"},
		"no renditions":               {func(e *Evidence) { show(goodID, func(s *Seen) { s.Variants = nil })(e); e.Media = e.Media[:1] }, Wrong, "no renditions"},
		"a rendition is missing":      {view(renditionURL, func(v *View) { v.Status = 404 }), Wrong, "the edge answers 404"},
		"a rendition of another size": {view(renditionURL, func(v *View) { v.Width = 20 }), Wrong, "shown as"},
		"another photo's rendition":   {view(renditionURL, func(v *View) { v.Colour = color.RGBA{B: 200, A: 255} }), Wrong, "of another photo"},
		"a sighting": {func(e *Evidence) {
			e.Sightings = []Sighting{{Upload: badID, URL: "http://edge/uploads/bad.jpg", SHA256: badSum, At: now}}
		}, Leaked, "could be read"},
		"an infected file in media": {inMedia(Object{Key: "uploads/bad.jpg", SHA256: badSum}), Leaked, "must become infected is in the media bucket"},
		"an old infected version in media": {func(e *Evidence) {
			e.Receipts[0].Sent = append(e.Receipts[0].Sent, Sending{SHA256: badSum, Class: infected, Unsure: true})
			inMedia(Object{Key: "uploads/good.jpg", SHA256: badSum})(e)
		}, Leaked, "is in the media bucket"},
		"a rendition of an infected file":    {inMedia(Object{Key: "thumbnails/bad/200.jpg"}), Leaked, "a rendition"},
		"other bytes in media":               {inMedia(Object{Key: "uploads/good.jpg", SHA256: otherSum}), Wrong, "other bytes than were scanned"},
		"another rendition in media":         {inMedia(Object{Key: "thumbnails/good/200.jpg", SHA256: otherSum}), Wrong, "not what viewers get"},
		"a size that nobody shows":           {inMedia(Object{Key: "thumbnails/good/999.jpg", SHA256: "rendition"}), Wrong, "not what viewers get"},
		"nobody's object in media":           {inMedia(Object{Key: "uploads/nobody.jpg"}), LeftOver, "no customer knows of it"},
		"a deleted file in media":            {inMedia(Object{Key: "uploads/gone.jpg", SHA256: otherSum}), LeftOver, "is in the media bucket"},
		"a delete marker in media":           {inMedia(Object{Key: "uploads/gone.jpg", Marker: true}), LeftOver, "delete marker"},
		"the original of a ready file":       {inIncoming(Object{Key: "uploads/good.jpg", SHA256: goodSum}), LeftOver, "its original"},
		"the original of a deleted file":     {inIncoming(Object{Key: "uploads/gone.jpg", SHA256: otherSum}), LeftOver, "its original"},
		"a rendition of a ready file":        {inIncoming(Object{Key: "thumbnails/good/200.jpg"}), LeftOver, "its rendition"},
		"a rendition of what was refused":    {inIncoming(Object{Key: "thumbnails/bad/200.jpg"}), LeftOver, "its rendition"},
		"nobody's object in incoming":        {inIncoming(Object{Key: "uploads/nobody.jpg"}), LeftOver, "no customer knows of it"},
		"a delete marker in incoming":        {inIncoming(Object{Key: "uploads/bad.jpg", Marker: true}), LeftOver, "delete marker"},
		"an unfinished multipart upload":     {func(e *Evidence) { e.Unfinished = []string{"uploads/idle.jpg"} }, LeftOver, "still open"},
		"never delivered":                    {func(e *Evidence) { e.Deliveries = slices.Delete(e.Deliveries, 2, 3) }, Untold, "nobody was told"},
		"refused only":                       {deliver(2, func(d *Delivery) { d.Accepted = false }), Untold, "nobody was told"},
		"another outcome was told":           {deliver(2, func(d *Delivery) { d.State = good }), Wrong, "which it never was"},
		"a false signature":                  {deliver(0, func(d *Delivery) { d.Genuine = false }), Wrong, "false signature"},
		"another hash was told":              {deliver(1, func(d *Delivery) { d.SHA256 = otherSum }), Wrong, "a webhook says that its SHA-256"},
		"another id at each try":             {deliver(0, func(d *Delivery) { d.WebhookID = "msg-0" }), Twice, "under 2 ids"},
		"another body under one id":          {deliver(0, func(d *Delivery) { d.Body = "b0" }), Twice, "under 2 ids"},
		"one id for two uploads":             {deliver(3, func(d *Delivery) { d.WebhookID = "msg-2" }), Twice, "has the id of one of upload bad"},
		"a stranger became ready":            {deliver(5, func(d *Delivery) { d.State = good }), Wrong, "nobody sent it"},
		"a step was made twice":              {show(badID, func(s *Seen) { s.History = steps("initiated", "uploaded", "verified", "uploaded", infected, infected) }), Twice, "became uploaded 2 times"},
		"a delivery was recorded twice":      {show(badID, func(s *Seen) { s.History = append(s.History, Step{Seq: 6, From: infected, To: infected}) }), Twice, "recorded as delivered 2 times"},
		"a step is missing from the history": {show(badID, func(s *Seen) { s.History[2].Seq = 9 }), Twice, "has the number 9"},
	} {
		t.Run(name, func(t *testing.T) {
			e := innocent()
			tc.forge(&e)
			found := Judge(e)
			if !slices.ContainsFunc(found, func(f Finding) bool { return f.Check == tc.check && strings.Contains(f.Detail, tc.says) }) {
				t.Errorf("%q was not found as %s: %+v", tc.says, tc.check, found)
			}
		})
	}
}

// What the customer cannot know for sure may end either way.
func TestDoubtIsAllowed(t *testing.T) {
	for name, tc := range map[string]struct {
		receipt Receipt
		states  []string
	}{
		"nothing sent":      {Receipt{}, []string{"expired"}},
		"answer lost":       {Receipt{Sent: []Sending{{Class: good, Unsure: true}}}, []string{good, "expired"}},
		"accepted":          {Receipt{Sent: []Sending{{Class: good, Accepted: true, Unsure: true}}}, []string{good}},
		"refused by S3":     {Receipt{Sent: []Sending{{Class: lying}}}, []string{"expired"}},
		"overwritten":       {Receipt{Sent: []Sending{{Class: good, Accepted: true}, {Class: infected, Unsure: true}}}, []string{good, infected}},
		"deleted":           {Receipt{Cancelled: true, Sent: []Sending{{Class: good, Accepted: true}}}, []string{"aborted", "deleted"}},
		"deletion unsure":   {Receipt{Cancelling: true, Sent: []Sending{{Class: good, Accepted: true}}}, []string{good, "aborted", "deleted"}},
		"idle, then delete": {Receipt{Cancelling: true}, []string{"expired", "aborted", "deleted"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.receipt.outcomes(); !slices.Equal(got, tc.states) {
				t.Errorf("got %v, want %v", got, tc.states)
			}
		})
	}
}

// Whoever still sends when the upload has its outcome leaves something behind that no event may ever tell of.
func TestWhatCameLateMayStay(t *testing.T) {
	for name, late := range map[string]bool{"before": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			e := innocent()
			sent := now.Add(-time.Minute)
			if late {
				sent = now.Add(time.Second)
			}
			e.Receipts[0].Sent = append(e.Receipts[0].Sent, Sending{SHA256: badSum, Class: infected, Accepted: true, LastTry: sent})
			e.Incoming = append(e.Incoming, Object{Key: "uploads/good.jpg", SHA256: badSum})
			if found := Judge(e); (len(found) == 0) != late {
				t.Errorf("found %+v", found)
			}
		})
	}
}
