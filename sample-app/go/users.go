package main

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// User is one row. Version is what an ETag shows.
type User struct {
	ID        int64     `json:"id"`
	Name      string    `json:"name"`
	Email     string    `json:"email"`
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Input is what a client may say of a user.
type Input struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// What an email is made of: ada.lovelace@example.com has four atoms.
const (
	atom  = `[^\p{Z}\p{Cc}@"(),.:;<>\[\\\]]+`
	atoms = atom + `(\.` + atom + `)*`
)

var address = regexp.MustCompile("^" + atoms + "@" + atoms + "$")

// clean returns the input as it is stored, or what is wrong with it.
func (in Input) clean() (Input, error) {
	in.Name, in.Email = strings.TrimSpace(in.Name), strings.TrimSpace(in.Email)
	switch {
	case in.Name == "":
		return in, invalid("name is required")
	case utf8.RuneCountInString(in.Name) > 100:
		return in, invalid("name is longer than 100 characters")
	case strings.ContainsFunc(in.Name, unicode.IsControl):
		return in, invalid("name holds a control character")
	case in.Email == "":
		return in, invalid("email is required")
	case len(in.Email) > 254 || !address.MatchString(in.Email):
		return in, invalid("email is not an address like user@example.com")
	}
	return in, nil
}

// Users is the one place that changes users, so that no change forgets the
// cache or its event.
type Users struct {
	db     *pgxpool.Pool
	cache  *Cache
	outbox *Outbox
}

const columns = `id, name, email, version, created_at, updated_at`

// one reads the only row of a query.
func one(rows pgx.Rows, err error) (User, error) {
	if err != nil {
		return User{}, err
	}
	user, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[User])
	var pgErr *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return User{}, errNotFound
	case errors.As(err, &pgErr) && pgErr.ConstraintName == "users_email":
		return User{}, errEmailTaken
	}
	return user, err
}

// Create adds a user. The cache cannot know of it yet.
func (u *Users) Create(ctx context.Context, in Input) (user User, err error) {
	err = pgx.BeginFunc(ctx, u.db, func(tx pgx.Tx) error {
		if user, err = one(tx.Query(ctx, `INSERT INTO users (name, email) VALUES ($1, $2) RETURNING `+columns, in.Name, in.Email)); err != nil {
			return err
		}
		return u.outbox.Add(ctx, tx, "user.created", user)
	})
	return user, err
}

// Get reads a user, from the cache where that can be believed and else from
// Postgres. how is hit, miss or bypass.
func (u *Users) Get(ctx context.Context, id int64) (user User, how string, err error) {
	look, err := u.cache.Look(ctx, id)
	if err != nil || look.How == hit {
		return look.User, look.How, err
	}
	if look.lease == "" {
		user, err = one(u.db.Query(ctx, `SELECT `+columns+` FROM users WHERE id = $1`, id))
		return user, look.How, err
	}
	// The row stays as it is until the cache has it, and waits for who is
	// changing it.
	err = pgx.BeginFunc(ctx, u.db, func(tx pgx.Tx) error {
		if user, err = one(tx.Query(ctx, `SELECT `+columns+` FROM users WHERE id = $1 FOR SHARE`, id)); err == nil {
			u.cache.Fill(ctx, look, user)
		}
		return err
	})
	return user, look.How, err
}

// List returns up to limit users after an id whose name or email holds the
// text, in the order they were created. A list is never cached: it would have
// to be forgotten with every change of any user.
func (u *Users) List(ctx context.Context, after int64, limit int, text string) ([]User, error) {
	rows, err := u.db.Query(ctx, `SELECT `+columns+` FROM users
		WHERE id > $1 AND (name ILIKE $2 OR email ILIKE $2) ORDER BY id LIMIT $3`, after, contains(text), limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[User])
}

// contains is the LIKE pattern of what holds text.
func contains(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
}

// Update replaces a user. match is the version it must have, or 0 for any.
func (u *Users) Update(ctx context.Context, id, match int64, in Input) (User, error) {
	return u.change(ctx, id, match, "user.updated", `UPDATE users SET name = $2, email = $3, version = version + 1, updated_at = now()
		WHERE id = $1 RETURNING `+columns, in.Name, in.Email)
}

// Delete removes a user. match is the version it must have, or 0 for any.
func (u *Users) Delete(ctx context.Context, id, match int64) error {
	_, err := u.change(ctx, id, match, "user.deleted", `DELETE FROM users WHERE id = $1 RETURNING `+columns)
	return err
}

// change runs a statement on one user, writes its event, and makes the cache
// forget the user.
func (u *Users) change(ctx context.Context, id, match int64, kind, sql string, args ...any) (user User, err error) {
	var untold bool
	err = pgx.BeginFunc(ctx, u.db, func(tx pgx.Tx) error {
		old, err := one(tx.Query(ctx, `SELECT `+columns+` FROM users WHERE id = $1 FOR UPDATE`, id))
		if err != nil {
			return err
		}
		if match != 0 && match != old.Version {
			return errStale
		}
		if user, err = one(tx.Query(ctx, sql, append([]any{id}, args...)...)); err != nil {
			return err
		}
		if err = u.outbox.Add(ctx, tx, kind, user); err != nil {
			return err
		}
		untold, err = u.cache.Forget(ctx, tx, id)
		return err
	})
	if err == nil && untold {
		time.Sleep(epochTrust) // whatever happens to the request: see Forget
	}
	return user, err
}

// Ping says whether Postgres answers and has the schema.
func (u *Users) Ping(ctx context.Context) error {
	_, err := u.db.Exec(ctx, `SELECT FROM users LIMIT 0`)
	return err
}
