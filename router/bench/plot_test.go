package bench

import (
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// plotTo draws the CPU of each request, as times nginx's: a group of bars for each
// setting.
func plotTo(file string, all []result) error {
	var names, settings []string
	for _, r := range all {
		if !slices.Contains(names, r.name) {
			names = append(names, r.name)
		}
		if s := r.setting.String(); !slices.Contains(settings, s) {
			settings = append(settings, s)
		}
	}
	p := plot.New()
	p.Title.Text = "CPU for each request, times nginx's"
	p.Y.Min = 0
	p.NominalX(settings...)
	p.X.Tick.Label.Rotation = 0.7
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = -1, -0.5
	p.Legend.Top = true
	const width = vg.Length(9)
	for i, name := range names {
		var values plotter.Values
		for _, r := range all {
			if r.name == name {
				values = append(values, r.ratio)
			}
		}
		bars, err := plotter.NewBarChart(values, width)
		if err != nil {
			return err
		}
		bars.Color, bars.LineStyle.Width = plotutil.Color(i), 0
		bars.Offset = width * vg.Length(float64(i)-float64(len(names)-1)/2)
		p.Add(bars)
		p.Legend.Add(name, bars)
	}
	p.Add(plotter.NewGrid())
	return p.Save(vg.Length(len(settings)+3)*vg.Centimeter*2, 12*vg.Centimeter, file)
}
