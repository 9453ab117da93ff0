package platform

import "strings"

// DynoSize is one size of dyno. Cents is the price of a month; memory is what
// R14 measures against.
type DynoSize struct {
	ID        string
	Name      string // as it is printed: Standard-1X
	MemoryMB  int
	Compute   int // CPU share, relative
	Dedicated bool
	Cents     int
	Units     float64 // dyno units: what one dyno counts for
}

// DynoSizes lists the sizes of the Common Runtime, smallest first.
// Source: https://devcenter.heroku.com/articles/dyno-types
func DynoSizes() []DynoSize {
	return []DynoSize{
		{"6a6b8a4e-0000-4000-8000-000000000001", "Eco", 512, 1, false, 500, 1},
		{"6a6b8a4e-0000-4000-8000-000000000002", "Basic", 512, 1, false, 700, 1},
		{"6a6b8a4e-0000-4000-8000-000000000003", "Standard-1X", 512, 1, false, 2500, 1},
		{"6a6b8a4e-0000-4000-8000-000000000004", "Standard-2X", 1024, 2, false, 5000, 2},
		{"6a6b8a4e-0000-4000-8000-000000000005", "Performance-M", 2560, 12, true, 25000, 8},
		{"6a6b8a4e-0000-4000-8000-000000000006", "Performance-L", 14336, 50, true, 50000, 16},
		{"6a6b8a4e-0000-4000-8000-000000000007", "Performance-L-RAM", 30720, 24, true, 50000, 16},
		{"6a6b8a4e-0000-4000-8000-000000000008", "Performance-XL", 63488, 50, true, 75000, 32},
		{"6a6b8a4e-0000-4000-8000-000000000009", "Performance-2XL", 129024, 100, true, 150000, 64},
	}
}

// Processes is how many processes and threads a dyno may have.
// Source: https://devcenter.heroku.com/articles/dynos#process-thread-limits
func (s DynoSize) Processes() int {
	switch s.Name {
	case "Eco", "Basic", "Standard-1X":
		return 256
	case "Standard-2X":
		return 512
	case "Performance-M":
		return 16384
	}
	return 32768
}

// SizeNamed finds a size however it was typed (standard-1x, PERFORMANCE-M).
func SizeNamed(name string) (DynoSize, bool) {
	for _, s := range DynoSizes() {
		if strings.EqualFold(s.Name, name) {
			return s, true
		}
	}
	return DynoSize{}, false
}
