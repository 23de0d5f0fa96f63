package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

const (
	maxMetadata     = 32   // entries
	maxMetadataText = 1024 // bytes in a value
)

var metadataName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// declaration is what a client says about a file, checked.
type declaration struct {
	filename   string
	content    sagas.Content
	method     sagas.Method
	partSHA256 bool
	partSize   int64 // bytes of each part but the last, where the client decides and says so; 0 otherwise
	metadata   map[string]string
}

// declared checks a request. All faults of form are reported at once; what is refused by policy has a code of
// its own.
func (s *server) declared(n v1.NewUpload, l limits) (declaration, error) {
	return s.checked(n, l, true)
}

// checked is declared for what may leave the size open, unless it is sized.
func (s *server) checked(n v1.NewUpload, l limits, sized bool) (declaration, error) {
	var faults []v1.Fault
	wrong := func(location, message string) {
		faults = append(faults, v1.Fault{Location: location, Message: message})
	}

	if message := checkFilename(n.Filename); message != "" {
		wrong("body.filename", message)
	}
	if sized && n.Size < 1 {
		wrong("body.size", "must be at least 1")
	}
	sum, ok := parseSHA256(n.SHA256)
	if !ok {
		wrong("body.sha256", "must be 64 hexadecimal digits or 32 bytes in padded base64")
	}
	if len(n.Metadata) > maxMetadata {
		wrong("body.metadata", "must have at most "+strconv.Itoa(maxMetadata)+" entries")
	}
	for name, value := range n.Metadata {
		if !metadataName.MatchString(name) {
			wrong("body.metadata", "names must be 1 to 64 letters, digits, dots, dashes and underscores")
		} else if len(value) > maxMetadataText || hasControl(value) {
			wrong("body.metadata."+name, "must be at most "+strconv.Itoa(maxMetadataText)+" bytes without control characters")
		}
	}
	if len(faults) > 0 {
		return declaration{}, invalid.faulty(faults)
	}

	if !slices.Contains(l.types, n.ContentType) {
		return declaration{}, typeNotAllowed.because("Only %s are accepted.", strings.Join(l.types, ", "))
	}
	if n.Size > l.maxSize {
		return declaration{}, tooLarge.because("Files may have at most %d bytes.", l.maxSize)
	}
	method, err := s.method(sagas.Method(n.Method), n.Size)
	if err != nil {
		return declaration{}, err
	}
	return declaration{
		filename:   n.Filename,
		content:    sagas.Content{Type: n.ContentType, Size: n.Size, SHA256: sum},
		method:     method,
		partSHA256: n.PartSHA256 && method == sagas.MethodMultipart,
		metadata:   n.Metadata,
	}, nil
}

// method is the one that was asked for, or the one that suits a file of size bytes. Either must be within what the
// storage can do.
func (s *server) method(asked sagas.Method, size int64) (sagas.Method, error) {
	switch asked {
	case sagas.MethodPut, sagas.MethodPost, sagas.MethodMultipart:
	case "":
		asked = sagas.MethodPut
		if size > s.config.MultipartThreshold {
			asked = sagas.MethodMultipart
		}
	default:
		return "", methodNotSupported.problem()
	}
	if !s.objects.Supports(asked) {
		return "", methodNotSupported.because("The storage behind this service does not take uploads by %s.", asked)
	}
	if asked != sagas.MethodMultipart && size > storage.MaxPut {
		return "", methodNotSupported.because("Only multipart takes a file of more than %d bytes.", storage.MaxPut)
	}
	return asked, nil
}

// parseSHA256 reads a digest in either of the two usual spellings; an empty string is no digest.
func parseSHA256(s string) (sum []byte, ok bool) {
	var err error
	switch len(s) {
	case 0:
		return nil, true
	case hex.EncodedLen(sha256.Size):
		sum, err = hex.DecodeString(s)
	case base64.StdEncoding.EncodedLen(sha256.Size):
		sum, err = base64.StdEncoding.Strict().DecodeString(s)
	default:
		return nil, false
	}
	return sum, err == nil && len(sum) == sha256.Size
}
