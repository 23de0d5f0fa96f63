package sqs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

const (
	defaultMaxReceiveCount = 10
	maxMaxReceiveCount     = 1000
	maxSourceQueueARNs     = 10
)

// redrivePolicy says when a queue's messages go to which dead-letter queue.
type redrivePolicy struct {
	deadLetterARN   string
	maxReceiveCount int
}

// redrivePolicyJSON is the policy as clients write it; they send the number
// bare or in quotes.
type redrivePolicyJSON struct {
	DeadLetterTargetARN string      `json:"deadLetterTargetArn"`
	MaxReceiveCount     json.Number `json:"maxReceiveCount"`
}

func parseRedrivePolicy(value string) (*redrivePolicy, error) {
	var in redrivePolicyJSON
	if err := decodePolicy(value, &in); err != nil {
		return nil, err
	}
	if in.DeadLetterTargetARN == "" {
		return nil, errors.New("deadLetterTargetArn is mandatory")
	}
	policy := &redrivePolicy{deadLetterARN: in.DeadLetterTargetARN, maxReceiveCount: defaultMaxReceiveCount}
	if in.MaxReceiveCount != "" {
		n, err := strconv.Atoi(in.MaxReceiveCount.String())
		if err != nil || n < 1 || n > maxMaxReceiveCount {
			return nil, fmt.Errorf("maxReceiveCount must be a whole number from 1 to %d", maxMaxReceiveCount)
		}
		policy.maxReceiveCount = n
	}
	return policy, nil
}

// canonical is the policy's JSON, always in the same form.
func (p *redrivePolicy) canonical() (string, error) {
	return encodePolicy(redrivePolicyJSON{p.deadLetterARN, json.Number(strconv.Itoa(p.maxReceiveCount))})
}

// Values of redrivePermission.
const (
	redriveAllowAll = "allowAll"
	redriveDenyAll  = "denyAll"
	redriveByQueue  = "byQueue"
)

// redriveAllowPolicy says which queues may name a queue as their dead-letter
// queue.
type redriveAllowPolicy struct {
	Permission string   `json:"redrivePermission"`
	SourceARNs []string `json:"sourceQueueArns,omitempty"`
}

func parseRedriveAllowPolicy(value string) (*redriveAllowPolicy, error) {
	policy := &redriveAllowPolicy{}
	if err := decodePolicy(value, policy); err != nil {
		return nil, err
	}
	switch policy.Permission {
	case redriveAllowAll, redriveDenyAll:
		if len(policy.SourceARNs) > 0 {
			return nil, fmt.Errorf("sourceQueueArns needs the redrivePermission %s", redriveByQueue)
		}
	case redriveByQueue:
		if n := len(policy.SourceARNs); n < 1 || n > maxSourceQueueARNs {
			return nil, fmt.Errorf("sourceQueueArns must have 1 to %d queues", maxSourceQueueARNs)
		}
	default:
		return nil, fmt.Errorf("redrivePermission must be %s, %s or %s", redriveAllowAll, redriveDenyAll, redriveByQueue)
	}
	return policy, nil
}

// canonical is the policy's JSON, always in the same form.
func (p *redriveAllowPolicy) canonical() (string, error) { return encodePolicy(p) }

// allows tells whether the queue with the ARN may use this policy's queue as
// its dead-letter queue. A nil policy allows every queue.
func (p *redriveAllowPolicy) allows(sourceARN string) bool {
	if p == nil || p.Permission == redriveAllowAll {
		return true
	}
	return p.Permission == redriveByQueue && slices.Contains(p.SourceARNs, sourceARN)
}

func decodePolicy(value string, into any) error {
	decoder := json.NewDecoder(bytes.NewReader([]byte(value)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("malformed policy: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("malformed policy: text after the JSON object")
	}
	return nil
}

func encodePolicy(policy any) (string, error) {
	encoded, err := json.Marshal(policy)
	if err != nil {
		return "", fmt.Errorf("encode policy: %w", err)
	}
	return string(encoded), nil
}
