package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// secrets are generated once for each data folder.
type secrets struct {
	AccessKey        string `json:"access_key"`
	SecretKey        string `json:"secret_key"`
	CDNAccessKey     string `json:"cdn_access_key"`
	CDNSecretKey     string `json:"cdn_secret_key"`
	PostgresPassword string `json:"postgres_password"`
	JWTSecret        string `json:"jwt_secret"`
}

// openSecrets returns the secrets in path; created tells that there were none yet and the folder is new.
func openSecrets(path string) (s secrets, created bool, err error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		s = generateSecrets()
		return s, true, s.save(path)
	}
	if err != nil {
		return secrets{}, false, err
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return secrets{}, false, fmt.Errorf("read %s: %w", path, err)
	}
	return s, false, nil
}

func generateSecrets() secrets {
	return secrets{
		AccessKey:        "SLUICE" + rand.Text()[:14],
		SecretKey:        rand.Text(),
		CDNAccessKey:     "CDN" + rand.Text()[:17],
		CDNSecretKey:     rand.Text(),
		PostgresPassword: rand.Text(),
		JWTSecret:        rand.Text() + rand.Text(),
	}
}

func (s secrets) save(path string) error {
	content, err := json.MarshalIndent(s, "", "  ") //nolint:gosec // This file is where the secrets are kept.
	if err != nil {
		return err
	}
	unfinished := path + ".new"
	if err := os.WriteFile(unfinished, append(content, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}

// tokenLifetime is long enough not to be in the way of development.
const tokenLifetime = 30 * 24 * time.Hour

// token is a bearer token of the API for subject and tenant "dev".
func (s secrets) token(now time.Time) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub":    "dev",
		"tenant": "dev",
		"iat":    now.Unix(),
		"exp":    now.Add(tokenLifetime).Unix(),
	})
	signed, err := token.SignedString([]byte(s.JWTSecret))
	if err != nil {
		return "", fmt.Errorf("sign the development token: %w", err)
	}
	return signed, nil
}
