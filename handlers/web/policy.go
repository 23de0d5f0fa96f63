package web

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// contentSecurityPolicy lets the page run its own scripts, talk to the API and to object storage, and show what is
// published. Strings never become markup: there is no Trusted Types policy that would make it of them.
func contentSecurityPolicy(e Elsewhere) (string, error) {
	storage, err := origin(e.Storage)
	if err != nil {
		return "", fmt.Errorf("the origin of object storage: %w", err)
	}
	media, err := origin(e.Media)
	if err != nil {
		return "", fmt.Errorf("the origin of published files: %w", err)
	}
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"img-src " + sources("'self'", "blob:", media),
		"connect-src " + sources("'self'", storage),
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; "), nil
}

// origin is the scheme and host of a URL, as a source expression names them.
func origin(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.ContainsAny(u.Host, "; ,'*") {
		return "", fmt.Errorf("%q is not an http or https URL", raw)
	}
	return u.Scheme + "://" + u.Host, nil
}

func sources(all ...string) string { return strings.Join(slices.Compact(all), " ") }
