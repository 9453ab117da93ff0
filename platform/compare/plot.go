package compare

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/google/renameio/v2"
)

// panel is one of the plot's charts: a bar, or two, for each language.
type panel struct {
	title string
	bars  []bars
}

type bars struct {
	legend string
	value  func(Row) float64
}

func panels() []panel {
	return []panel{
		{"build (s)", []bars{{"cold", func(r Row) float64 { return r.Cold.Seconds() }}, {"warm", func(r Row) float64 { return r.Warm.Seconds() }}}},
		{"boot (s)", []bars{{"", func(r Row) float64 { return r.Boot.Seconds() }}}},
		{"memory (MB)", []bars{{"", func(r Row) float64 { return r.Memory }}}},
		{"reads in a second", []bars{{"cached", func(r Row) float64 { return r.Cached }}, {"uncached", func(r Row) float64 { return r.Uncached }}}},
	}
}

// Plot draws the rows, of which there is at least one, as an SVG.
func Plot(file string, rows []Row) error {
	grid := [][]*plot.Plot{{nil, nil}, {nil, nil}}
	for i, p := range panels() {
		chart, err := p.chart(rows)
		if err != nil {
			return err
		}
		grid[i/2][i%2] = chart
	}
	canvas := vgsvg.New(28*vg.Centimeter, 18*vg.Centimeter)
	tiles := draw.Tiles{Rows: 2, Cols: 2, PadX: vg.Centimeter, PadY: vg.Centimeter}
	for i, row := range plot.Align(grid, tiles, draw.New(canvas)) {
		for j, c := range row {
			grid[i][j].Draw(c)
		}
	}
	out, err := renameio.NewPendingFile(file, renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer out.Cleanup()
	if _, err := canvas.WriteTo(out); err != nil {
		return err
	}
	return out.CloseAtomicallyReplace()
}

func (p panel) chart(rows []Row) (*plot.Plot, error) {
	c := plot.New()
	c.Title.Text = p.title
	c.Y.Min = 0
	names := make([]string, len(rows))
	width := vg.Points(28 / float64(len(p.bars)))
	for n, b := range p.bars {
		values := make(plotter.Values, len(rows))
		for i, r := range rows {
			names[i], values[i] = r.Lang, b.value(r)
		}
		chart, err := plotter.NewBarChart(values, width)
		if err != nil {
			return nil, err
		}
		chart.Color, chart.LineStyle.Width = plotutil.Color(n), 0
		chart.Offset = width * vg.Length(float64(n)-float64(len(p.bars)-1)/2)
		c.Add(chart)
		if b.legend != "" {
			c.Legend.Add(b.legend, chart)
		}
	}
	c.Legend.Top = true
	c.NominalX(names...)
	return c, nil
}
