package catalog

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Bytes is a size, written 25MB or 1TB. A megabyte is 1,048,576 bytes, as
// Redis and Postgres count.
type Bytes int64

// UnmarshalYAML reads a whole number and its unit.
func (b *Bytes) UnmarshalYAML(node *yaml.Node) error {
	for shift, unit := range map[int]string{20: "MB", 30: "GB", 40: "TB"} {
		digits, ok := strings.CutSuffix(node.Value, unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n <= 0 || n > math.MaxInt64>>shift {
			break
		}
		*b = Bytes(n << shift)
		return nil
	}
	return fmt.Errorf("line %d: %q is not a size; write 25MB, 4GB or 1TB", node.Line, node.Value)
}

// String writes the size in the largest unit that divides it.
func (b Bytes) String() string {
	switch {
	case b == 0:
		return "0"
	case b%(1<<40) == 0:
		return fmt.Sprintf("%d TB", b>>40)
	case b%(1<<30) == 0:
		return fmt.Sprintf("%d GB", b>>30)
	case b%(1<<20) == 0:
		return fmt.Sprintf("%d MB", b>>20)
	}
	return fmt.Sprintf("%d B", int64(b))
}
