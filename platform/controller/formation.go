package controller

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"niwa/platform"
	"niwa/platform/store"
)

// FormationUpdate changes one process type; nil leaves it.
type FormationUpdate struct {
	Type     string
	Quantity *string // "2", or "+1" and "-1" to change what is there
	Size     *string // in any case
}

const (
	// defaultSize differs from Heroku's Basic so that a new app can be
	// scaled out at once.
	defaultSize = "Standard-1X"
	maxQuantity = 100 // dynos of one type, as Heroku allows without asking
)

// Formation lists an app's process types by name.
func (c *Controller) Formation(ctx context.Context, nameOrID string) (all []platform.Formation, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		all, err = tx.Formation(app.ID)
		return err
	})
	return all, err
}

// UpdateFormation scales and resizes process types and returns those it was
// asked about. It changes all of them or none.
func (c *Controller) UpdateFormation(ctx context.Context, nameOrID string, updates []FormationUpdate) (changed []platform.Formation, err error) {
	var app platform.App
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if app, err = tx.App(nameOrID); err != nil {
			return err
		}
		changed = nil
		for _, u := range updates {
			f, err := formationOf(tx, app.ID, u.Type)
			if err != nil {
				return err
			}
			if f, err = scaled(f, u); err != nil {
				return err
			}
			if err := tx.SaveFormation(f); err != nil {
				return err
			}
			changed = append(changed, f)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var to []string
	for _, f := range changed {
		to = append(to, fmt.Sprintf("%s@%d:%s", f.Type, f.Quantity, f.Size))
	}
	c.apiLog(app.ID, fmt.Sprintf("Scaled to %s by user %s", strings.Join(to, " "), c.email(ctx)))
	c.crew(app.ID).kick()
	return changed, nil
}

func formationOf(tx *store.Tx, appID, processType string) (platform.Formation, error) {
	all, err := tx.Formation(appID)
	for _, f := range all {
		if f.Type == processType || f.ID == processType {
			return f, err
		}
	}
	if err == nil {
		err = platform.Invalid("Couldn't find that process type (%s).", processType)
	}
	return platform.Formation{}, err
}

func scaled(f platform.Formation, u FormationUpdate) (platform.Formation, error) {
	if u.Quantity != nil {
		n, err := strconv.Atoi(*u.Quantity)
		if err != nil {
			return f, platform.Invalid("Quantity %q is not a number; give 2, or +1 and -1 to change what is there.", *u.Quantity)
		}
		if strings.HasPrefix(*u.Quantity, "+") || strings.HasPrefix(*u.Quantity, "-") {
			n += f.Quantity
		}
		if n < 0 || n > maxQuantity {
			return f, platform.Invalid("%s can be scaled to 0 to %d dynos, not to %d.", f.Type, maxQuantity, n)
		}
		f.Quantity = n
	}
	if u.Size != nil {
		size, ok := platform.SizeNamed(*u.Size)
		if !ok {
			var names []string
			for _, s := range platform.DynoSizes() {
				names = append(names, s.Name)
			}
			return f, platform.Invalid("No such dyno size as %s. Available sizes are %s.", *u.Size, strings.Join(names, ", "))
		}
		f.Size = size.Name
	}
	if f.Quantity > 1 && (f.Size == "Eco" || f.Size == "Basic") {
		return f, platform.Invalid("Cannot update to more than 1 %s size dynos per process type.", f.Size)
	}
	f.UpdatedAt = now()
	return f, nil
}

// syncFormation makes the formation what a slug's Procfile declares. The first
// web comes as one dyno, every other new type as none; types that are gone
// are dropped.
func syncFormation(tx *store.Tx, appID string, slug platform.Slug) error {
	have, err := tx.Formation(appID)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	size := defaultSize
	for _, f := range have {
		known[f.Type], size = true, f.Size
		command, declared := slug.ProcessTypes[f.Type]
		switch {
		case !declared:
			err = tx.DeleteFormation(f.ID)
		case command != f.Command:
			f.Command, f.UpdatedAt = command, now()
			err = tx.SaveFormation(f)
		}
		if err != nil {
			return err
		}
	}
	for processType, command := range slug.ProcessTypes {
		if known[processType] {
			continue
		}
		f := platform.Formation{ID: newID(), AppID: appID, Type: processType, Command: command, Size: size, CreatedAt: now(), UpdatedAt: now()}
		if processType == "web" && len(have) == 0 {
			f.Quantity = 1
		}
		if err := tx.InsertFormation(f); err != nil {
			return err
		}
	}
	return nil
}
