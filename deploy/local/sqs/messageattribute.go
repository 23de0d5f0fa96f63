package sqs

import (
	"crypto/md5" // #nosec G501 -- the protocol's checksum, not a safeguard
	"encoding/binary"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	maxMessageAttributes   = 10
	maxAttributeNameLength = 256
	// traceHeader is the one system attribute that a sender may set.
	traceHeader = "AWSTraceHeader"
)

// attributeValue is one message attribute as it is sent and received. Its
// value is StringValue for the types String and Number, BinaryValue for Binary.
type attributeValue struct {
	DataType    string  `json:"DataType"`
	StringValue *string `json:"StringValue,omitempty"`
	BinaryValue []byte  `json:"BinaryValue,omitempty"`
	// The lists are in the protocol but no server has ever accepted them.
	StringListValues []string `json:"StringListValues,omitempty"`
	BinaryListValues [][]byte `json:"BinaryListValues,omitempty"`
}

var attributeNamePattern = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// checkAttributes applies the rules for message attributes in the Amazon SQS
// Developer Guide ("Amazon SQS message metadata").
func checkAttributes(attributes map[string]attributeValue) error {
	if len(attributes) > maxMessageAttributes {
		return errorf(codeInvalidParameterValue, "number of message attributes [%d] exceeds the allowed maximum [%d]", len(attributes), maxMessageAttributes)
	}
	for name, value := range attributes {
		lower := strings.ToLower(name)
		if len(name) > maxAttributeNameLength || !attributeNamePattern.MatchString(name) ||
			strings.HasPrefix(lower, "aws.") || strings.HasPrefix(lower, "amazon.") {
			return errorf(codeInvalidParameterValue, "the message attribute name %q is invalid", name)
		}
		if err := value.check(name); err != nil {
			return err
		}
	}
	return nil
}

func (v attributeValue) check(name string) error {
	if len(v.StringListValues) > 0 || len(v.BinaryListValues) > 0 {
		return errorf(codeUnsupportedOperation, "message attribute list values in %q are not supported", name)
	}
	kind, _, _ := strings.Cut(v.DataType, ".")
	if len(v.DataType) > maxAttributeNameLength {
		return errorf(codeInvalidParameterValue, "the type of message attribute %q is too long", name)
	}
	switch kind {
	case "String", "Number":
		if v.StringValue == nil || *v.StringValue == "" || v.BinaryValue != nil {
			return errorf(codeInvalidParameterValue, "message attribute %q of type %s must have a StringValue alone", name, v.DataType)
		}
		if !validText(*v.StringValue) {
			return errorf(codeInvalidParameterValue, "message attribute %q contains characters that are not allowed", name)
		}
		if _, err := strconv.ParseFloat(*v.StringValue, 64); kind == "Number" && err != nil {
			return errorf(codeInvalidParameterValue, "can't cast the value of message attribute %q to a number", name)
		}
	case "Binary":
		if len(v.BinaryValue) == 0 || v.StringValue != nil {
			return errorf(codeInvalidParameterValue, "message attribute %q of type %s must have a BinaryValue alone", name, v.DataType)
		}
	default:
		return errorf(codeInvalidParameterValue, "the type of message attribute %q must begin with String, Number or Binary, not %q", name, v.DataType)
	}
	return nil
}

// size is the number of bytes that the attribute adds to its message.
func (v attributeValue) size() int {
	n := len(v.DataType) + len(v.BinaryValue)
	if v.StringValue != nil {
		n += len(*v.StringValue)
	}
	return n
}

// validText tells whether a string has only the characters that a message may:
// those of XML 1.0.
func validText(s string) bool {
	for _, r := range s {
		switch {
		case r == '\t', r == '\n', r == '\r':
		case r >= 0x20 && r <= 0xD7FF, r >= 0xE000 && r <= 0xFFFD, r >= 0x10000 && r <= 0x10FFFF:
		default:
			return false
		}
	}
	return true
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s)) // #nosec G401 -- the protocol's checksum
	return hex.EncodeToString(sum[:])
}

// md5OfAttributes is the digest of message attributes that clients check, or
// "" when there are none. The Developer Guide gives the form: in order of
// names, each with its length before it, the name, the type, one byte for the
// kind of value, and the value.
func md5OfAttributes(attributes map[string]attributeValue) string {
	if len(attributes) == 0 {
		return ""
	}
	const stringKind, binaryKind = 1, 2
	var b []byte
	field := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		value := attributes[name]
		field(name)
		field(value.DataType)
		if value.StringValue != nil {
			b = append(b, stringKind)
			field(*value.StringValue)
		} else {
			b = append(b, binaryKind)
			field(string(value.BinaryValue))
		}
	}
	return md5Hex(string(b))
}

// selectAttributes returns the attributes that the names of a ReceiveMessage
// ask for: exact names, "prefix.*", or everything by "All" or ".*".
func selectAttributes(attributes map[string]attributeValue, names []string) map[string]attributeValue {
	selected := make(map[string]attributeValue)
	for name, value := range attributes {
		if slices.ContainsFunc(names, func(pattern string) bool { return attributeMatches(pattern, name) }) {
			selected[name] = value
		}
	}
	return selected
}

func attributeMatches(pattern, name string) bool {
	if pattern == "All" || pattern == ".*" || pattern == name {
		return true
	}
	prefix, ok := strings.CutSuffix(pattern, ".*")
	return ok && (name == prefix || strings.HasPrefix(name, prefix+"."))
}
