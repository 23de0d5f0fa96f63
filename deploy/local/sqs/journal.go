package sqs

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// The journal and the snapshots are sequences of frames: the length of the
// payload and its CRC-32C, four bytes each, little-endian, then the payload,
// a record in JSON.
const (
	frameHeader = 8
	// maxPayload bounds a record; a message of the largest size, all of it
	// escaped, is well below.
	maxPayload = 16 << 20
	// maxSpare is the largest buffer, in bytes, that is kept for later.
	maxSpare = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errJournalClosed is the failure of whatever is changed after Close.
var errJournalClosed = errors.New("the journal is closed")

// ticket is a place in the journal to wait for: the number of bytes appended
// until then.
type ticket uint64

// journal is the append-only file that every change of state goes to. Changes
// are appended to memory under the mutex of the queue that they change and
// written together by whoever waits first, so that one write serves all that
// came meanwhile. What has been written survives the process's death.
type journal struct {
	mu       sync.Mutex
	written  *sync.Cond // signals progress of done, and of writing
	file     *os.File
	pending  []byte // appended, not yet written
	spare    []byte // a buffer to swap pending with
	appended ticket
	done     ticket
	writing  bool
	err      error        // the first failure; nothing is written after it
	size     atomic.Int64 // bytes in the file
}

// newJournal returns a journal that must be started before the first append.
func newJournal() *journal {
	j := &journal{}
	j.written = sync.NewCond(&j.mu)
	return j
}

// start makes the journal append to a file that already has size bytes.
func (j *journal) start(file *os.File, size int64) {
	j.file = file
	j.size.Store(size)
}

// append adds a record. It is durable once commit has returned for the ticket.
func (j *journal) append(r record) ticket {
	payload, err := json.Marshal(r)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.fail(fmt.Errorf("encode record: %w", err))
		return j.appended
	}
	before := len(j.pending)
	j.pending = appendFrame(j.pending, payload)
	j.appended += ticket(len(j.pending) - before)
	return j.appended
}

// tail is the ticket of everything appended so far.
func (j *journal) tail() ticket {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.appended
}

// commit waits until everything up to the ticket is written, and writes it
// itself when nobody else is writing.
func (j *journal) commit(t ticket) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.commitLocked(t)
}

func (j *journal) commitLocked(t ticket) error {
	for j.done < t && j.err == nil {
		if j.writing {
			j.written.Wait()
			continue
		}
		j.writePending()
	}
	return j.err
}

// writePending writes what is pending, without holding the mutex meanwhile.
func (j *journal) writePending() {
	batch, upTo := j.pending, j.appended
	j.pending, j.spare = j.spare[:0], nil
	j.writing = true
	file := j.file
	j.mu.Unlock()
	_, err := file.Write(batch)
	j.mu.Lock()
	j.writing = false
	if cap(batch) <= maxSpare {
		j.spare = batch
	}
	if err != nil {
		j.fail(fmt.Errorf("write journal: %w", err))
	} else {
		j.done = upTo
		j.size.Add(int64(len(batch)))
	}
	j.written.Broadcast()
}

// fail makes every commit from now on return the error. A journal with a hole
// in it must not grow.
func (j *journal) fail(err error) {
	if j.err == nil {
		j.err = err
	}
}

// rotate finishes the file and goes on in the empty one that open makes. The
// caller keeps everybody else from appending.
func (j *journal) rotate(open func() (*os.File, error)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.commitLocked(j.appended); err != nil {
		return err
	}
	next, err := open()
	if err != nil {
		return err
	}
	previous := j.file
	j.file = next
	j.size.Store(0)
	if err := previous.Close(); err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}

// close writes what is left and closes the file.
func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.commitLocked(j.appended)
	if errors.Is(err, errJournalClosed) {
		return nil
	}
	j.fail(errJournalClosed)
	if closeErr := j.file.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("close journal: %w", closeErr))
	}
	return err
}

func appendFrame(b, payload []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(payload, castagnoli))
	return append(b, payload...)
}

// damageError says that a file cannot be read on from an offset.
type damageError struct {
	offset int64
	torn   bool // the damage is an unfinished write at the end of the file
	reason string
}

func (e *damageError) Error() string {
	return fmt.Sprintf("damaged at offset %d: %s", e.offset, e.reason)
}

// readFrames calls apply with each record of a file of the given size. It
// returns how many bytes it has read and, for what cannot be read, a
// *damageError.
func readFrames(r io.Reader, size int64, apply func(record) error) (int64, error) {
	reader := bufio.NewReaderSize(r, 1<<16)
	var (
		offset  int64
		header  [frameHeader]byte
		payload []byte
	)
	for offset < size {
		if size-offset < frameHeader {
			return offset, &damageError{offset, true, "incomplete frame"}
		}
		if _, err := io.ReadFull(reader, header[:]); err != nil {
			return offset, err
		}
		length := int64(binary.LittleEndian.Uint32(header[:]))
		end := offset + frameHeader + length
		switch {
		case end > size:
			return offset, &damageError{offset, true, "incomplete frame"}
		case length > maxPayload:
			return offset, &damageError{offset, false, "oversized frame"}
		}
		if int64(cap(payload)) < length {
			payload = make([]byte, length)
		}
		payload = payload[:length]
		if _, err := io.ReadFull(reader, payload); err != nil {
			return offset, err
		}
		if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(header[4:]) {
			return offset, &damageError{offset, end == size, "wrong checksum"}
		}
		rec, err := decodeRecord(payload)
		if err != nil {
			return offset, &damageError{offset, false, err.Error()}
		}
		if err := apply(rec); err != nil {
			return offset, &damageError{offset, false, err.Error()}
		}
		offset = end
	}
	return offset, nil
}
