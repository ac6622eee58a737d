package report

import "time"

const (
	calm    = 10 * time.Second // between two writes of what can wait
	slowest = 5 * time.Minute  // between two writes of a deployment that flaps
	burst   = 5                // writes that may go at once before a deployment counts as flapping
)

// Pace says when a deployment's status may be written. What a person waits for goes at once, as long as that does not
// happen all the time; what can wait is gathered for ten seconds; a deployment that flaps waits twice as long each time,
// up to five minutes, and is calm again after as long a pause. The zero value is ready.
type Pace struct {
	last     time.Time
	interval time.Duration
	spent    int // urgent writes since it was calm
	order    int64
}

// Ordered names the order that the status is of, by its sequence. What follows a new one is no flapping: somebody waits for it.
func (p *Pace) Ordered(sequence int64) {
	if sequence != p.order {
		*p = Pace{last: p.last, order: sequence}
	}
}

// Due is the moment at which a status may be written.
func (p *Pace) Due(urgent bool) time.Time {
	if urgent && p.spent < burst {
		return p.last
	}
	return p.last.Add(max(p.interval, calm))
}

// Wrote notes a write.
func (p *Pace) Wrote(now time.Time, urgent bool) {
	quiet := now.Sub(p.last)
	switch {
	case quiet >= 2*max(p.interval, calm):
		p.interval, p.spent = calm, 0
	case urgent && p.spent < burst:
	default:
		p.interval = min(2*max(p.interval, calm), slowest)
	}
	if urgent {
		p.spent++
	}
	p.last = now
}
