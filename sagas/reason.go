package sagas

// Reason says why an upload left the line. The code is for programs, the detail for people.
type Reason struct {
	Code   Code
	Detail string
}

// Code is a bounded set: it labels metrics and is part of the API.
type Code string

// The codes, by the outcome they lead to.
const (
	// rejected
	EmptyFile        Code = "empty_file"
	TooLarge         Code = "too_large"
	SizeMismatch     Code = "size_mismatch"
	TypeMismatch     Code = "type_mismatch"
	TypeNotAllowed   Code = "type_not_allowed"
	ChecksumMismatch Code = "checksum_mismatch"
	Undecodable      Code = "undecodable"
	TooManyPixels    Code = "too_many_pixels"

	// infected
	Malware Code = "malware"

	// unscannable
	ScanLimit     Code = "scan_limit"
	ScanEncrypted Code = "scan_encrypted"
	ScanError     Code = "scan_error"

	// failed
	ObjectGone        Code = "object_gone"
	AttemptsExhausted Code = "attempts_exhausted"

	// expired, aborted, deleted
	NeverUploaded   Code = "never_uploaded"
	ClientAborted   Code = "client_aborted"
	OperatorAborted Code = "operator_aborted"
	ClientDeleted   Code = "client_deleted"
)
