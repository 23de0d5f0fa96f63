package sqs

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
)

// Names of the queue attributes that can be set.
const (
	attrVisibilityTimeout      = "VisibilityTimeout"
	attrMaximumMessageSize     = "MaximumMessageSize"
	attrMessageRetentionPeriod = "MessageRetentionPeriod"
	attrDelaySeconds           = "DelaySeconds"
	attrReceiveWait            = "ReceiveMessageWaitTimeSeconds"
	attrPolicy                 = "Policy"
	attrRedrivePolicy          = "RedrivePolicy"
	attrRedriveAllowPolicy     = "RedriveAllowPolicy"
	attrManagedSSE             = "SqsManagedSseEnabled"
)

// Bounds of the protocol, times in seconds and sizes in bytes.
const (
	maxVisibilityTimeout = 12 * 60 * 60
	maxDelay             = 15 * 60
	maxReceiveWait       = 20
	maxMessageSize       = 256 << 10
)

// numericAttributes are the queue attributes that hold a whole number.
var numericAttributes = map[string]struct{ min, max, standard int }{
	attrVisibilityTimeout:      {0, maxVisibilityTimeout, 30},
	attrMaximumMessageSize:     {1 << 10, maxMessageSize, maxMessageSize},
	attrMessageRetentionPeriod: {60, 14 * 24 * 60 * 60, 4 * 24 * 60 * 60},
	attrDelaySeconds:           {0, maxDelay, 0},
	attrReceiveWait:            {0, maxReceiveWait, 0},
}

// settings are a queue's attributes that can be set. They are immutable:
// changing a queue's attributes makes new settings.
type settings struct {
	visibilityTimeout int // seconds
	maxMessageSize    int // bytes
	retention         int // seconds
	delay             int // seconds
	receiveWait       int // seconds
	redrive           *redrivePolicy
	redriveAllow      *redriveAllowPolicy

	// values are the attributes as clients see them: every number, and of the
	// others those that are set.
	values map[string]string
}

// newSettings returns the standard settings with the attributes on top.
func newSettings(attributes map[string]string) (*settings, error) {
	standard := &settings{values: make(map[string]string)}
	for name, bounds := range numericAttributes {
		standard.values[name] = strconv.Itoa(bounds.standard)
	}
	return standard.with(attributes)
}

// with returns the settings with some attributes changed. It returns
// InvalidAttributeName or InvalidAttributeValue for what a queue cannot have.
func (s *settings) with(attributes map[string]string) (*settings, error) {
	changed := &settings{values: maps.Clone(s.values)}
	for name, value := range attributes {
		canonical, err := canonicalAttribute(name, value)
		if err != nil {
			return nil, err
		}
		if canonical == "" {
			delete(changed.values, name)
			continue
		}
		changed.values[name] = canonical
	}
	changed.resolve()
	return changed, nil
}

// resolve fills the fields from the values, which are canonical.
func (s *settings) resolve() {
	number := func(name string) int {
		n, _ := strconv.Atoi(s.values[name])
		return n
	}
	s.visibilityTimeout = number(attrVisibilityTimeout)
	s.maxMessageSize = number(attrMaximumMessageSize)
	s.retention = number(attrMessageRetentionPeriod)
	s.delay = number(attrDelaySeconds)
	s.receiveWait = number(attrReceiveWait)
	if policy := s.values[attrRedrivePolicy]; policy != "" {
		s.redrive, _ = parseRedrivePolicy(policy)
	}
	if policy := s.values[attrRedriveAllowPolicy]; policy != "" {
		s.redriveAllow, _ = parseRedriveAllowPolicy(policy)
	}
}

// canonicalAttribute checks one attribute and returns its value in the one
// form that is stored and compared; "" means that the attribute is unset.
func canonicalAttribute(name, value string) (string, error) {
	if bounds, ok := numericAttributes[name]; ok {
		n, err := strconv.Atoi(value)
		if err != nil || n < bounds.min || n > bounds.max {
			return "", invalidAttributeValue(name, "it must be a whole number from %d to %d", bounds.min, bounds.max)
		}
		return strconv.Itoa(n), nil
	}
	switch name {
	case attrRedrivePolicy:
		if value == "" {
			return "", nil
		}
		policy, err := parseRedrivePolicy(value)
		if err != nil {
			return "", invalidAttributeValue(name, "%v", err)
		}
		return policy.canonical()
	case attrRedriveAllowPolicy:
		if value == "" {
			return "", nil
		}
		policy, err := parseRedriveAllowPolicy(value)
		if err != nil {
			return "", invalidAttributeValue(name, "%v", err)
		}
		return policy.canonical()
	case attrPolicy:
		if value != "" && !json.Valid([]byte(value)) {
			return "", invalidAttributeValue(name, "it must be a JSON document")
		}
		return value, nil
	case attrManagedSSE:
		enabled, err := strconv.ParseBool(value)
		if err != nil {
			return "", invalidAttributeValue(name, "it must be true or false")
		}
		return strconv.FormatBool(enabled), nil
	case "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit":
		return "", errorf(codeInvalidAttributeName, "FIFO queues are not supported by this server: unknown attribute %s", name)
	case "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds":
		return "", errorf(codeInvalidAttributeName, "encryption with KMS is not supported by this server: unknown attribute %s", name)
	default:
		return "", errorf(codeInvalidAttributeName, "unknown attribute %s", name)
	}
}

func invalidAttributeValue(name, format string, args ...any) error {
	return errorf(codeInvalidAttributeValue, "invalid value for the parameter %s: %s", name, fmt.Sprintf(format, args...))
}

// agreesWith tells whether the attributes of a CreateQueue are what the queue
// already has. Attributes that are not mentioned agree.
func (s *settings) agreesWith(attributes map[string]string) (bool, error) {
	for name, value := range attributes {
		canonical, err := canonicalAttribute(name, value)
		if err != nil {
			return false, err
		}
		if s.values[name] != canonical {
			return false, nil
		}
	}
	return true, nil
}
