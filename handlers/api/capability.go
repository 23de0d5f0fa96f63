package api

import (
	"context"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

type renewInput struct {
	ID string `path:"id" example:"0199e0a2-7c1f-7d3a-9b1e-2f6a5c8d4e10" doc:"The upload's id."`
}

type renewOutput struct {
	Body v1.Capability
}

// renewToken is for the owner: a capability cannot make itself live longer.
func (s *server) renewToken(ctx context.Context, in *renewInput) (*renewOutput, error) {
	u, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	token, err := s.capability(u)
	if err != nil {
		return nil, err
	}
	return &renewOutput{Body: token}, nil
}

// capability makes a token that is good for as long as the upload can be on its way.
func (s *server) capability(u sagas.Upload) (v1.Capability, error) {
	token, expires, err := s.auth.Capability(u.Owner, u.ID, u.ExpiresAt)
	if err != nil {
		return v1.Capability{}, err
	}
	return v1.Capability{Token: token, TokenExpiresAt: expires.UTC()}, nil
}
