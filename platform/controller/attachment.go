package controller

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"niwa/addons"
	"niwa/addons/catalog"
	"niwa/platform"
	"niwa/platform/store"
)

// AttachmentRequest asks to attach an add-on to an app.
type AttachmentRequest struct {
	Addon     string
	App       string
	Name      string // empty: the service's own name, or one with a colour
	Namespace string // credential:NAME; empty for the default credential
	Confirm   string // the app's name, when an attachment of that name may be replaced
}

const credentialNamespace = "credential:"

var attachmentName = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,127}$`)

// Attach attaches an add-on to an app and makes a release. An attachment of
// that name is replaced when Confirm is the app's name.
func (c *Controller) Attach(ctx context.Context, req AttachmentRequest) (a platform.Attachment, err error) {
	var app platform.App
	var r platform.Release
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if app, err = tx.App(req.App); err != nil {
			return err
		}
		addon, err := tx.Addon(req.Addon)
		if err != nil {
			return err
		}
		if addon.State != platform.AddonProvisioned && addon.State != platform.AddonProvisioning {
			return platform.Missing("add_on")
		}
		service, ok := c.Catalog.Service(addon.Service)
		if !ok {
			return platform.Missing("add_on")
		}
		var replaced *platform.Addon
		if a, replaced, err = c.attach(tx, app, addon, service, req); err != nil {
			return err
		}
		if replaced != nil { // pg:promote looks for this release as well
			if app, _, err = c.release(tx, app, change{description: fmt.Sprintf("Detach %s (@ref:%s)", a.Name, replaced.Name), quiet: true}); err != nil {
				return err
			}
		}
		app, r, err = c.release(tx, app, change{description: fmt.Sprintf("Attach %s (@ref:%s)", a.Name, addon.Name), quiet: true})
		return err
	})
	if err != nil {
		return platform.Attachment{}, err
	}
	c.released(ctx, app, r)
	return a, nil
}

// attach adds the attachment itself, and returns the add-on whose attachment
// of the same name had to make room, if there was one.
func (c *Controller) attach(tx *store.Tx, app platform.App, addon platform.Addon, service catalog.Service, req AttachmentRequest) (a platform.Attachment, replaced *platform.Addon, err error) {
	a = platform.Attachment{ID: newID(), AddonID: addon.ID, AppID: app.ID, Name: strings.ToUpper(req.Name), CreatedAt: now(), UpdatedAt: now()}
	if err := checkNamespace(tx, addon, req.Namespace); err != nil {
		return a, nil, err
	}
	if req.Namespace != "" {
		a.Namespace = &req.Namespace
	}
	there, err := tx.AttachmentsIn(app.ID)
	if err != nil {
		return a, nil, err
	}
	byName := map[string]platform.Attachment{}
	for _, t := range there {
		byName[t.Name] = t
	}
	own, err := ownConfig(tx, app.ID)
	if err != nil {
		return a, nil, err
	}
	if a.Name == "" {
		a.Name = service.AttachmentName(func(name string) bool {
			_, attached := byName[name]
			_, set := own[name+"_URL"]
			return attached || set
		})
	}
	if !attachmentName.MatchString(a.Name) {
		return a, nil, platform.Invalid("Attachment names start with a letter and hold letters, digits and underscores.")
	}
	if _, set := own[a.Name+"_URL"]; set && req.Confirm != app.Name {
		return a, nil, unconfirmed(app, a)
	}
	if old, ok := byName[a.Name]; ok {
		if replaced, err = c.replace(tx, app, old, a, req.Confirm); err != nil {
			return a, nil, err
		}
	}
	return a, replaced, tx.InsertAttachment(a)
}

// replace makes room for an attachment of the same name, once that is
// confirmed, and returns the add-on that loses it.
func (c *Controller) replace(tx *store.Tx, app platform.App, old, new platform.Attachment, confirm string) (*platform.Addon, error) {
	if confirm != app.Name {
		return nil, unconfirmed(app, new)
	}
	if old.AddonID != new.AddonID {
		if err := lastAtHome(tx, old); err != nil {
			return nil, err
		}
	}
	loser, err := tx.Addon(old.AddonID)
	if err != nil {
		return nil, err
	}
	return &loser, tx.DeleteAttachment(old.ID)
}

func unconfirmed(app platform.App, a platform.Attachment) *platform.Error {
	e := platform.Errorf(platform.ConfirmationRequired, "Adding %s to app %s would overwrite existing vars. To proceed, type %q or re-run this command with --confirm %s", a.Name, app.Name, app.Name, app.Name)
	e.App = app.Name
	return e
}

func checkNamespace(tx *store.Tx, addon platform.Addon, namespace string) error {
	if namespace == "" {
		return nil
	}
	name, ok := strings.CutPrefix(namespace, credentialNamespace)
	if !ok {
		return platform.Invalid("Namespace %q is not known; use credential:NAME.", namespace)
	}
	if _, err := tx.Credential(addon.ID, name); missing(err) {
		return platform.Invalid("Could not find credential %s for database %s", name, addon.Name)
	} else if err != nil {
		return err
	}
	return nil
}

// lastAtHome refuses to take away the last attachment of an add-on to the app
// that owns it: nothing could show that it is there.
func lastAtHome(tx *store.Tx, a platform.Attachment) error {
	addon, err := tx.Addon(a.AddonID)
	if err != nil || addon.AppID != a.AppID {
		return err
	}
	all, err := tx.AttachmentsOf(addon.ID)
	for _, other := range all {
		if other.ID != a.ID && other.AppID == addon.AppID {
			return err
		}
	}
	return platform.Errorf(platform.Forbidden, "%s is the last attachment of %s to the app that owns it. Attach it under another name first, or destroy the add-on.", a.Name, addon.Name)
}

// Detach removes an attachment and makes a release.
func (c *Controller) Detach(ctx context.Context, id string) (a platform.Attachment, err error) {
	var app platform.App
	var r platform.Release
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if a, err = tx.Attachment(id); err != nil {
			return err
		}
		if err := lastAtHome(tx, a); err != nil {
			return err
		}
		if app, err = tx.App(a.AppID); err != nil {
			return err
		}
		addon, err := tx.Addon(a.AddonID)
		if err != nil {
			return err
		}
		if err := tx.DeleteAttachment(a.ID); err != nil {
			return err
		}
		app, r, err = c.release(tx, app, change{description: fmt.Sprintf("Detach %s (@ref:%s)", a.Name, addon.Name), quiet: true})
		return err
	})
	if err != nil {
		return platform.Attachment{}, err
	}
	c.released(ctx, app, r)
	return a, nil
}

// Attachments lists every attachment, or those in an app, or those of an
// add-on.
func (c *Controller) Attachments(ctx context.Context, app, addon string) (all []platform.Attachment, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		switch {
		case app != "":
			a, err := tx.App(app)
			if err != nil {
				return err
			}
			all, err = tx.AttachmentsIn(a.ID)
			return err
		case addon != "":
			a, err := tx.Addon(addon)
			if err != nil {
				return err
			}
			all, err = tx.AttachmentsOf(a.ID)
			return err
		}
		all, err = tx.Attachments()
		return err
	})
	return all, err
}

// Attachment returns an attachment by id, or by name within an app.
func (c *Controller) Attachment(ctx context.Context, app, nameOrID string) (a platform.Attachment, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		if app == "" {
			a, err = tx.Attachment(nameOrID)
			return err
		}
		owner, err := tx.App(app)
		if err != nil {
			return err
		}
		a, err = tx.AttachmentNamed(owner.ID, nameOrID)
		return err
	})
	return a, err
}

// ResolveAttachment finds what a user may mean by name in an app: DATABASE,
// DATABASE_URL, the add-on's name, its service or plan, or other-app::NAME.
// An exact attachment name wins over the rest.
func (c *Controller) ResolveAttachment(ctx context.Context, name, appNameOrID string) (found []platform.Attachment, err error) {
	if other, rest, ok := strings.Cut(name, "::"); ok {
		appNameOrID, name = other, rest
	}
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		var all []platform.Attachment
		found = nil
		if appNameOrID == "" {
			all, err = tx.Attachments()
		} else {
			app, err := tx.App(appNameOrID)
			if err != nil {
				return err
			}
			all, err = tx.AttachmentsIn(app.ID)
			if err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		for _, a := range all {
			addon, err := tx.Addon(a.AddonID)
			if err != nil {
				return err
			}
			if sameVar(name, a.Name) && appNameOrID != "" || name == a.ID {
				found = []platform.Attachment{a}
				return nil
			}
			if meant(name, a, addon) {
				found = append(found, a)
			}
		}
		if len(found) == 0 {
			return platform.Missing("add_on attachment")
		}
		return nil
	})
	return found, err
}

// meant says whether name is another name for an attachment: that of its
// add-on, or of the service or plan.
func meant(name string, a platform.Attachment, addon platform.Addon) bool {
	return name == addon.Name || name == addon.ID || name == addon.Service || name == addon.Plan || sameVar(name, a.Name)
}

// sameVar compares an attachment's name with what was typed, which may be in
// lower case or be the name of its config var.
func sameVar(typed, name string) bool {
	typed = strings.ToUpper(typed)
	return typed == name || typed == name+"_URL"
}

// AttachmentVars names the config vars an attachment brings.
func (c *Controller) AttachmentVars(ctx context.Context, a platform.Attachment) (vars platform.Config, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		vars, err = attachedVars(tx, a)
		return err
	})
	return vars, err
}

func credentialOf(a platform.Attachment) string {
	if a.Namespace == nil {
		return addons.Default
	}
	return strings.TrimPrefix(*a.Namespace, credentialNamespace)
}
