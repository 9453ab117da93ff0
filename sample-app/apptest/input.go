package apptest

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
)

// whiteSpace tests that what Unicode calls white space is cut off, and nothing
// else, and in no more time than a request may take.
func (c *client) whiteSpace(t *testing.T) {
	space := ""
	for r := range unicode.MaxRune {
		if unicode.Is(unicode.White_Space, r) {
			space += string(r)
		}
	}
	user := c.create(t, "Ada")
	for name, want := range map[string]string{
		space + "Ada" + space:    "Ada",
		"A\u00a0d\u2003a":        "A\u00a0d\u2003a",
		"\ufeffAda\ufeff":        "\ufeffAda\ufeff", // a byte order mark
		"\u200bAda\u180e\u2060":  "\u200bAda\u180e\u2060",
		"\u2028\ufeffAda\u2029 ": "\ufeffAda",
		space + "\u200d" + space: "\u200d",
	} {
		changed, _ := c.wantUser(t, http.StatusOK, "PUT", path(user), input(name, space+user.Email+space))
		if changed.Name != want || changed.Email != user.Email {
			t.Errorf("%+q, %+q came back as %+q, %+q", name, space+user.Email+space, changed.Name, changed.Email)
		}
	}
	c.wantError(t, http.StatusUnprocessableEntity, "invalid_params", "PUT", path(user), input(space, user.Email))
	c.wantError(t, http.StatusUnprocessableEntity, "invalid_params", "PUT", path(user), input("\x1cAda", user.Email))

	began := time.Now()
	within := strings.Repeat(" ", 60_000)
	c.wantError(t, http.StatusUnprocessableEntity, "invalid_params", "PUT", path(user), input("A"+within+"da", user.Email))
	c.wantError(t, http.StatusUnprocessableEntity, "invalid_params", "PUT", path(user), input("Ada", "a"+within+user.Email))
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("to look through two texts took %v", took)
	}
}

func (c *client) invalidInput(t *testing.T) {
	user := c.create(t, "Ada")
	fine := c.email()
	for body, want := range map[string]int{
		`{"email":"` + fine + `"}`:                           422,
		input(" ", fine):                                     422,
		input(strings.Repeat("a", 101), fine):                422,
		input(strings.Repeat("🌱", 101), fine):                422,
		`{"name":null,"email":"` + fine + `"}`:               422,
		input("a\x7fb", fine):                                422,
		input("a\x00b", fine):                                422,
		input("a\nb", fine):                                  422,
		`{"name":1,"email":"` + fine + `"}`:                  400,
		`{"name":"Ada","email":"` + fine + `","admin":true}`: 400,
		`{"NAME":"Ada","email":"` + fine + `"}`:              400,
		input("Ada", fine) + "{}":                            400,
		`{"name":`:                                           400,
		`[]`:                                                 400,
		strings.Repeat(`[`, 60_000):                          400,
		"\ufeff" + input("Ada", fine):                        400, // a byte order mark
		"\"\xff\"":                                           400,
		// Half of a surrogate pair, which no UTF-8 can hold.
		`{"name":"\ud800","email":"` + fine + `"}`:        400,
		`{"name":"Ada \uDC00 ","email":"` + fine + `"}`:   400,
		`{"name":"\ud83cx\udf31","email":"` + fine + `"}`: 400,
		`{"name":"\udf31\ud83c","email":"` + fine + `"}`:  400,
		`{"name":"Ada","email":"\udbff` + fine + `"}`:     400,
		`{"name":"","email":"\udfff"}`:                    400,
		`{"name":"Ada","\ud800":null}`:                    400,
		`{"name":"` + "\xed\xa0\x80" + `"}`:               400,
		`{"name":"` + strings.Repeat("a", 1<<17) + `"}`:   413,
	} {
		id := map[int]string{422: "invalid_params", 400: "bad_request", 413: "request_too_large"}[want]
		c.wantError(t, want, id, "POST", "/users", body)
		c.wantError(t, want, id, "PUT", path(user), body)
	}
	// What looks like it, and is whole or not one.
	for text, name := range map[string]string{`\ud83c\udf31`: "🌱", `\uD83C\uDF31`: "🌱", `\\ud800`: `\ud800`, `\\\\udc00`: `\\udc00`, `\ufffd`: "\ufffd", `\ud7ff\ue000`: "\ud7ff\ue000"} {
		if user, _ = c.wantUser(t, http.StatusOK, "PUT", path(user), `{"name":"`+text+`","email":"`+fine+`"}`); user.Name != name {
			t.Errorf("%s became %q", text, user.Name)
		}
	}
	// What is looked at first.
	c.wantError(t, http.StatusNotFound, "not_found", "PUT", "/users/x", "{", "If-Match", `"what"`)
	c.wantError(t, http.StatusPreconditionFailed, "precondition_failed", "PUT", path(user), "{", "If-Match", `"what"`)
	c.wantError(t, http.StatusUnprocessableEntity, "invalid_params", "PUT", "/users/9007199254740991", input("", fine))

	if read, _ := c.wantUser(t, http.StatusOK, "GET", path(user), ""); read != user {
		t.Errorf("invalid input has made %+v of %+v", read, user)
	}
}

func (c *client) invalidEmail(t *testing.T) {
	user := c.create(t, "Ada")
	for _, email := range []string{
		"", "nobody", "@example.com", "nobody@", "Ada <" + user.Email + ">", user.Email + ", " + user.Email, user.Email + " (Ada)",
		"a.." + user.Email, "." + user.Email, user.Email + ".", "a@" + user.Email, `"a b"@example.com`, "a@[127.0.0.1]", "a@example:80",
		"a b" + user.Email, "a\u00a0b" + user.Email, "a\u2028b" + user.Email, "a\x00" + user.Email, "a\u0085b" + user.Email, `a\` + user.Email,
		strings.Repeat("a", 243) + "@example.com", strings.Repeat("ü", 122) + "@example.com",
	} {
		c.wantError(t, http.StatusUnprocessableEntity, "invalid_params", "PUT", path(user), input("Ada", email))
	}
	for _, email := range []string{"!#$%&'*+-/=?^_`{|}~." + user.Email, "ü🌱\ufeff" + user.Email, c.tag + "@x", strings.Repeat("a", 242-len(c.tag)) + c.tag + "@example.com"} {
		if user, _ = c.wantUser(t, http.StatusOK, "PUT", path(user), input("Ada", email)); user.Email != email {
			t.Errorf("%q became %q", email, user.Email)
		}
	}
}

// largest tests that a body may have 64 KiB and no more.
func (c *client) largest(t *testing.T) {
	user := c.create(t, "Ada")
	body := input("Ada", user.Email)
	body += strings.Repeat(" ", 64<<10-len(body))
	c.wantUser(t, http.StatusOK, "PUT", path(user), body)
	c.wantError(t, http.StatusRequestEntityTooLarge, "request_too_large", "PUT", path(user), body+" ")
}
