package sqs

import (
	"errors"
	"fmt"
	"net/http"
)

// Error is a request that the server refused. The codes are the error shapes
// and common errors of the Amazon SQS API Reference, so that a client of the
// AWS SDK finds its own typed errors.
type Error struct {
	// Code is the shape's name, for example QueueDoesNotExist.
	Code string
	// Message explains the refusal to a person.
	Message string
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Codes that the actions use.
const (
	codeBatchEntryIDsNotDistinct   = "BatchEntryIdsNotDistinct"
	codeBatchRequestTooLong        = "BatchRequestTooLong"
	codeEmptyBatchRequest          = "EmptyBatchRequest"
	codeIncompleteSignature        = "IncompleteSignature"
	codeInternalFailure            = "InternalFailure"
	codeInvalidAction              = "InvalidAction"
	codeInvalidAddress             = "InvalidAddress"
	codeInvalidAttributeName       = "InvalidAttributeName"
	codeInvalidAttributeValue      = "InvalidAttributeValue"
	codeInvalidBatchEntryID        = "InvalidBatchEntryId"
	codeInvalidClientTokenID       = "InvalidClientTokenId"
	codeInvalidMessageContents     = "InvalidMessageContents"
	codeInvalidParameterValue      = "InvalidParameterValue"
	codeMessageNotInflight         = "MessageNotInflight"
	codeMissingAuthenticationToken = "MissingAuthenticationToken"
	codeMissingParameter           = "MissingParameter"
	codeOverLimit                  = "OverLimit"
	codePurgeQueueInProgress       = "PurgeQueueInProgress"
	codeQueueDoesNotExist          = "QueueDoesNotExist"
	codeQueueNameExists            = "QueueNameExists"
	codeReceiptHandleIsInvalid     = "ReceiptHandleIsInvalid"
	codeRequestEntityTooLarge      = "RequestEntityTooLarge"
	codeResourceNotFound           = "ResourceNotFoundException"
	codeSerialization              = "SerializationException"
	codeServiceUnavailable         = "ServiceUnavailable"
	codeSignatureDoesNotMatch      = "SignatureDoesNotMatch"
	codeTooManyEntriesInBatch      = "TooManyEntriesInBatchRequest"
	codeUnsupportedOperation       = "UnsupportedOperation"
)

// errorf makes an Error of the given code.
func errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// status is the HTTP status that the service model gives the error's shape.
func (e *Error) status() int {
	switch e.Code {
	case codeIncompleteSignature, codeInvalidClientTokenID, codeMissingAuthenticationToken,
		codeOverLimit, codePurgeQueueInProgress, codeSignatureDoesNotMatch:
		return http.StatusForbidden
	case codeInvalidAddress, codeReceiptHandleIsInvalid, codeResourceNotFound:
		return http.StatusNotFound
	case codeRequestEntityTooLarge:
		return http.StatusRequestEntityTooLarge
	case codeServiceUnavailable:
		return http.StatusServiceUnavailable
	case codeInternalFailure:
		return http.StatusInternalServerError
	default:
		return http.StatusBadRequest
	}
}

// refusalOf returns the Error in err, or an InternalFailure that keeps what
// happened inside the server from its clients.
func refusalOf(err error) *Error {
	if refusal := new(Error); errors.As(err, &refusal) {
		return refusal
	}
	if errors.Is(err, errJournalClosed) {
		return errorf(codeServiceUnavailable, "the server is shutting down")
	}
	return errorf(codeInternalFailure, "the request failed inside the server, whose log has the reason")
}

// Whose fault an error is, in the words of the Query protocol.
const (
	faultSender   = "Sender"
	faultReceiver = "Receiver"
)

// fault tells whose fault the error is.
func (e *Error) fault() string {
	if e.status() >= http.StatusInternalServerError {
		return faultReceiver
	}
	return faultSender
}

// queryError is the value of the x-amzn-query-error header: the code that the
// older Query protocol had for the error, which SDKs still show to callers.
func (e *Error) queryError() string {
	code := e.Code
	switch e.Code {
	case codeBatchEntryIDsNotDistinct, codeBatchRequestTooLong, codeEmptyBatchRequest, codeInvalidBatchEntryID,
		codeMessageNotInflight, codePurgeQueueInProgress, codeTooManyEntriesInBatch, codeUnsupportedOperation:
		code = "AWS.SimpleQueueService." + e.Code
	case codeQueueDoesNotExist:
		code = "AWS.SimpleQueueService.NonExistentQueue"
	case codeQueueNameExists:
		code = "QueueAlreadyExists"
	}
	return code + ";" + e.fault()
}
