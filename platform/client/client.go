// Package client speaks the Platform API for niwa's own commands: the calls
// they make, typed, and no more. It is a client like any other; what it can
// do, the official CLI can.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"niwa/platform"
)

// Client calls one Platform API. Its methods may be called at the same time.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New returns a client of the API at base, such as http://localhost:5100,
// that authenticates with token. Its calls end when their context does;
// there is no other time limit, because builds stream for minutes.
func New(base, token string) *Client {
	return &Client{
		base:  strings.TrimRight(base, "/"),
		token: token,
		// No proxy: the API is on this machine whatever HTTP_PROXY says.
		http: &http.Client{Transport: &http.Transport{}},
	}
}

// maxAnswer bounds what is read of one JSON answer.
const maxAnswer = 32 << 20

// call sends in as JSON and decodes the answer into out; either may be nil.
// An answer that is a Platform API error comes back as *platform.Error.
func (c *Client) call(ctx context.Context, method, path string, in, out any, headers ...string) error {
	_, err := c.exchange(ctx, method, path, in, out, headers...)
	return err
}

// list reads every page of a collection.
func list[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	var all []T
	var headers []string
	for {
		var page []T
		answer, err := c.exchange(ctx, http.MethodGet, path, nil, &page, headers...)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		next := answer.Get("Next-Range")
		if next == "" {
			return all, nil
		}
		headers = []string{"Range", next}
	}
}

func (c *Client) exchange(ctx context.Context, method, path string, in, out any, headers ...string) (http.Header, error) {
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/vnd.heroku+json; version=3")
	req.Header.Set("Authorization", "Bearer "+c.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, failure(method, path, resp.StatusCode, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	return resp.Header, nil
}

// do leaves the URL out of a transport's error: upload and output URLs are
// secrets.
func (c *Client) do(req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(req)
	var withURL *url.Error
	if errors.As(err, &withURL) {
		return nil, fmt.Errorf("%s %s: %w", req.Method, req.URL.Host, withURL.Err)
	}
	return resp, err
}

func failure(method, path string, status int, answer []byte) error {
	var e platform.Error
	if err := json.Unmarshal(answer, &e); err == nil && e.ID != "" {
		return &e
	}
	return fmt.Errorf("%s %s: %d %s", method, path, status, http.StatusText(status))
}

// IsNotFound says whether err is the API's not_found.
func IsNotFound(err error) bool {
	var e *platform.Error
	return errors.As(err, &e) && e.ID == platform.NotFound
}

// pathOf joins path elements that may hold any character.
func pathOf(elements ...string) string {
	var b strings.Builder
	for _, e := range elements {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(e))
	}
	return b.String()
}
