package s3

import (
	"errors"
	"fmt"
	"os"

	"github.com/versity/versitygw/auth"
)

// Role says what an account may do beyond what bucket policies allow it.
type Role string

// The roles of an Account.
const (
	RoleUser  Role = "user"  // nothing
	RoleAdmin Role = "admin" // everything
)

// Account is a pair of credentials besides the root's.
type Account struct {
	AccessKey, SecretKey string
	Role                 Role // RoleUser when empty
}

// openAccounts opens the folder of accounts and makes cfg.Accounts true in it.
func openAccounts(dir string, cfg Config) (auth.IAMService, error) {
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, fmt.Errorf("create the accounts folder: %w", err)
	}
	root := auth.Account{Access: cfg.RootAccessKey, Secret: cfg.RootSecretKey, Role: auth.RoleAdmin}
	accounts, err := auth.NewInternal(root, dir)
	if err != nil {
		return nil, fmt.Errorf("open the accounts: %w", err)
	}
	for _, account := range cfg.Accounts {
		if account.Role == "" {
			account.Role = RoleUser
		}
		role := auth.Role(account.Role)
		err := accounts.CreateAccount(auth.Account{Access: account.AccessKey, Secret: account.SecretKey, Role: role})
		if errors.Is(err, auth.ErrUserExists) {
			err = accounts.UpdateUserAccount(account.AccessKey, auth.MutableProps{Secret: &account.SecretKey, Role: role})
		}
		if err != nil {
			return nil, fmt.Errorf("set up account %s: %w", account.AccessKey, err)
		}
	}
	return accounts, nil
}
