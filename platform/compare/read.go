package compare

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"niwa/platform/client"
)

// clients read at the same time.
const clients = 8

// reader reads one user of an app, through the router.
type reader struct {
	router, host string
	http         *http.Client
}

func newReader(router, host string) *reader {
	return &reader{router, host, &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: clients},
		Timeout:   30 * time.Second,
	}}
}

func (r *reader) do(ctx context.Context, method, path, body string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.router+path, strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Host = r.host
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp, answer, err
}

// create makes the user that is read, and returns its path.
func (r *reader) create(ctx context.Context) (string, error) {
	resp, body, err := r.do(ctx, http.MethodPost, "/users", `{"name": "Ada", "email": "ada@example.com"}`)
	if err != nil {
		return "", err
	}
	var user struct {
		ID int64 `json:"id"`
	}
	if resp.StatusCode != http.StatusCreated || json.Unmarshal(body, &user) != nil {
		return "", fmt.Errorf("the app answers %s to a new user", resp.Status)
	}
	return fmt.Sprintf("/users/%d", user.ID), nil
}

// await waits until the app reads from where it should.
func (r *reader) await(ctx context.Context, path, from string) error {
	var last string
	err := client.Await(ctx, time.Minute, func(time.Duration) (bool, error) {
		resp, _, err := r.do(ctx, http.MethodGet, path, "")
		if err != nil {
			return false, err
		}
		last = resp.Status + ", X-Cache: " + resp.Header.Get("X-Cache")
		return resp.StatusCode == http.StatusOK && resp.Header.Get("X-Cache") == from, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for reads to be a %s (the last was %s): %w", from, last, err)
	}
	return nil
}

// rate is how many reads a second get an answer. Some may come from elsewhere,
// as an entry of the cache ends after a minute, and a busy Redis is passed by;
// if most do, or one fails, there is no rate.
func (r *reader) rate(ctx context.Context, path, from string, span time.Duration) (float64, error) {
	if err := r.await(ctx, path, from); err != nil {
		return 0, err
	}
	began := time.Now()
	var answered, elsewhere atomic.Int64
	var once sync.Once
	var failed error
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for time.Since(began) < span {
				resp, _, err := r.do(ctx, http.MethodGet, path, "")
				if err == nil && resp.StatusCode != http.StatusOK {
					err = fmt.Errorf("the app answers %s to a read", resp.Status)
				}
				if err != nil {
					once.Do(func() { failed = err })
					return
				}
				answered.Add(1)
				if resp.Header.Get("X-Cache") != from {
					elsewhere.Add(1)
				}
			}
		})
	}
	all.Wait()
	if failed == nil && elsewhere.Load()*2 > answered.Load() {
		failed = fmt.Errorf("%d of %d reads were no %s", elsewhere.Load(), answered.Load(), from)
	}
	return float64(answered.Load()) / time.Since(began).Seconds(), failed
}
