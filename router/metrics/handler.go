package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Server answers Prometheus at /metrics, with what is collected and how the
// process is that does.
func Server(version string, collected prometheus.Collector) *http.Server {
	about := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "niwa_build_info", Help: "The version of niwa, whose value is 1.", ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 })
	registry := prometheus.NewRegistry()
	registry.MustRegister(collected, about, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	return &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
}
