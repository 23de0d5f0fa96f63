package sqs

import (
	"encoding/base64"
	"encoding/binary"
)

// receipt is what a receipt handle says: one lease of one message. A message
// that is received again gets a new lease, which makes older handles stale.
type receipt struct {
	queue uint64 // the queue's id
	seq   uint64 // the message's sequence number
	lease uint64 // random, of this receive
}

const receiptLength = 3 * 8

// handle writes the receipt in the opaque form that clients get.
func (r receipt) handle() string {
	raw := make([]byte, 0, receiptLength)
	raw = binary.BigEndian.AppendUint64(raw, r.queue)
	raw = binary.BigEndian.AppendUint64(raw, r.seq)
	raw = binary.BigEndian.AppendUint64(raw, r.lease)
	return base64.URLEncoding.EncodeToString(raw)
}

// parseReceipt reads a receipt handle of the queue with the given id. It
// returns ReceiptHandleIsInvalid for anything else.
func parseReceipt(handle string, queue uint64) (receipt, error) {
	raw, err := base64.URLEncoding.DecodeString(handle)
	var r receipt
	if err == nil && len(raw) == receiptLength {
		r = receipt{
			queue: binary.BigEndian.Uint64(raw),
			seq:   binary.BigEndian.Uint64(raw[8:]),
			lease: binary.BigEndian.Uint64(raw[16:]),
		}
	}
	if r.handle() != handle {
		return receipt{}, errorf(codeReceiptHandleIsInvalid, "the input receipt handle %q is not a valid receipt handle", handle)
	}
	if r.queue != queue {
		return receipt{}, errorf(codeReceiptHandleIsInvalid, "the input receipt handle %q is not from this queue", handle)
	}
	return r, nil
}
