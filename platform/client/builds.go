package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

// Build is what niwa's commands read of a build. Status is one of platform's
// statuses.
type Build struct {
	ID              string `json:"id"`
	Status          string `json:"status"`
	OutputStreamURL string `json:"output_stream_url"`
	SourceBlob      struct {
		Version string `json:"version"`
	} `json:"source_blob"`
	Release *struct {
		ID string `json:"id"`
	} `json:"release"`
}

// Release is what niwa's commands read of a release.
type Release struct {
	ID              string `json:"id"`
	Version         int    `json:"version"`
	Status          string `json:"status"`
	OutputStreamURL string `json:"output_stream_url"`
}

// LatestBuild returns the newest build of an app; ok is false when there is none.
func (c *Client) LatestBuild(ctx context.Context, app string) (build Build, ok bool, err error) {
	var builds []Build
	err = c.call(ctx, http.MethodGet, pathOf("apps", app, "builds"), nil, &builds,
		"Range", "created_at ..; max=1, order=desc")
	if err != nil || len(builds) == 0 {
		return Build{}, false, err
	}
	return builds[0], true, nil
}

// Build finds a build by its id.
func (c *Client) Build(ctx context.Context, app, id string) (Build, error) {
	var b Build
	return b, c.call(ctx, http.MethodGet, pathOf("apps", app, "builds", id), nil, &b)
}

// Release finds a release by its id or version.
func (c *Client) Release(ctx context.Context, app, id string) (Release, error) {
	var r Release
	return r, c.call(ctx, http.MethodGet, pathOf("apps", app, "releases", id), nil, &r)
}

// CreateBuild uploads a gzipped tar of source and starts a build of it.
// Version is the client's own name for the source.
func (c *Client) CreateBuild(ctx context.Context, app string, tarball []byte, version string) (Build, error) {
	var source struct {
		Blob struct {
			GetURL string `json:"get_url"`
			PutURL string `json:"put_url"`
		} `json:"source_blob"`
	}
	if err := c.call(ctx, http.MethodPost, "/sources", nil, &source); err != nil {
		return Build{}, err
	}
	if err := c.put(ctx, source.Blob.PutURL, tarball); err != nil {
		return Build{}, err
	}
	var b Build
	return b, c.call(ctx, http.MethodPost, pathOf("apps", app, "builds"), map[string]any{
		"source_blob": map[string]string{"url": source.Blob.GetURL, "version": version},
	}, &b)
}

// put uploads to a URL that is itself the secret, so no token goes with it.
func (c *Client) put(ctx context.Context, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("uploading the source: %s", resp.Status)
	}
	return nil
}

// Stream copies an output stream (of a build, of a release) to w until it ends.
func (c *Client) Stream(ctx context.Context, url string, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := c.do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("reading the output: %s", resp.Status)
	}
	_, err = io.Copy(w, resp.Body)
	return err
}
