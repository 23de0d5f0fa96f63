package storage

import "fmt"

// The limits of a multipart upload, in bytes.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
const (
	MaxPut    int64 = 5 << 30 // one PUT, POST or part
	MinPart   int64 = 5 << 20 // every part but the last
	MaxObject int64 = 5 << 40
	MaxParts        = 10_000
)

const (
	usualPart = 8 << 20  // up to largeFile
	largePart = 16 << 20 // beyond
	largeFile = 8 << 30
	partStep  = 1 << 20 // larger parts are a multiple of this
)

// Parts is how a file is cut: all parts of the same size, only the last one may be smaller. Part numbers start at 1.
type Parts struct {
	Total int64 // bytes of the file
	Size  int64 // bytes of each part but the last
}

// PlanParts cuts a file of so many bytes. Parts are of 8 MiB, of 16 MiB in a file beyond 8 GiB, and larger only where
// 10,000 of them would not do.
func PlanParts(total int64) (Parts, error) {
	if total <= 0 || total > MaxObject {
		return Parts{}, fmt.Errorf("a file of %d bytes cannot be uploaded in parts: 1 to %d can", total, MaxObject)
	}
	size := int64(usualPart)
	if total > largeFile {
		size = max(largePart, leastPart(total))
	}
	return Parts{Total: total, Size: size}, nil
}

// leastPart is the smallest part size, in whole steps, by which a file has no more parts than S3 allows.
func leastPart(total int64) int64 { return roundUp(total, MaxParts*partStep) / MaxParts }

func roundUp(n, step int64) int64 { return (n + step - 1) / step * step }

// Count is the number of parts.
func (p Parts) Count() int { return int(roundUp(p.Total, p.Size) / p.Size) }

// Has reports whether there is a part of that number.
func (p Parts) Has(number int) bool { return number >= 1 && number <= p.Count() }

// Part returns where in the file a part begins and how many bytes it has.
func (p Parts) Part(number int) (offset, size int64) {
	offset = int64(number-1) * p.Size
	return offset, min(p.Size, p.Total-offset)
}
