package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"niwa/platform"
)

// signer makes URLs that are secrets themselves: whoever has one may do the
// one thing it is for, until it expires.
type signer struct{ key []byte }

// url signs a path with its query for one HTTP method.
func (s signer) url(base, method, path string, query url.Values, expires time.Time) string {
	q := url.Values{}
	for name, values := range query {
		q[name] = values
	}
	q.Set("expires", strconv.FormatInt(expires.Unix(), 10))
	q.Set("signature", s.mac(method, path, q))
	return base + path + "?" + q.Encode()
}

// verify returns the query of a signed request. Whatever is wrong with one, it
// is as if there were nothing.
func (s signer) verify(f *fiber.Ctx, now time.Time) (url.Values, error) {
	q, err := url.ParseQuery(string(f.Request().URI().QueryString()))
	if err != nil {
		return nil, notThere()
	}
	signature := q.Get("signature")
	q.Del("signature")
	expires, err := strconv.ParseInt(q.Get("expires"), 10, 64)
	good := hmac.Equal([]byte(signature), []byte(s.mac(f.Method(), f.Path(), q)))
	if err != nil || !good || now.Unix() > expires {
		return nil, notThere()
	}
	return q, nil
}

func notThere() *platform.Error {
	return platform.Errorf(platform.NotFound, "There is nothing here, or the URL has expired. Ask for a new one.")
}

func (s signer) mac(method, path string, q url.Values) string {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte("niwa url\n" + method + "\n" + path + "\n" + q.Encode()))
	return hex.EncodeToString(h.Sum(nil))
}

// lasting is an expiry two to three days from now. It is the same all day, so
// that what holds such a URL does not change with every look at it.
func lasting(now time.Time) time.Time {
	return now.UTC().Truncate(24*time.Hour).AddDate(0, 0, 3)
}
