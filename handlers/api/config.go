package api

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluice-media/sluice/handlers/api/auth"
	"github.com/sluice-media/sluice/pipeline/storage"
)

// extensions are the types that Sluice can handle and how their object keys end.
var extensions = map[string]string{
	"image/jpeg": ".jpg",
	"image/png":  ".png",
	"image/webp": ".webp",
	"video/mp4":  ".mp4",
}

const (
	maxSigned = 7 * 24 * time.Hour // what SigV4 allows a presigned URL
)

// MaxRate is the most requests a second that a limit can name.
const MaxRate = 1e6

// Types lists the media types that Sluice can handle.
func Types() []string { return slices.Sorted(maps.Keys(extensions)) }

// Config is how the API listens, whom it lets in and what it hands out.
type Config struct {
	Listen              string        `help:"Address to listen on." default:"127.0.0.1:8080"`
	PublicURL           string        `help:"URL at which clients reach the API, for links to itself; empty for relative links."`
	MediaURL            string        `help:"URL under which published files are served." default:"http://127.0.0.1:8081"`
	AllowedOrigins      []string      `help:"Origins whose pages may call the API with a bearer token (CORS)."`
	TrustForwardedProto bool          `help:"Believe X-Forwarded-Proto. Only behind a proxy that sets it itself."`
	AllowedTypes        []string      `help:"Media types that may be uploaded." default:"image/jpeg,image/png,image/webp,video/mp4"`
	MaxSize             int64         `help:"Largest file in bytes, up to 5 TiB. The default is the largest that the scanner takes: what is larger arrives, but ends unscannable." default:"2097152000"`
	MultipartThreshold  int64         `help:"Size in bytes above which a file is sent in parts when the client does not ask for a method." default:"104857600"`
	PresignLifetime     time.Duration `help:"How long a client has to start sending." default:"15m"`
	ArrivalGrace        time.Duration `help:"How long after that a transfer that began in time may still arrive." default:"2h"`
	PartLifetime        time.Duration `help:"How long a client has to start sending a part, from each time that it was signed." default:"1h"`
	MultipartLifetime   time.Duration `help:"How long a client has to send all parts of a file, from its beginning to its completion. Signing more parts does not extend it." default:"24h"`
	Heartbeat           time.Duration `help:"How often a stream of events shows that it lives while nothing happens." default:"15s"`
	StreamTimeout       time.Duration `help:"How long the reader of a stream may take to receive an event." default:"10s"`
	RateLimit           float64       `help:"Requests a second that a tenant may make to one process of the API, a second's worth of them at once; 0 for no limit." default:"0"`
	MaxFilesInFlight    int64         `help:"Files that a tenant may have on their way at once; 0 for no limit." default:"0"`
	MaxBytesInFlight    int64         `help:"Bytes that a tenant may have on their way at once, as declared; 0 for no limit." default:"0"`
	LimitsCache         time.Duration `help:"How long limits that are set for a tenant are remembered: changed ones apply after that." default:"5s"`
	StorageTimeout      time.Duration `help:"How long object storage may take to answer one request of the API's, tries included, before the client is told to come again." default:"10s"`
	IdempotencyLifetime time.Duration `help:"How long the answer to a request with an Idempotency-Key is kept." default:"24h"`
	IdempotencyLease    time.Duration `help:"How long such a request may take; after that it may be made again, as when the process that answered it has died." default:"30s"`

	Auth auth.Config `embed:""`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		wrong("listen: %w", err)
	}
	if c.PublicURL != "" && !isBaseURL(c.PublicURL) {
		wrong("public-url: %q is not an http or https URL", c.PublicURL)
	}
	if !isBaseURL(c.MediaURL) {
		wrong("media-url: %q is not an http or https URL", c.MediaURL)
	}
	for _, origin := range c.AllowedOrigins {
		if origin != "*" && (!isBaseURL(origin) || strings.Count(origin, "/") != 2) {
			wrong("allowed-origins: %q is not an origin such as https://example.com", origin)
		}
	}
	if len(c.AllowedTypes) == 0 {
		wrong("allowed-types is empty")
	}
	for _, t := range c.AllowedTypes {
		if extensions[t] == "" {
			wrong("allowed-types: %q is not one of %s", t, strings.Join(Types(), ", "))
		}
	}
	if c.MaxSize < 1 || c.MaxSize > storage.MaxObject {
		wrong("max-size: %d is not between 1 and %d, the largest object", c.MaxSize, storage.MaxObject)
	}
	if c.MultipartThreshold < 1 || c.MultipartThreshold > storage.MaxPut {
		wrong("multipart-threshold: %d is not between 1 and %d, the largest single PUT", c.MultipartThreshold, storage.MaxPut)
	}
	if c.PresignLifetime < time.Second || c.PresignLifetime > maxSigned {
		wrong("presign-lifetime: %s is not between 1s and %s", c.PresignLifetime, maxSigned)
	}
	if c.ArrivalGrace < 0 {
		wrong("arrival-grace: %s is negative", c.ArrivalGrace)
	}
	if c.PartLifetime < time.Second || c.PartLifetime > maxSigned {
		wrong("part-lifetime: %s is not between 1s and %s", c.PartLifetime, maxSigned)
	}
	if c.MultipartLifetime < c.PartLifetime {
		wrong("multipart-lifetime: %s is less than part-lifetime", c.MultipartLifetime)
	}
	if c.Heartbeat <= 0 {
		wrong("heartbeat: %s is not positive", c.Heartbeat)
	}
	if c.StreamTimeout <= 0 {
		wrong("stream-timeout: %s is not positive", c.StreamTimeout)
	}
	if !(c.RateLimit >= 0 && c.RateLimit <= MaxRate) {
		wrong("rate-limit: %g is not between 0 and %g", c.RateLimit, float64(MaxRate))
	}
	if c.MaxFilesInFlight < 0 {
		wrong("max-files-in-flight: %d is negative", c.MaxFilesInFlight)
	}
	if c.MaxBytesInFlight < 0 {
		wrong("max-bytes-in-flight: %d is negative", c.MaxBytesInFlight)
	}
	if c.LimitsCache < 0 {
		wrong("limits-cache: %s is negative", c.LimitsCache)
	}
	if c.StorageTimeout <= 0 {
		wrong("storage-timeout: %s is not positive", c.StorageTimeout)
	}
	if c.IdempotencyLifetime < time.Minute {
		wrong("idempotency-lifetime: %s is less than 1m", c.IdempotencyLifetime)
	}
	if c.IdempotencyLease < time.Second {
		wrong("idempotency-lease: %s is less than 1s", c.IdempotencyLease)
	}
	return errors.Join(append(errs, c.Auth.Validate())...)
}

func isBaseURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && u.RawQuery == "" && u.Fragment == ""
}

// mediaURL is where an object of the media bucket is published.
func (c Config) mediaURL(key string) string { return strings.TrimSuffix(c.MediaURL, "/") + "/" + key }

// uploadURL is where an upload's state is shown.
func (c Config) uploadURL(id string) string {
	return strings.TrimSuffix(c.PublicURL, "/") + "/v1/uploads/" + id
}
