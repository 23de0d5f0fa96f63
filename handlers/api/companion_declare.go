package api

import (
	"context"
	"maps"
	"strconv"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// What Uppy does not tell of a file unless the page adds it to the file's metadata.
const (
	sizeNote     = "size"      // bytes
	partSizeNote = "part_size" // bytes of each part but the last, for a page that has its own getChunkSize
)

// companionDeclaration is what Uppy says of a file, checked. Its notes repeat the name and the type, and may be null,
// which version 6 spells out in a query.
func (s *server) companionDeclaration(ctx context.Context, filename, contentType string, method sagas.Method, notes map[string]string) (declaration, error) {
	metadata := maps.Clone(notes)
	maps.DeleteFunc(metadata, func(name, value string) bool {
		return value == "null" || name == "name" && value == filename || name == "type" && value == contentType
	})
	n := v1.NewUpload{Filename: filename, ContentType: contentType, Method: string(method), Metadata: metadata}
	size, sized, err := taken(metadata, sizeNote)
	if err != nil {
		return declaration{}, err
	}
	partSize, cut, err := taken(metadata, partSizeNote)
	if err != nil {
		return declaration{}, err
	}
	if !sized && (cut || counted(ctx)) {
		return declaration{}, missingSize()
	}
	n.Size = size
	d, err := s.checked(n, callOf(ctx).limits, sized)
	if err != nil || method != sagas.MethodMultipart {
		return d, err
	}
	switch {
	case cut && (partSize < max(storage.MinPart, leastPart(size)) || partSize > storage.MaxPut):
		return d, invalid.faulty([]v1.Fault{{Location: "body.metadata." + partSizeNote, Message: "must be a size of parts that S3 takes"}})
	case cut:
		d.partSize = partSize
	case counted(ctx):
		d.partSize = max(storage.MinPart, leastPart(size)) // as Uppy does, if the page does not say
	}
	return d, nil
}

// counted says that it has to be known how many bytes an upload brings, because there is a limit to them. Then its parts
// are of known sizes, too: what is signed for them cannot be more than was declared.
func counted(ctx context.Context) bool {
	call := callOf(ctx)
	return call.principal.Pass != "" || call.limits.quota.Bytes > 0
}

func missingSize() error {
	return invalid.faulty([]v1.Fault{{Location: "body.metadata." + sizeNote, Message: "must be the file's size in bytes: they are counted here"}})
}

// leastPart is the least size of parts by which a file of size bytes has no more than S3 takes.
func leastPart(size int64) int64 { return (size + storage.MaxParts - 1) / storage.MaxParts }

// cut is how a file is sent in parts: as the client likes, unless their size is known.
func (d declaration) cut() sagas.Multipart {
	if d.partSize == 0 {
		return sagas.Multipart{PartCount: storage.MaxParts}
	}
	plan := storage.Parts{Total: d.content.Size, Size: d.partSize}
	return sagas.Multipart{PartSize: plan.Size, PartCount: plan.Count()}
}

// taken removes a note that is a number of bytes, if it is there.
func taken(notes map[string]string, name string) (value int64, ok bool, err error) {
	text, ok := notes[name]
	if !ok {
		return 0, false, nil
	}
	value, err = strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, true, invalid.faulty([]v1.Fault{{Location: "body.metadata." + name, Message: "must be a number of bytes"}})
	}
	delete(notes, name)
	return value, true, nil
}

// texts are the notes that are no more than a word; the others have no place in an upload's metadata.
func texts(notes map[string]any) map[string]string {
	all := map[string]string{}
	for name, note := range notes {
		switch v := note.(type) {
		case string:
			all[name] = v
		case bool:
			all[name] = strconv.FormatBool(v)
		case float64:
			all[name] = strconv.FormatFloat(v, 'f', -1, 64)
		}
	}
	return all
}
