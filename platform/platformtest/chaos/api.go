//go:build linux

package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// api is the Platform API of the niwa that runs.
type api struct {
	base, token string
	http        *http.Client
}

// callTime is how long an answer may take. Data servers that were killed take
// their time to come back, and calls wait for them; and the machine may be busy
// with other things.
const callTime = 90 * time.Second

// refusal is an answer that does not acknowledge what was asked for.
type refusal struct {
	call   string
	status int
	body   string
}

func (r *refusal) Error() string { return fmt.Sprintf("%s: %d %s", r.call, r.status, r.body) }

func newAPI(base, token string) *api {
	return &api{base: base, token: token, http: &http.Client{Transport: &http.Transport{}, Timeout: callTime}}
}

// call asks for something and decodes the answer into out, unless that is nil.
// It returns nil only for what has been acknowledged.
func (a *api) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/vnd.heroku+json; version=3")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Range", "id ..; max=1000")
	req.SetBasicAuth("", a.token)
	resp, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode/100 != 2:
		return &refusal{method + " " + path, resp.StatusCode, string(data)}
	case out == nil:
		return nil
	}
	return json.Unmarshal(data, out)
}

// renew has the calls that follow made with a token of their own: a token may
// make 4500 calls an hour, and to look at everything takes many.
func (a *api) renew(ctx context.Context) error {
	var made struct {
		AccessToken struct{ Token string } `json:"access_token"`
	}
	if err := a.call(ctx, "POST", "/oauth/authorizations", map[string]any{"expires_in": 3600}, &made); err != nil {
		return err
	}
	a.token = made.AccessToken.Token
	return nil
}

// log reads the last lines of an app's log.
func (a *api) log(ctx context.Context, app string, lines int) (string, error) {
	var session struct {
		URL string `json:"logplex_url"`
	}
	if err := a.call(ctx, "POST", "/apps/"+app+"/log-sessions", map[string]any{"lines": lines}, &session); err != nil {
		return "", err
	}
	resp, err := a.http.Get(session.URL)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// visit asks an app for its page through the router.
func visit(ctx context.Context, router, host string) (page, error) {
	var p page
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, router, nil)
	if err != nil {
		return p, err
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return p, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %d: %.100q", host, resp.StatusCode, data)
	}
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(data, &p)
}

// page is what testdata/app answers.
type page struct {
	Content string
	Boot    string // of the very process
	Dyno    string
	Env     map[string]string
}
