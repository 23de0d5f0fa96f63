package api

import (
	"fmt"
	"strconv"
	"strings"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// maxFaults bounds how many faulty parts one problem lists.
const maxFaults = 100

// checkListed checks the form of a client's list of parts.
func checkListed(u sagas.Upload, listed []storage.Part) error {
	var faults []v1.Fault
	last := 0
	for i, p := range listed {
		location := fmt.Sprintf("body.parts[%d].number", i)
		if p.Number < 1 || p.Number > u.Multipart.PartCount {
			faults = append(faults, v1.Fault{Location: location, Message: fmt.Sprintf("must be between 1 and %d", u.Multipart.PartCount), Value: p.Number})
		} else if p.Number <= last {
			return partOrder.faulty([]v1.Fault{{Location: location, Message: fmt.Sprintf("comes after %d", last), Value: p.Number}})
		}
		last = p.Number
	}
	if len(faults) > 0 {
		return invalid.faulty(faults[:min(len(faults), maxFaults)])
	}
	return nil
}

// checkStored compares the parts that S3 has with the plan and, where the client has listed any, with its list, whose
// form was checked. A file of any size, which was not declared, may have maxSize bytes.
func (s *server) checkStored(u sagas.Upload, stored, listed []storage.Part, maxSize int64) error {
	plan, has := planOf(u), map[int]storage.Part{}
	var misfits []v1.Fault
	var total int64
	for _, p := range stored {
		has[p.Number] = p
		total += p.Size
		_, size := plan.Part(p.Number)
		switch {
		case p.Number > u.Multipart.PartCount:
			misfits = append(misfits, fault(p.Number, "was not to be sent"))
		case plan.Size > 0 && p.Size != size:
			misfits = append(misfits, fault(p.Number, "has %d bytes instead of %d", p.Size, size))
		case plan.Size == 0 && p.Size < storage.MinPart && p.Number < u.Multipart.PartCount:
			misfits = append(misfits, fault(p.Number, "has %d bytes, but all parts except the last need at least %d", p.Size, storage.MinPart))
		}
	}
	var missing []int
	for number := 1; number <= u.Multipart.PartCount; number++ {
		if _, ok := has[number]; !ok {
			missing = append(missing, number)
		}
	}
	switch {
	case len(missing) > 0:
		return absent(missing, u.Multipart.PartCount, "is missing", "%d of %d parts are missing: %s.")
	case len(misfits) > 0:
		return partSizeMismatch.faulty(misfits[:min(len(misfits), maxFaults)])
	case total > maxSize && u.Declared.Size == 0:
		return tooLarge.because("Files may have at most %d bytes.", maxSize)
	case u.Declared.Size > 0 && total != u.Declared.Size:
		return partSizeMismatch.because("The parts have %d bytes together, and the file was to have %d.", total, u.Declared.Size)
	case len(listed) > 0:
		return compare(has, listed, u.Multipart.PartCount)
	}
	return nil
}

// compare holds a client's list against all the parts of the file.
func compare(has map[int]storage.Part, listed []storage.Part, count int) error {
	var unlisted []int
	var other []v1.Fault
	next := 1
	for _, p := range listed {
		for ; next < p.Number; next++ {
			unlisted = append(unlisted, next)
		}
		next++
		if etag := unquoted(has[p.Number].ETag); etag != unquoted(p.ETag) {
			other = append(other, fault(p.Number, "has the ETag %s in storage", etag))
		}
	}
	for ; next <= count; next++ {
		unlisted = append(unlisted, next)
	}
	switch {
	case len(unlisted) > 0:
		return absent(unlisted, count, "is not listed", "%d of %d parts are not listed: %s.")
	case len(other) > 0:
		return partETagMismatch.faulty(other[:min(len(other), maxFaults)])
	}
	return nil
}

// absent is the problem of parts that should be there; format takes how many there are, of how many, and which.
func absent(numbers []int, count int, message, format string) error {
	p := partsMissing.because(format, len(numbers), count, ranges(numbers))
	for _, number := range numbers[:min(len(numbers), maxFaults)] {
		p.Errors = append(p.Errors, fault(number, "%s", message))
	}
	return p
}

func fault(number int, format string, args ...any) v1.Fault {
	return v1.Fault{Location: fmt.Sprintf("part %d", number), Message: fmt.Sprintf(format, args...), Value: number}
}

// maxRanges bounds how many ranges a sentence lists.
const maxRanges = 20

// ranges spells ascending numbers: 1-3, 7, 9-12.
func ranges(numbers []int) string {
	var spelled []string
	for i := 0; i < len(numbers); {
		first := numbers[i]
		last := first
		for i++; i < len(numbers) && numbers[i] == last+1; i++ {
			last++
		}
		switch {
		case len(spelled) == maxRanges:
			return strings.Join(spelled, ", ") + " and more"
		case first == last:
			spelled = append(spelled, strconv.Itoa(first))
		default:
			spelled = append(spelled, fmt.Sprintf("%d-%d", first, last))
		}
	}
	return strings.Join(spelled, ", ")
}

func unquoted(etag string) string { return strings.Trim(etag, `"`) }

func quoted(etag string) string { return `"` + unquoted(etag) + `"` }
