package chaos

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// published judges one object of the media bucket, where everything can be read.
func (j *judge) published(o Object) {
	r, isFile := j.byKey[o.Key]
	if id, ok := renditionOf(o.Key); ok && !isFile {
		r = j.byID[id]
	}
	seen := j.e.Shown[r.ID]
	sent, known := r.sent(o.SHA256)
	switch {
	case r.ID == "":
		j.find(LeftOver, "", "%s is in the media bucket, and no customer knows of it", o.Key)
	case o.Marker:
		j.find(LeftOver, r.ID, "a delete marker of %s is in the media bucket", o.Key)
	case isFile && known && sent.Class != good:
		j.find(Leaked, r.ID, "the file that must become %s is in the media bucket", sent.Class)
	case !isFile && !r.harmless():
		j.find(Leaked, r.ID, "a rendition, %s, is in the media bucket", o.Key)
	case seen.State != good:
		j.find(LeftOver, r.ID, "it is %s, and %s is in the media bucket", seen.State, o.Key)
	case isFile && o.SHA256 != seen.SHA256:
		j.find(Wrong, r.ID, "the media bucket has other bytes than were scanned")
	case !isFile && !j.isShown(seen, o):
		j.find(Wrong, r.ID, "the media bucket has %s, which is not what viewers get as a rendition", o.Key)
	}
}

// isShown tells that a rendition is one that the API shows, with the bytes that viewers get.
func (j *judge) isShown(seen Seen, o Object) bool {
	for _, v := range seen.Variants {
		if strings.HasSuffix(v.URL, "/"+o.Key) {
			return j.e.Viewed[v.URL].SHA256 == o.SHA256
		}
	}
	return false
}

// kept judges one object of the incoming bucket. What became ready is no longer needed there, and what was given up
// neither; the original of what was refused is kept for the operator. What a customer sent after the outcome may lie
// there until the bucket's own rules remove it: nobody is told of it.
func (j *judge) kept(o Object) {
	r, isOriginal := j.byKey[o.Key]
	if id, ok := renditionOf(o.Key); ok && !isOriginal {
		r = j.byID[id]
	}
	seen := j.e.Shown[r.ID]
	switch {
	case r.ID == "":
		j.find(LeftOver, "", "%s is in the incoming bucket, and no customer knows of it", o.Key)
	case o.Marker:
		j.find(LeftOver, r.ID, "a delete marker of %s is in the incoming bucket", o.Key)
	case !isOriginal:
		j.find(LeftOver, r.ID, "it is %s, and its rendition %s is in the incoming bucket", seen.State, o.Key)
	case refused(seen.State) || cameLate(r, seen, o):
	default:
		j.find(LeftOver, r.ID, "it is %s, and its original is in the incoming bucket", seen.State)
	}
}

func refused(state string) bool {
	return slices.Contains([]string{"rejected", "infected", "unscannable", failed}, state)
}

// cameLate tells that the customer was still sending these bytes when the upload had its outcome.
func cameLate(r Receipt, seen Seen, o Object) bool {
	return slices.ContainsFunc(r.Sent, func(s Sending) bool {
		return s.SHA256 == o.SHA256 && s.LastTry.After(outcomeAt(seen))
	})
}

// outcomeAt is when the upload had its outcome.
func outcomeAt(seen Seen) time.Time {
	for _, step := range seen.History {
		if settled(step.To) {
			return step.FinishedAt
		}
	}
	return time.Time{}
}

// renditionOf reads the upload's id from the key of a rendition.
func renditionOf(key string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(key, "thumbnails/")
	id, _, found := strings.Cut(rest, "/")
	return id, ok && found
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
