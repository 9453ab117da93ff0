package metrics

import "time"

const (
	// Step is how often Record is to be called, and the finest that time is told
	// apart by.
	Step   = 10 * time.Second
	minute = time.Minute

	fineSpan   = 2 * time.Hour  // in steps
	coarseSpan = 24 * time.Hour // in minutes

	// What an app may take, in bytes; its oldest samples go first. One that is busy
	// all day takes about half.
	fineSize   = 256 << 10
	coarseSize = 512 << 10
)

// history is an app's samples, those in which there was something.
type history struct {
	fine, coarse samples
	rolled       int64 // fine ones from before are in coarse, too
}

// samples are the samples of steps, the oldest first.
type samples struct {
	slots []slot
	size  int
	lost  int64 // of what ended before, some was dropped for its size
}

// slot is one step: when it began, in seconds since 1970, and its sample, packed.
type slot struct {
	at   int64
	data []byte
}

// slotSize is what a slot takes beside its data.
const slotSize = 32

// floor is when the step of some length began that a time is in. All begin
// where they do for Heroku, on the hour, as UTC has it.
func floor(t time.Time, step time.Duration) int64 { return t.UTC().Truncate(step).Unix() }

// add adds what was counted in the step that began at, and drops what is too
// old.
func (h *history) add(at, now time.Time, s sample) {
	h.fine.add(max(floor(at, Step), h.rolled), s)
	h.age(now)
}

// age moves time on: minutes that are over are made of their steps.
func (h *history) age(now time.Time) {
	over := floor(now, minute)
	for _, s := range h.fine.from(h.rolled) {
		if s.at < over {
			h.coarse.add(s.at-s.at%60, unpack(s.data))
		}
	}
	h.rolled = max(h.rolled, over)
	h.fine.drop(now.Add(-fineSpan), Step, fineSize)
	h.coarse.drop(now.Add(-coarseSpan), minute, coarseSize)
}

// of is the samples that steps of this length are made of, in two parts.
func (h *history) of(step time.Duration) (older, newer []slot, lost int64) {
	if step < minute {
		return nil, h.fine.slots, h.fine.lost
	}
	return h.coarse.slots, h.fine.from(h.rolled), h.coarse.lost
}

func (l *samples) add(at int64, s sample) {
	if last := len(l.slots) - 1; last >= 0 && l.slots[last].at >= at {
		at, s = l.slots[last].at, unpack(l.slots[last].data).and(s)
		l.size -= slotSize + len(l.slots[last].data)
		l.slots = l.slots[:last]
	}
	data := s.pack()
	l.slots = append(l.slots, slot{at, data})
	l.size += slotSize + len(data)
}

// from is the slots from a time on.
func (l *samples) from(at int64) []slot {
	i := len(l.slots)
	for i > 0 && l.slots[i-1].at >= at {
		i--
	}
	return l.slots[i:]
}

func (l *samples) drop(before time.Time, step time.Duration, most int) {
	n := 0
	for ; n < len(l.slots); n++ {
		old := l.slots[n].at < before.Unix()
		if !old && l.size <= most {
			break
		}
		if !old {
			l.lost = l.slots[n].at + int64(step/time.Second)
		}
		l.size -= slotSize + len(l.slots[n].data)
	}
	clear(l.slots[:n])
	l.slots = l.slots[n:] // append moves what is left, now and then
}
