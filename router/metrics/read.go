package metrics

import (
	"fmt"
	"strconv"
	"time"
)

// Window is what a time series is asked for: the steps in which Start and End
// are, and those between.
type Window struct {
	Start, End time.Time
	Step       time.Duration
}

// maxPoints bounds an answer: a day in minutes.
const maxPoints = 24*60 + 1

// Check says what is wrong with a window.
func (w Window) Check() error {
	switch {
	case w.Step < Step || w.Step%Step != 0 || w.Step > minute && w.Step%minute != 0:
		return fmt.Errorf("step is a multiple of 10s, and from 1m on of 1m; %s is neither", w.Step)
	case w.End.Before(w.Start):
		return fmt.Errorf("start_time is after end_time")
	case w.End.Sub(w.Start)/w.Step >= maxPoints:
		return fmt.Errorf("there are more than %d steps of %s from start_time to end_time", maxPoints, w.Step)
	}
	return nil
}

// Series is an answer as Heroku's metrics API has it, which is not documented;
// its own dashboard and heroku apps:errors read it. Each list of Data begins at
// StartTime, and null is what is not known.
type Series struct {
	StartTime time.Time             `json:"start_time"`
	EndTime   time.Time             `json:"end_time"`
	Step      float64               `json:"step"` // in minutes
	Data      map[string][]*float64 `json:"data"`
}

// Kind is what a series is of.
type Kind string

// The first three are Heroku's.
const (
	Latency    Kind = "latency"    // latency.ms.p50 and the like, of service; null in steps without a request
	Errors     Kind = "errors"     // how often there was H12, by code
	Status     Kind = "status"     // how many answers had 200, by status
	Throughput Kind = "throughput" // bytes.in and bytes.out, and requests.in-flight.max
)

// point is a step of a series.
type point struct {
	known bool
	sample
}

// Read is a series of an app, of what several routers have counted together. now
// is when it is asked for.
func Read(kind Kind, w Window, appID string, now time.Time, routers ...*Metrics) Series {
	start, end := floor(w.Start, w.Step), floor(w.End, w.Step)
	step := int64(w.Step / time.Second)
	points := make([]point, (end-start)/step+1)
	for _, m := range routers {
		m.read(appID, now, w.Step, func(from int64, slots []slot) {
			for i := range points {
				at := start + int64(i)*step
				points[i].known = points[i].known || at+step > from && at <= now.Unix()
			}
			for _, s := range slots {
				if i := (s.at - start) / step; s.at >= start && i < int64(len(points)) {
					points[i].sample = points[i].and(unpack(s.data))
				}
			}
		})
	}
	s := Series{time.Unix(start, 0).UTC(), time.Unix(end, 0).UTC(), w.Step.Minutes(), map[string][]*float64{}}
	for i, p := range points {
		kind.add(p.sample, func(name string, value float64) {
			if s.Data[name] == nil {
				s.Data[name] = make([]*float64, len(points))
			}
			s.Data[name][i] = &value
		})
	}
	if kind != Latency {
		s.zero(points)
	}
	return s
}

// zero fills in that nothing was counted in the steps in which there was who
// counts.
func (s Series) zero(points []point) {
	for _, values := range s.Data {
		for i := range values {
			if values[i] == nil && points[i].known {
				values[i] = new(float64)
			}
		}
	}
}

// add adds the values that a sample has of this kind.
func (k Kind) add(s sample, add func(name string, value float64)) {
	switch k {
	case Latency:
		if len(s.service) == 0 {
			return
		}
		milliseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		add("latency.ms.max", milliseconds(s.slowest))
		for _, percent := range []int{50, 95, 99} {
			add(fmt.Sprintf("latency.ms.p%d", percent), milliseconds(quantile(s.service, float64(percent)/100, s.slowest)))
		}
	case Errors:
		for _, c := range s.codes {
			add(fmt.Sprintf("H%02d", c.key), float64(c.n))
		}
	case Status:
		for _, c := range s.statuses {
			if c.key > 0 {
				add(strconv.Itoa(c.key), float64(c.n))
			}
		}
	case Throughput:
		for name, n := range map[string]uint64{"bytes.in": s.in, "bytes.out": s.out, "requests.in-flight.max": uint64(s.inFlight)} {
			if n > 0 {
				add(name, float64(n))
			}
		}
	}
}

// read gives use what there is of an app, up to now, and from when on it is all
// there was.
func (m *Metrics) read(appID string, now time.Time, step time.Duration, use func(from int64, slots []slot)) {
	m.mu.Lock()
	a, known := m.apps[appID]
	from, last := m.began.Unix(), m.recorded
	m.mu.Unlock()
	switch {
	case !known && m.crowded():
		return // it was counted with others
	case !known:
		use(from, nil)
		return
	}
	a.record(last, now)
	a.mu.Lock()
	defer a.mu.Unlock()
	older, newer, lost := a.history.of(step)
	use(max(from, lost), older)
	use(max(from, lost), newer)
}
