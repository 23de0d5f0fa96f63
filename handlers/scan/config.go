package scan

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// scannable is the size in bytes above which libclamav skips a file, whatever its own limits say.
const scannable = math.MaxInt32 - 2

// Config says where clamd is and what it is given.
type Config struct {
	ClamdAddress string        `help:"clamd, as tcp://host:port or unix:///path." default:"tcp://127.0.0.1:8085"`
	MaxSize      int64         `name:"scan-max-size" help:"Largest file in bytes that is scanned; not above clamd's StreamMaxLength, MaxFileSize and MaxScanSize." default:"2097152000"`
	Timeout      time.Duration `name:"scan-timeout" help:"Longest that one scan takes, download included; above clamd's MaxScanTime." default:"15m"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	if _, _, err := parseAddress(c.ClamdAddress); err != nil {
		errs = append(errs, err)
	}
	if c.MaxSize < 1 || c.MaxSize > scannable {
		errs = append(errs, fmt.Errorf("scan max-size: %d is not between 1 and %d bytes", c.MaxSize, scannable))
	}
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("scan timeout: %s is not positive", c.Timeout))
	}
	return errors.Join(errs...)
}
