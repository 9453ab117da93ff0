package api

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"niwa/addons"
	"niwa/platform"
)

//go:embed templates/*.html
var templates embed.FS

func parsePages() *template.Template {
	return template.Must(template.ParseFS(templates, "templates/*.html"))
}

// page answers with a web page, which may load and be loaded by nothing.
func (a *API) page(f *fiber.Ctx, status int, name string, data any) error {
	var b bytes.Buffer
	if err := a.pages.ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	f.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	f.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	f.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	f.Set(fiber.HeaderCacheControl, "no-store")
	return f.Status(status).Send(b.Bytes())
}

// addonPage is what an add-on page shows. It names config vars and shows none
// of their values.
type addonPage struct {
	Addon       platform.Addon
	Service     string
	Plan        string
	Docs        string
	Owner       string
	Created     string
	Info        []addons.Row
	NoInfo      string
	Attachments []attachedTo
}

type attachedTo struct {
	App, Name string
	Vars      []string
}

// showAddon is the page that addons:open opens.
func (a *API) showAddon(f *fiber.Ctx) error {
	if _, err := a.sign.verify(f, time.Now()); err != nil {
		return err
	}
	addon, err := a.Controller.Addon(a.ctx, f.Params("id"))
	if err != nil {
		return err
	}
	owner, err := a.Controller.App(a.ctx, addon.AppID)
	if err != nil {
		return err
	}
	p := addonPage{Addon: addon, Service: addon.Service, Plan: addon.Plan, Owner: owner.Name, Created: stamp(addon.CreatedAt)}
	if plan, service, ok := a.Catalog.Plan(addon.Plan); ok {
		p.Service, p.Plan, p.Docs = service.Name, plan.HumanName, service.Docs
	}
	var told *platform.Error
	if p.Info, err = a.Controller.AddonInfo(a.ctx, addon.ID); errors.As(err, &told) {
		p.NoInfo = told.Message
	} else if err != nil {
		return err
	}
	if p.Attachments, err = a.attachmentsOf(addon); err != nil {
		return err
	}
	return a.page(f, http.StatusOK, "addon.html", p)
}

func (a *API) attachmentsOf(addon platform.Addon) ([]attachedTo, error) {
	all, err := a.Controller.Attachments(a.ctx, "", addon.ID)
	if err != nil {
		return nil, err
	}
	var out []attachedTo
	for _, t := range all {
		app, err := a.Controller.App(a.ctx, t.AppID)
		if err != nil {
			return nil, err
		}
		vars, err := a.Controller.AttachmentVars(a.ctx, t)
		if err != nil {
			return nil, err
		}
		out = append(out, attachedTo{app.Name, t.Name, slices.Sorted(maps.Keys(vars))})
	}
	return out, nil
}
