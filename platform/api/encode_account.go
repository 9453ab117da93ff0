package api

import (
	"time"

	"github.com/google/uuid"

	"niwa/platform"
)

// named is how one noun refers to another.
type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// justID is a shorter way to do it.
type justID struct {
	ID string `json:"id"`
}

// user is how a noun refers to an account.
type user struct {
	ID    string `json:"id"`
	Email string `json:"email"`
}

func (c *call) user() user { return user{c.account.ID, c.account.Email} }

// stamp writes a time as Heroku does, to the second.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func maybeStamp(t *time.Time) *string {
	if t == nil {
		return nil
	}
	s := stamp(*t)
	return &s
}

// sortable writes a time so that text order is time order, for Range headers.
func sortable(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// orNull is null for a text that is not there.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// stableID is the same for a name in every niwa, for things that are not kept
// anywhere: stacks, regions.
func stableID(kind, name string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://api.heroku.com/"+kind+"/"+name)).String()
}

type accountJSON struct {
	ID                      string  `json:"id"`
	Email                   string  `json:"email"`
	Name                    *string `json:"name"`
	AllowTracking           bool    `json:"allow_tracking"`
	Beta                    bool    `json:"beta"`
	CountryOfResidence      *string `json:"country_of_residence"`
	DefaultOrganization     *named  `json:"default_organization"`
	DefaultTeam             *named  `json:"default_team"`
	DelinquentAt            *string `json:"delinquent_at"`
	Federated               bool    `json:"federated"`
	IdentityProvider        *named  `json:"identity_provider"`
	LastLogin               *string `json:"last_login"`
	SMSNumber               *string `json:"sms_number"`
	SuspendedAt             *string `json:"suspended_at"`
	TwoFactorAuthentication bool    `json:"two_factor_authentication"`
	Verified                bool    `json:"verified"`
	CreatedAt               string  `json:"created_at"`
	UpdatedAt               string  `json:"updated_at"`
}

func (c *call) encodeAccount(a platform.Account) accountJSON {
	return accountJSON{
		ID: a.ID, Email: a.Email, Name: orNull(a.Name), Verified: true,
		CreatedAt: stamp(a.CreatedAt), UpdatedAt: stamp(a.UpdatedAt),
	}
}
