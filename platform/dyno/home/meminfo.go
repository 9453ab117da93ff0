package home

import "fmt"

// memInfo is a /proc/meminfo in which the machine has as much memory as the
// dyno, so that runtimes which size their heaps by it take their own share and
// not the machine's. It does not move: a dyno that watches its use reads its
// processes' own figures.
func memInfo(memory int64) []byte {
	kb := memory >> 10
	return fmt.Appendf(nil, `MemTotal:       %8[1]d kB
MemFree:        %8[1]d kB
MemAvailable:   %8[1]d kB
Buffers:        %8[2]d kB
Cached:         %8[2]d kB
SwapCached:     %8[2]d kB
SwapTotal:      %8[2]d kB
SwapFree:       %8[2]d kB
`, kb, 0)
}
