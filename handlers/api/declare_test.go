package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// with makes a declaration with one member replaced.
func with(name, value string) string {
	all := map[string]string{"filename": `"a.jpg"`, "content_type": `"image/jpeg"`, "size": "7"}
	all[name] = value
	var members []string
	for n, v := range all {
		if v != "" {
			members = append(members, fmt.Sprintf("%q:%s", n, v))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

func TestBadDeclarations(t *testing.T) {
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.MaxSize = 1000 })
	var entries []string
	for i := range 33 {
		entries = append(entries, fmt.Sprintf(`"k%d":"v"`, i))
	}
	for name, c := range map[string]struct {
		body     string
		status   int
		code     string
		location string
	}{
		"nothing":                 {``, 400, "invalid_request", ""},
		"half":                    {`{"filename"`, 400, "invalid_request", "body"},
		"twice":                   {with("size", "7") + with("size", "7"), 400, "invalid_request", "body"},
		"not UTF-8":               {with("filename", "\"\xff\""), 400, "invalid_request", "body"},
		"null":                    {`null`, 422, "invalid_request", "body"},
		"list":                    {`[]`, 422, "invalid_request", "body"},
		"string":                  {`"x"`, 422, "invalid_request", "body"},
		"unknown member":          {with("surprise", `1`), 422, "invalid_request", "body.surprise"},
		"no filename":             {with("filename", ""), 422, "invalid_request", "body"},
		"null filename":           {with("filename", "null"), 422, "invalid_request", "body.filename"},
		"filename of number":      {with("filename", "7"), 422, "invalid_request", "body.filename"},
		"empty filename":          {with("filename", `""`), 422, "invalid_request", "body.filename"},
		"blank filename":          {with("filename", `"  "`), 422, "invalid_request", "body.filename"},
		"filename with NUL":       {with("filename", `"a\u0000.jpg"`), 422, "invalid_request", "body.filename"},
		"filename with newline":   {with("filename", `"a\n.jpg"`), 422, "invalid_request", "body.filename"},
		"filename with DEL":       {with("filename", `"a\u007f.jpg"`), 422, "invalid_request", "body.filename"},
		"long filename":           {with("filename", `"`+strings.Repeat("a", 1025)+`"`), 422, "invalid_request", "body.filename"},
		"long in bytes only":      {with("filename", `"`+strings.Repeat("ü", 513)+`"`), 422, "invalid_request", "body.filename"},
		"no type":                 {with("content_type", ""), 422, "invalid_request", "body"},
		"other type":              {with("content_type", `"text/html"`), 422, "type_not_allowed", ""},
		"empty type":              {with("content_type", `""`), 422, "type_not_allowed", ""},
		"type with parameter":     {with("content_type", `"image/jpeg; charset=utf-8"`), 422, "type_not_allowed", ""},
		"type with newline":       {with("content_type", `"image/jpeg\r\nX-Evil: 1"`), 422, "type_not_allowed", ""},
		"no size":                 {with("size", ""), 422, "invalid_request", "body"},
		"size of null":            {with("size", "null"), 422, "invalid_request", "body.size"},
		"size of string":          {with("size", `"7"`), 422, "invalid_request", "body.size"},
		"size zero":               {with("size", "0"), 422, "invalid_request", "body.size"},
		"negative size":           {with("size", "-1"), 422, "invalid_request", "body.size"},
		"size and a half":         {with("size", "7.5"), 422, "invalid_request", "body.size"},
		"size as a float":         {with("size", "7.0"), 422, "invalid_request", "body"},
		"size with an exponent":   {with("size", "1e2"), 422, "invalid_request", "body"},
		"size 2^63":               {with("size", "9223372036854775808"), 422, "invalid_request", "body.size"},
		"size beyond float":       {with("size", "1e999"), 400, "invalid_request", "body"},
		"name in another case":    {`{"filename":"a","content_type":"image/jpeg","SIZE":7}`, 422, "invalid_request", "body.SIZE"},
		"other case, other size":  {`{"filename":"a","content_type":"image/jpeg","size":7,"SIZE":8}`, 422, "invalid_request", "body.SIZE"},
		"size twice":              {`{"filename":"a","content_type":"image/jpeg","size":7,"size":8}`, 400, "invalid_request", "body"},
		"size twice, escaped":     {`{"filename":"a","content_type":"image/jpeg","size":7,"\u0073ize":7}`, 400, "invalid_request", "body"},
		"twice in the metadata":   {with("metadata", `{"a":"1","a":"2"}`), 400, "invalid_request", "body"},
		"twice where unknown":     {with("surprise", `{"a":1,"a":1}`), 400, "invalid_request", "body"},
		"something after it":      {with("size", "7") + "x", 400, "invalid_request", "body"},
		"a NUL after it":          {with("size", "7") + "\x00", 400, "invalid_request", "body"},
		"byte order mark":         {"\ufeff" + with("size", "7"), 400, "invalid_request", "body"},
		"UTF-16":                  {"{\x00}\x00", 400, "invalid_request", "body"},
		"lone surrogate":          {with("filename", `"\ud800.jpg"`), 400, "invalid_request", "body"},
		"lone surrogate, noted":   {with("metadata", `{"a":"\udc00"}`), 400, "invalid_request", "body"},
		"overlong UTF-8":          {with("filename", "\"\xc0\xaf\""), 400, "invalid_request", "body"},
		"comment":                 {with("size", "7/**/"), 400, "invalid_request", "body"},
		"leading zero":            {with("size", "07"), 400, "invalid_request", "body"},
		"hexadecimal size":        {with("size", "0x7"), 400, "invalid_request", "body"},
		"not a number":            {with("size", "NaN"), 400, "invalid_request", "body"},
		"deep":                    {with("filename", strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)), 400, "invalid_request", "body"},
		"not quite as deep":       {with("filename", strings.Repeat("[", 9_000)+strings.Repeat("]", 9_000)), 422, "invalid_request", "body.filename"},
		"size 2^63-1":             {with("size", "9223372036854775807"), 422, "invalid_request", "body.size"},
		"size of -2^63":           {with("size", "-9223372036854775808"), 422, "invalid_request", "body.size"},
		"size minus zero":         {with("size", "-0"), 422, "invalid_request", "body.size"},
		"size of truth":           {with("size", "true"), 422, "invalid_request", "body.size"},
		"4 KiB of filename":       {with("filename", `"`+strings.Repeat("a", 4096)+`"`), 422, "invalid_request", "body.filename"},
		"filename above":          {with("filename", `"../../etc/passwd"`), 422, "invalid_request", "body.filename"},
		"filename above, Windows": {with("filename", `"a\\..\\b.jpg"`), 422, "invalid_request", "body.filename"},
		"filename overridden":     {with("filename", `"a\u202egpj.exe"`), 422, "invalid_request", "body.filename"},
		"filename isolated":       {with("filename", `"a\u2067gpj.exe"`), 422, "invalid_request", "body.filename"},
		"size above the limit":    {with("size", "1001"), 413, "too_large", ""},
		"short sha256":            {with("sha256", `"abcd"`), 422, "invalid_request", "body.sha256"},
		"sha256 not hex":          {with("sha256", `"`+strings.Repeat("g", 64)+`"`), 422, "invalid_request", "body.sha256"},
		"sha256 not base64":       {with("sha256", `"`+strings.Repeat("!", 44)+`"`), 422, "invalid_request", "body.sha256"},
		"long sha256":             {with("sha256", `"`+strings.Repeat("a", 66)+`"`), 422, "invalid_request", "body.sha256"},
		"other method":            {with("method", `"tus"`), 422, "method_not_supported", ""},
		"method of other case":    {with("method", `"PUT"`), 422, "method_not_supported", ""},
		"part_sha256 of string":   {with("part_sha256", `"yes"`), 422, "invalid_request", "body.part_sha256"},
		"metadata of list":        {with("metadata", `["a"]`), 422, "invalid_request", "body.metadata"},
		"metadata of numbers":     {with("metadata", `{"a":1}`), 422, "invalid_request", "body.metadata.a"},
		"metadata without end":    {with("metadata", `{`+strings.Join(entries, ",")+`}`), 422, "invalid_request", "body.metadata"},
		"metadata, empty name":    {with("metadata", `{"":"v"}`), 422, "invalid_request", "body.metadata"},
		"metadata, NUL in a name": {with("metadata", `{"a\u0000":"v"}`), 422, "invalid_request", "body.metadata"},
		"metadata, NUL":           {with("metadata", `{"a":"\u0000"}`), 422, "invalid_request", "body.metadata.a"},
		"metadata, long value":    {with("metadata", `{"a":"`+strings.Repeat("v", 1025)+`"}`), 422, "invalid_request", "body.metadata.a"},
		"body above the limit":    {with("filename", `"`+strings.Repeat("a", maxBody)+`"`), 413, "body_too_large", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := wantProblem(t, b.call("POST", "/v1/uploads", c.body, b.as(b.token)...), c.status, c.code)
			if c.location == "" {
				return
			}
			for _, fault := range p.Errors {
				if fault.Location == c.location && fault.Message != "" {
					return
				}
			}
			t.Errorf("no fault at %s: %+v", c.location, p.Errors)
		})
	}
	if n := b.count(); n != 0 {
		t.Errorf("%d uploads were begun by bad requests", n)
	}
}

func TestGoodDeclarations(t *testing.T) {
	b := newTestBundle(t)
	for name, body := range map[string]string{
		"largest body":     with("filename", `"a"`) + strings.Repeat(" ", maxBody-len(with("filename", `"a"`))),
		"longest filename": with("filename", `"`+strings.Repeat("ü", 512)+`"`),
		"path as filename": with("filename", `"holiday/day..1/..a.jpg"`),
		"right to left":    with("filename", `"\u05ea\u05de\u05d5\u05e0\u05d4.jpg"`),
		"largest size":     with("size", "5497558138880"),
		"part_sha256":      with("part_sha256", "true"),
		"sha256 in hex":    with("sha256", `"`+strings.Repeat("aB", 32)+`"`),
		"sha256 in base64": with("sha256", `"`+strings.Repeat("A", 43)+`="`),
		"method":           with("method", `"put"`),
		"metadata":         with("metadata", `{"album.title_1-x":"<b>ü</b>"}`),
		"null for default": with("metadata", `null`),
	} {
		t.Run(name, func(t *testing.T) {
			if res := b.call("POST", "/v1/uploads", body, b.as(b.token)...); res.status != http.StatusCreated {
				t.Errorf("%d %s", res.status, res.body)
			}
		})
	}
}

func TestFaultsComeAllAtOnce(t *testing.T) {
	b := newTestBundle(t)
	body := `{"filename":" ","content_type":"image/jpeg","size":7,"sha256":"x","metadata":{"a":"\u0000"}}`
	p := wantProblem(t, b.call("POST", "/v1/uploads", body, b.as(b.token)...), http.StatusUnprocessableEntity, "invalid_request")
	if len(p.Errors) != 3 {
		t.Errorf("faults %+v", p.Errors)
	}
}

func FuzzParseSHA256(f *testing.F) {
	f.Add("")
	f.Add(strings.Repeat("a", 64))
	f.Add(strings.Repeat("A", 43) + "=")
	f.Add(strings.Repeat("A", 40) + "\r\n==")
	f.Fuzz(func(t *testing.T, s string) {
		sum, ok := parseSHA256(s)
		if ok && s != "" && len(sum) != 32 || s == "" && (sum != nil || !ok) {
			t.Errorf("%q is %x, %t", s, sum, ok)
		}
	})
}

// Whatever is declared, what is accepted fits the database, a key and a header.
func FuzzDeclared(f *testing.F) {
	f.Add("a.jpg", "image/jpeg", int64(7), "", "", "album", "x")
	f.Add("\x00", "image/jpeg\r\n", int64(-1), "zz", "post", "", "\x00")
	s := &server{config: testConfig(), objects: storage.New(anonymous(), storage.Config{IncomingBucket: "i", MediaBucket: "m"})}
	f.Fuzz(func(t *testing.T, filename, contentType string, size int64, sum, method, name, value string) {
		d, err := s.declared(v1.NewUpload{
			Filename: filename, ContentType: contentType, Size: size, SHA256: sum, Method: method,
			Metadata: map[string]string{name: value},
		}, newTenants(s.config, nil).defaults)
		if err != nil {
			return
		}
		if extensions[d.content.Type] == "" || d.content.Size < 1 || d.content.Size > storage.MaxObject ||
			d.method != sagas.MethodMultipart && d.content.Size > storage.MaxPut {
			t.Errorf("accepted %+v", d)
		}
		for _, text := range []string{d.filename, name, value} {
			if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\r\n") {
				t.Errorf("accepted %q", text)
			}
		}
	})
}

func FuzzIfNoneMatch(f *testing.F) {
	f.Add(`"1"`)
	f.Add(`W/"1", *`)
	f.Fuzz(func(t *testing.T, header string) {
		if matches(header, `"1"`) && !strings.Contains(header, `"1"`) && !strings.Contains(header, "*") {
			t.Errorf("%q matches", header)
		}
	})
}
