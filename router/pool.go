package router

// retire closes the idle connections, and has none come back.
func (b *backend) retire() {
	b.gone = true
	for _, c := range b.idle {
		c.Close()
	}
	b.idle = nil
}

// reuse takes the idle connection to the dyno that was used last, or nil. The
// dyno may have closed it since the last sweep.
func (b *backend) reuse() *dynoConn {
	last := len(b.idle) - 1
	if last < 0 {
		return nil
	}
	d := b.idle[last]
	b.idle[last] = nil
	b.idle = b.idle[:last]
	return d
}

// keep puts a connection by. f.mu is held.
func (f *fleet) keep(b *backend, d *dynoConn) {
	if f.closed || b.gone {
		d.Close()
		return
	}
	d.idleAt = f.tower.now.Load()
	b.idle = append(b.idle, d)
}

// reap closes the connections that were idle for too long, and those that the
// dyno closed or said something on unasked.
func (f *fleet) reap() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.backends {
		kept := b.idle[:0]
		for _, c := range b.idle {
			if f.tower.now.Load()-c.idleAt > int64(f.keepAlive) || c.raw != nil && spoke(c.raw) {
				c.Close()
			} else {
				kept = append(kept, c)
			}
		}
		clear(b.idle[len(kept):])
		b.idle = kept
	}
}

// close closes every idle connection, and keeps none from then on.
func (f *fleet) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, b := range f.backends {
		b.retire()
	}
}
