package compare

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Table writes a line for each language.
func Table(out io.Writer, rows []Row) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "language\tcold build\twarm build\tboot\tmemory\tcached reads/s\tuncached reads/s\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.0f MB\t%.0f\t%.0f\t\n", r.Lang, seconds(r.Cold), seconds(r.Warm), seconds(r.Boot), r.Memory, r.Cached, r.Uncached)
	}
	return w.Flush()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
