package store

import (
	"encoding/json"
	"fmt"

	"niwa/platform"
)

// secret is a sealed set of config vars. It goes when its app goes; AppID is
// nil for those of add-ons, which outlive an app until they are deprovisioned.
type secret struct {
	Kind   string `bun:",pk"`
	Owner  string `bun:",pk"`
	AppID  *string
	Sealed []byte
}

func (tx *Tx) secret(kind, owner string) (platform.Config, error) {
	row, err := one[secret](tx, "credential", "kind = ? AND owner = ?", kind, owner)
	if err != nil {
		return nil, err
	}
	plain, err := tx.seal.Open(nil, nil, row.Sealed, []byte(kind+"\x00"+owner))
	if err != nil {
		return nil, fmt.Errorf("config of %s %s cannot be unsealed: the key file is not the one it was sealed with", kind, owner)
	}
	config := platform.Config{}
	return config, json.Unmarshal(plain, &config)
}

func (tx *Tx) putSecret(appID, kind, owner string, config platform.Config) error {
	plain, err := json.Marshal(config)
	if err != nil {
		return err
	}
	row := secret{Kind: kind, Owner: owner, Sealed: tx.seal.Seal(nil, nil, plain, []byte(kind+"\x00"+owner))}
	if appID != "" {
		row.AppID = &appID
	}
	_, err = tx.db.NewInsert().Model(&row).On("CONFLICT (kind, owner) DO UPDATE").Exec(tx.ctx)
	return err
}
