package store

import (
	"niwa/platform"
)

// Account returns the account.
func (tx *Tx) Account() (platform.Account, error) {
	return one[platform.Account](tx, "account", "1 = 1")
}

// InsertAccount adds the account.
func (tx *Tx) InsertAccount(a platform.Account) error { return tx.insert(&a, nil) }

// Authorizations lists the tokens, oldest first.
func (tx *Tx) Authorizations() ([]platform.Authorization, error) {
	return many[platform.Authorization](tx, "created_at, id", "1 = 1")
}

// AuthorizationByHash finds the token with that hash.
func (tx *Tx) AuthorizationByHash(hash string) (platform.Authorization, error) {
	return one[platform.Authorization](tx, "authorization", "token_hash = ?", hash)
}

// InsertAuthorization adds a token.
func (tx *Tx) InsertAuthorization(a platform.Authorization) error { return tx.insert(&a, nil) }

// DeleteAuthorization removes a token.
func (tx *Tx) DeleteAuthorization(id string) error {
	return drop[platform.Authorization](tx, "id = ?", id)
}

// App finds an app by name or id.
func (tx *Tx) App(nameOrID string) (platform.App, error) {
	return one[platform.App](tx, "app", "name = ? OR id = ?", nameOrID, nameOrID)
}

// Apps lists the apps by name.
func (tx *Tx) Apps() ([]platform.App, error) { return many[platform.App](tx, "name", "1 = 1") }

// InsertApp adds an app, unless its name is taken.
func (tx *Tx) InsertApp(a platform.App) error { return tx.insert(&a, nameTaken(a.Name)) }

// SaveApp writes back an app, unless its new name is taken.
func (tx *Tx) SaveApp(a platform.App) error { return tx.save(&a, nameTaken(a.Name)) }

// DeleteApp removes an app with its slugs, builds, releases, formation, dynos,
// buildpacks and the attachments in it. Its add-ons stay, for the caller to
// deprovision.
func (tx *Tx) DeleteApp(id string) error { return drop[platform.App](tx, "id = ?", id) }

func nameTaken(name string) *platform.Error {
	return platform.Invalid("Name %s is already taken", name)
}

// BuildpackInstallations lists an app's buildpacks in the order they run.
func (tx *Tx) BuildpackInstallations(appID string) ([]platform.BuildpackInstallation, error) {
	return many[platform.BuildpackInstallation](tx, "ordinal", "app_id = ?", appID)
}

// ReplaceBuildpackInstallations sets an app's buildpacks.
func (tx *Tx) ReplaceBuildpackInstallations(appID string, all []platform.BuildpackInstallation) error {
	if err := drop[platform.BuildpackInstallation](tx, "app_id = ?", appID); err != nil {
		return err
	}
	for _, b := range all {
		if err := tx.insert(&b, nil); err != nil {
			return err
		}
	}
	return nil
}
