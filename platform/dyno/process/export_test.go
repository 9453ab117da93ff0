package process

import "errors"

// WithoutNamespaces makes a runner do as where there are none.
func WithoutNamespaces(r *Runner) {
	r.alter(func(h *host) { h.contained, h.userns = errors.New("not in this test"), false })
}

// WithoutGroups makes a runner do as where there are none.
func WithoutGroups(r *Runner) {
	r.alter(func(h *host) { h.groups, h.ungrouped = nil, errors.New("not in this test") })
}

func (r *Runner) alter(change func(*host)) {
	examined := r.host
	r.host = func() (*host, error) {
		h, err := examined()
		if err != nil {
			return nil, err
		}
		changed := *h
		change(&changed)
		return &changed, nil
	}
}
