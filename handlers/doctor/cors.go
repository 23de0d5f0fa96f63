package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// corsFix is the rule that browsers need.
const corsFix = "add a CORS rule to the bucket: AllowedOrigins as in SLUICE_ALLOWED_ORIGINS, AllowedMethods PUT, POST, GET, HEAD; AllowedHeaders *; ExposeHeaders ETag"

// checkOrigins asks S3 what a browser asks before it uploads, for each origin, and whether the answer to the upload
// let the page see its ETag, which it needs to complete a multipart upload.
func (d *Doctor) checkOrigins(ctx context.Context, p *probe) []Finding {
	const check = "CORS"
	if len(d.config.AllowedOrigins) == 0 {
		return []Finding{ok(check, "not checked: SLUICE_ALLOWED_ORIGINS names no origin whose pages may upload")}
	}
	if p.answer == nil {
		return []Finding{warn(check, "run this where SLUICE_S3_PUBLIC_ENDPOINT can be reached", "not checked: clients' endpoint cannot be reached from here")}
	}
	var refusals []error
	for _, origin := range d.config.AllowedOrigins {
		if err := d.preflight(ctx, p, origin); err != nil {
			refusals = append(refusals, fmt.Errorf("%s: %w", origin, err))
		}
	}
	findings := []Finding{ok(check, "%d origins may upload", len(d.config.AllowedOrigins))}
	if len(refusals) > 0 {
		findings[0] = broken(check, corsFix, errors.Join(refusals...))
	}
	if !lists(p.answer, "Access-Control-Expose-Headers", "ETag") {
		return append(findings, fail("CORS, ETag", corsFix, "pages cannot see the ETag of what they upload: parts could not be completed"))
	}
	return append(findings, ok("CORS, ETag", "pages can see it"))
}

// preflight is the CORS-preflight request of the Fetch standard.
func (d *Doctor) preflight(ctx context.Context, p *probe, origin string) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodOptions, p.permitted.URL, nil)
	if err != nil {
		return err
	}
	var asked []string
	for _, name := range slices.Sorted(maps.Keys(p.permitted.Headers)) {
		if name != "Content-Length" { // the browser's own
			asked = append(asked, strings.ToLower(name))
		}
	}
	req.Header.Set("Origin", origin)
	req.Header.Set("Access-Control-Request-Method", p.permitted.Method)
	req.Header.Set("Access-Control-Request-Headers", strings.Join(asked, ","))
	resp, err := d.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if allowed := resp.Header.Get("Access-Control-Allow-Origin"); resp.StatusCode >= 300 || allowed != origin && allowed != "*" {
		return fmt.Errorf("may not upload (%s)", resp.Status)
	}
	if !lists(resp.Header, "Access-Control-Allow-Methods", p.permitted.Method) {
		return fmt.Errorf("may not %s", p.permitted.Method)
	}
	for _, name := range asked {
		if !lists(resp.Header, "Access-Control-Allow-Headers", name) {
			return fmt.Errorf("may not send %s", name)
		}
	}
	return nil
}

// lists reports whether a header that lists names has name or all.
func lists(h http.Header, header, name string) bool {
	for _, value := range h.Values(header) {
		for listed := range strings.SplitSeq(value, ",") {
			if listed = strings.TrimSpace(listed); listed == "*" || strings.EqualFold(listed, name) {
				return true
			}
		}
	}
	return false
}
