package store

import "niwa/platform"

// Addon finds an add-on by name or id.
func (tx *Tx) Addon(nameOrID string) (platform.Addon, error) {
	return one[platform.Addon](tx, "add_on", "name = ? OR id = ?", nameOrID, nameOrID)
}

// Addons lists every add-on by name.
func (tx *Tx) Addons() ([]platform.Addon, error) { return many[platform.Addon](tx, "name", "1 = 1") }

// AddonsOf lists the add-ons an app owns, by name.
func (tx *Tx) AddonsOf(appID string) ([]platform.Addon, error) {
	return many[platform.Addon](tx, "name", "app_id = ?", appID)
}

// InsertAddon adds an add-on, unless its name is taken.
func (tx *Tx) InsertAddon(a platform.Addon) error { return tx.insert(&a, nameTaken(a.Name)) }

// SaveAddon writes back an add-on, unless its new name is taken.
func (tx *Tx) SaveAddon(a platform.Addon) error { return tx.save(&a, nameTaken(a.Name)) }

// DeleteAddon removes an add-on, its attachments and its credentials.
func (tx *Tx) DeleteAddon(id string) error {
	if err := drop[secret](tx, "kind LIKE 'credential:%' AND owner = ?", id); err != nil {
		return err
	}
	return drop[platform.Addon](tx, "id = ?", id)
}

// Credentials lists the names of an add-on's credentials.
func (tx *Tx) Credentials(addonID string) ([]string, error) {
	rows, err := many[secret](tx, "kind", "kind LIKE 'credential:%' AND owner = ?", addonID)
	names := []string{}
	for _, r := range rows {
		names = append(names, r.Kind[len("credential:"):])
	}
	return names, err
}

// Credential returns the config of one credential of an add-on, named without
// an attachment's prefix.
func (tx *Tx) Credential(addonID, name string) (platform.Config, error) {
	return tx.secret("credential:"+name, addonID)
}

// PutCredential adds or replaces a credential of an add-on.
func (tx *Tx) PutCredential(addonID, name string, config platform.Config) error {
	return tx.putSecret("", "credential:"+name, addonID, config)
}

// DeleteCredential removes a credential of an add-on.
func (tx *Tx) DeleteCredential(addonID, name string) error {
	return drop[secret](tx, "kind = ? AND owner = ?", "credential:"+name, addonID)
}

// Attachment finds an attachment by id.
func (tx *Tx) Attachment(id string) (platform.Attachment, error) {
	return one[platform.Attachment](tx, "add_on attachment", "id = ?", id)
}

// AttachmentNamed finds an attachment in an app by name or id.
func (tx *Tx) AttachmentNamed(appID, nameOrID string) (platform.Attachment, error) {
	return one[platform.Attachment](tx, "add_on attachment", "app_id = ? AND (name = ? OR id = ?)", appID, nameOrID, nameOrID)
}

// Attachments lists every attachment.
func (tx *Tx) Attachments() ([]platform.Attachment, error) {
	return many[platform.Attachment](tx, "created_at, id", "1 = 1")
}

// AttachmentsIn lists the attachments in an app, by name.
func (tx *Tx) AttachmentsIn(appID string) ([]platform.Attachment, error) {
	return many[platform.Attachment](tx, "name", "app_id = ?", appID)
}

// AttachmentsOf lists the attachments of an add-on, oldest first.
func (tx *Tx) AttachmentsOf(addonID string) ([]platform.Attachment, error) {
	return many[platform.Attachment](tx, "created_at, id", "addon_id = ?", addonID)
}

// InsertAttachment adds an attachment, unless its name is taken in the app.
func (tx *Tx) InsertAttachment(a platform.Attachment) error {
	return tx.insert(&a, platform.Invalid("Add-on attachment name %s is already taken in this app", a.Name))
}

// DeleteAttachment removes an attachment.
func (tx *Tx) DeleteAttachment(id string) error {
	return drop[platform.Attachment](tx, "id = ?", id)
}
