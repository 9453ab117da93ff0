package api

import (
	"niwa/platform"
	"niwa/platform/controller"
)

func attachmentKeys() []key[platform.Attachment] {
	return []key[platform.Attachment]{
		{"name", func(t platform.Attachment) string { return t.Name }},
		{"id", func(t platform.Attachment) string { return t.ID }},
	}
}

// attachmentList lists every attachment, or those in an app or of an add-on.
func (a *API) attachmentList(c *call) (any, error) {
	all, err := a.Controller.Attachments(c.ctx, c.param("app"), c.param("addon"))
	if err != nil {
		return nil, err
	}
	return paged(c, all, c.encodeAttachment, attachmentKeys()...)
}

func (a *API) attachmentInfo(c *call) (any, error) {
	t, err := a.Controller.Attachment(c.ctx, c.param("app"), c.param("attachment"))
	if err != nil {
		return nil, err
	}
	return c.encodeAttachment(t)
}

func (a *API) attachmentCreate(c *call) (any, error) {
	var in struct {
		Addon     identity `json:"addon"`
		App       identity `json:"app"`
		Name      *string  `json:"name"`
		Namespace *string  `json:"namespace"`
		Confirm   *string  `json:"confirm"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Addon == "" {
		return nil, required("addon")
	}
	if in.App == "" {
		return nil, required("app")
	}
	or := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	t, err := a.Controller.Attach(c.ctx, controller.AttachmentRequest{
		Addon: string(in.Addon), App: string(in.App), Name: or(in.Name), Namespace: or(in.Namespace), Confirm: or(in.Confirm),
	})
	if err != nil {
		return nil, err
	}
	return c.encodeAttachment(t)
}

func (a *API) attachmentDelete(c *call) (any, error) {
	t, err := a.Controller.Detach(c.ctx, c.param("attachment"))
	if err != nil {
		return nil, err
	}
	return c.encodeAttachment(t)
}

// attachmentResolve finds what a user may mean by a name.
func (a *API) attachmentResolve(c *call) (any, error) {
	var in struct {
		AddonAttachment identity  `json:"addon_attachment"`
		AddonService    *identity `json:"addon_service"`
		App             *identity `json:"app"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.AddonAttachment == "" {
		return nil, required("addon_attachment")
	}
	found, err := a.Controller.ResolveAttachment(c.ctx, string(in.AddonAttachment), orNone(in.App))
	if err != nil {
		return nil, err
	}
	if service := orNone(in.AddonService); service != "" {
		services := map[string]string{}
		for _, t := range found {
			addon, err := a.Controller.Addon(c.ctx, t.AddonID)
			if err != nil {
				return nil, err
			}
			services[t.ID] = addon.Service
		}
		found = ofService(found, service, func(t platform.Attachment) string { return services[t.ID] })
	}
	if len(found) == 0 {
		return nil, platform.Missing("add_on attachment")
	}
	return encodeAll(found, c.encodeAttachment)
}
