package sqs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

const (
	contentType  = "application/x-amz-json-1.0"
	targetPrefix = "AmazonSQS."
	// maxRequestBytes leaves room for the largest batch with every character
	// escaped.
	maxRequestBytes = 4 << 20
)

// call is what an action knows of the request besides its input.
type call struct {
	baseURL string // of queue URLs
}

// action runs one action of the API on the JSON of its input.
type action func(ctx context.Context, s *Server, c call, input []byte) (any, error)

// empty is the output of actions that return nothing.
type empty struct{}

// typed makes an action of a method with typed input and output.
func typed[In, Out any](method func(*Server, context.Context, call, *In) (*Out, error)) action {
	return func(ctx context.Context, s *Server, c call, input []byte) (any, error) {
		in := new(In)
		if err := decodeInput(input, in); err != nil {
			return nil, err
		}
		return method(s, ctx, c, in)
	}
}

// actions is the table of what the server can do, by the name in X-Amz-Target.
func actions() map[string]action {
	return map[string]action{
		"CreateQueue":                  typed((*Server).createQueue),
		"DeleteQueue":                  typed((*Server).deleteQueue),
		"GetQueueUrl":                  typed((*Server).getQueueURL),
		"ListQueues":                   typed((*Server).listQueues),
		"ListDeadLetterSourceQueues":   typed((*Server).listDeadLetterSourceQueues),
		"GetQueueAttributes":           typed((*Server).getQueueAttributes),
		"SetQueueAttributes":           typed((*Server).setQueueAttributes),
		"PurgeQueue":                   typed((*Server).purgeQueue),
		"TagQueue":                     typed((*Server).tagQueue),
		"UntagQueue":                   typed((*Server).untagQueue),
		"ListQueueTags":                typed((*Server).listQueueTags),
		"SendMessage":                  typed((*Server).sendMessage),
		"SendMessageBatch":             typed((*Server).sendMessageBatch),
		"ReceiveMessage":               typed((*Server).receiveMessage),
		"DeleteMessage":                typed((*Server).deleteMessage),
		"DeleteMessageBatch":           typed((*Server).deleteMessageBatch),
		"ChangeMessageVisibility":      typed((*Server).changeMessageVisibility),
		"ChangeMessageVisibilityBatch": typed((*Server).changeMessageVisibilityBatch),
		"StartMessageMoveTask":         typed((*Server).startMessageMoveTask),
		"ListMessageMoveTasks":         typed((*Server).listMessageMoveTasks),
		"CancelMessageMoveTask":        typed((*Server).cancelMessageMoveTask),
		"AddPermission":                unsupported("AddPermission"),
		"RemovePermission":             unsupported("RemovePermission"),
	}
}

func unsupported(name string) action {
	return func(context.Context, *Server, call, []byte) (any, error) {
		return nil, errorf(codeUnsupportedOperation, "%s is not supported by this server", name)
	}
}

// ServeHTTP answers one request of the AWS JSON 1.0 protocol.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	requestID := uuid.NewString()
	target := r.Header.Get("X-Amz-Target")
	output, err := s.serve(w, r, target)
	if err != nil && r.Context().Err() != nil {
		return // the client has gone
	}
	w.Header().Set("X-Amzn-RequestId", requestID)
	status := http.StatusOK
	if err != nil {
		refusal := refusalOf(err)
		if refusal.Code == codeInternalFailure {
			s.logger.ErrorContext(r.Context(), "request failed", "target", target, "request_id", requestID, "error", err)
		}
		status = refusal.status()
		w.Header().Set("X-Amzn-Query-Error", refusal.queryError())
		output = map[string]string{"__type": "com.amazonaws.sqs#" + refusal.Code, "message": refusal.Message}
	}
	s.logger.LogAttrs(r.Context(), slog.LevelDebug, "request",
		slog.String("target", target), slog.Int("status", status), slog.Duration("took", time.Since(begun)), slog.String("request_id", requestID))
	s.write(r.Context(), w, status, output)
}

// serve checks the request and runs its action.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, target string) (any, error) {
	if s.closing.Err() != nil {
		return nil, errorf(codeServiceUnavailable, "the server is shutting down")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err != nil {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			return nil, errorf(codeRequestEntityTooLarge, "a request can have at most %d bytes", maxRequestBytes)
		}
		return nil, errorf(codeSerialization, "could not read the request: %v", err)
	}
	if err := s.verifier.verify(r, body, time.Now()); err != nil {
		return nil, err
	}
	name, ok := strings.CutPrefix(target, targetPrefix)
	run := s.actions[name]
	if !ok || run == nil || r.Method != http.MethodPost {
		return nil, errorf(codeInvalidAction, "the action %q is not valid: POST in the AWS JSON 1.0 protocol, with the action in X-Amz-Target", target)
	}
	base := s.config.BaseURL
	if base == "" {
		base = "http://" + r.Host
	}
	return run(r.Context(), s, call{baseURL: base}, body)
}

func (s *Server) write(ctx context.Context, w http.ResponseWriter, status int, output any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(output); err != nil {
		s.logger.ErrorContext(ctx, "could not encode an answer", "error", err)
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	if _, err := w.Write(body.Bytes()); err != nil {
		s.logger.DebugContext(ctx, "could not send an answer", "error", err)
	}
}

// decodeInput reads an action's input. Text that is not UTF-8 is refused
// rather than replaced.
func decodeInput(body []byte, into any) error {
	if !utf8.Valid(body) {
		return errorf(codeSerialization, "the request is not UTF-8")
	}
	if err := json.Unmarshal(body, into); err != nil {
		return errorf(codeSerialization, "the request is not the JSON of this action: %v", err)
	}
	return nil
}
