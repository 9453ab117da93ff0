module niwa

go 1.26.8

// The linter of make lint.
tool honnef.co/go/tools/cmd/staticcheck

require (
	github.com/HdrHistogram/hdrhistogram-go v1.4.0 // percentiles of latencies; tests only
	github.com/adrg/xdg v0.5.3 // where a user's data belongs on each system
	github.com/alicebob/miniredis/v2 v2.40.0 // Redis in the process, for machines without redis-server
	github.com/coder/websocket v1.8.15 // WebSocket clients and servers, for tests: small, kept, no dependencies
	github.com/containerd/errdefs v1.0.0 // which of its errors the engine means: no such container, in use
	github.com/creack/pty v1.1.24 // terminals for one-off dynos; the one everybody uses
	github.com/docker/docker v28.5.2+incompatible // the engine API, with negotiation back to 1.24
	github.com/fergusstrange/embedded-postgres v1.34.0 // Postgres binaries for machines without Postgres
	github.com/getkin/kin-openapi v0.153.0 // whether what a sample app answers is in its OpenAPI document; tests only
	github.com/gofiber/fiber/v2 v2.52.15 // the Platform API
	github.com/gofrs/flock v0.13.2 // one niwa per data directory; works on NFS and Windows too
	github.com/google/go-cmp v0.7.0 // differences in tests
	github.com/google/renameio/v2 v2.0.2 // files that are replaced whole or not at all
	github.com/google/uuid v1.6.0 // ids
	github.com/jackc/pgx/v5 v5.12.0 // Postgres
	github.com/klauspost/compress v1.20.3 // gzip at three times the speed of the standard library: every deploy and every dyno start waits for it
	github.com/klauspost/pgzip v1.3.0 // compresses a slug on all cores: every deploy waits for it
	github.com/moby/patternmatcher v0.6.1 // .dockerignore, as the engine itself reads it
	github.com/prometheus/client_golang v1.25.0 // metrics as Prometheus reads them; its own library, 4 MB of the binary
	github.com/prometheus/client_model v0.6.3 // what that is parsed into; tests only
	github.com/prometheus/common v0.72.0 // parses what Prometheus reads; tests only
	github.com/redis/go-redis/v9 v9.23.0 // Redis
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // draft-04, which Heroku's schema is written in; tests only
	github.com/spf13/cobra v1.10.2 // commands, flags, completion
	github.com/spf13/pflag v1.0.9 // cobra's flags
	github.com/twmb/franz-go v1.22.3 // reads what a sample app has published; tests only
	github.com/twmb/franz-go/pkg/kfake v0.0.0-20260918054303-01f206a7e32c // a Kafka in the process; tests only
	github.com/uptrace/bun v1.3.0 // rows to structs, and migrations; speaks SQLite and Postgres
	github.com/uptrace/bun/dialect/sqlitedialect v1.3.0 // bun's SQLite
	github.com/valyala/fasthttp v1.51.0 // under fiber: streaming bodies and per-request deadlines
	golang.org/x/crypto v0.58.0 // ACME (RFC 8555): by the people of Go, and no more than the protocol
	golang.org/x/mod v0.42.0 // which of two versions is newer
	golang.org/x/net v0.62.0 // HPACK: what a header of HTTP/2 says before net/http reads it
	golang.org/x/sync v0.24.0 // groups of goroutines
	golang.org/x/sys v0.49.0 // processes, sessions and signals beyond package syscall
	golang.org/x/time v0.16.0 // the rate limit of the API
	gonum.org/v1/plot v0.17.0 // the plot of niwa compare
	gopkg.in/yaml.v3 v3.0.1 // elements.yaml and bin/release
	modernc.org/sqlite v1.62.0 // SQLite without cgo; released monthly, follows upstream
)

require (
	codeberg.org/go-fonts/liberation v0.5.0 // indirect
	codeberg.org/go-latex/latex v0.2.0 // indirect
	codeberg.org/go-pdf/fpdf v0.11.1 // indirect
	git.sr.ht/~sbinet/gg v0.7.0 // indirect
	github.com/Azure/go-ansiterm v0.0.0-20250102033503-faa5f7b0171c // indirect
	github.com/BurntSushi/toml v1.4.1-0.20240526193622-a339e1f7089c // indirect
	github.com/Microsoft/go-winio v0.6.4 // indirect
	github.com/ajstarks/svgo v0.0.0-20211024235047-1546f124cd8b // indirect
	github.com/andybalholm/brotli v1.1.0 // indirect
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/containerd/errdefs/pkg v0.3.0 // indirect
	github.com/containerd/log v0.2.0 // indirect
	github.com/distribution/reference v0.6.0 // indirect
	github.com/docker/go-connections v0.8.2 // indirect
	github.com/docker/go-units v0.5.0 // indirect
	github.com/dustin/go-humanize v1.1.0 // indirect
	github.com/felixge/httpsnoop v1.1.0 // indirect
	github.com/go-logr/logr v1.4.4 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/go-openapi/jsonpointer v0.22.5 // indirect
	github.com/go-openapi/swag/jsonname v0.25.5 // indirect
	github.com/golang/freetype v0.0.0-20170609003504-e2365dfdc4a0 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jinzhu/inflection v1.0.0 // indirect
	github.com/lib/pq v1.10.9 // indirect
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.24 // indirect
	github.com/mattn/go-runewidth v0.0.16 // indirect
	github.com/moby/docker-image-spec v1.3.1 // indirect
	github.com/moby/sys/atomicwriter v0.1.0 // indirect
	github.com/moby/term v0.5.2 // indirect
	github.com/morikuni/aec v1.1.0 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/ncruces/go-strftime v1.1.0 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/puzpuzpuz/xsync/v3 v3.5.1 // indirect
	github.com/remyoudompheng/bigfft v0.0.0-20230129092748-24d4a6f8daec // indirect
	github.com/rivo/uniseg v0.2.0 // indirect
	github.com/rogpeppe/go-internal v1.16.0 // indirect
	github.com/tmthrgd/go-hex v0.0.0-20190904060850-447a3041c3bc // indirect
	github.com/twmb/franz-go/pkg/kmsg v1.15.1 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	github.com/valyala/tcplisten v1.0.0 // indirect
	github.com/vmihailenco/msgpack/v5 v5.4.1 // indirect
	github.com/vmihailenco/tagparser/v2 v2.0.0 // indirect
	github.com/xi2/xz v0.0.0-20171230120015-48954b6210f8 // indirect
	github.com/yuin/gopher-lua v1.1.1 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp v0.72.0 // indirect
	go.opentelemetry.io/otel v1.47.0 // indirect
	go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp v1.47.0 // indirect
	go.opentelemetry.io/otel/log v1.47.0 // indirect
	go.opentelemetry.io/otel/metric v1.47.0 // indirect
	go.opentelemetry.io/otel/trace v1.47.0 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	go.yaml.in/yaml/v4 v4.0.0 // indirect
	golang.org/x/exp/typeparams v0.0.0-20231108232855-2478ac86f678 // indirect
	golang.org/x/image v0.30.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	golang.org/x/tools v0.52.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
	gotest.tools/v3 v3.5.2 // indirect
	honnef.co/go/tools v0.8.2 // indirect
	modernc.org/libc v1.80.1 // indirect
	modernc.org/mathutil v1.7.1 // indirect
	modernc.org/memory v1.12.1 // indirect
)
