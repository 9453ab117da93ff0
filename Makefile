# Two commands on a fresh clone, with nothing but Go and make:
#   make run    niwa with an app deployed, in the foreground; Ctrl-C stops it all
#   make test   every test that this machine can run, and what was skipped
# and two for those who work on it: make lint, make bench

# The program is also the first process of dynos in containers, and programs of
# tests take its place: both run in whatever image there is.
export CGO_ENABLED := 0

MODULES := . sample-app/go
SCRIPTS  = .ci/run platform/build/step.sh $(shell grep -rlE '^\#!.*\b(ba)?sh\b|^\# shellcheck shell=' buildpacks sample-app platform/cli platform/stack platform/platformtest/standin --include='*' 2>/dev/null)

.PHONY: build run test lint bench clean

build:
	go build -buildvcs=false -o niwa .

run: build
	./niwa demo

test:
	go run ./internal/testsummary -timeout 25m -- $(MODULES)

lint: lint-go lint-shell
	go mod tidy -diff
	cd sample-app/go && go mod tidy -diff

.PHONY: lint-go lint-shell
lint-go:
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted; run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	@staticcheck=$$(go tool -n staticcheck) && for module in $(MODULES); do \
		echo "go vet, staticcheck: $$module"; \
		(cd $$module && go vet ./... && $$staticcheck ./...) || exit 1; \
	done

lint-shell:
	@if command -v shellcheck >/dev/null; then \
		echo "shellcheck: $(SCRIPTS)"; shellcheck $(SCRIPTS); \
	elif [ "$$NIWA_TEST_REQUIRE" = all ]; then \
		echo "shellcheck is missing, and NIWA_TEST_REQUIRE=all allows no skip"; exit 1; \
	else \
		echo "skipped: shell scripts (needs shellcheck)"; \
	fi

# A benchmark that lacks something fails and says what.
bench bench-starts bench-builds bench-deploys bench-router third-party: export NIWA_TEST_REQUIRE := all

# What one waits for, as ratios to something on the same machine.
bench:
	go test -run '^$$' -bench Platform -benchtime 1x -timeout 20m ./platform/platformtest

# How long a dyno takes to start, and a push to be answered by, on both runtimes.
.PHONY: bench-starts
bench-starts:
	go test -run '^$$' -bench Starts -benchtime 1x -timeout 20m ./platform/platformtest

# How long a first build of each sample takes, a second one, and one of a change, on
# both runtimes; LANGUAGES="go php" for some of them.
.PHONY: bench-builds
bench-builds:
	go test -run '^$$' -bench Builds -benchtime 1x -timeout 60m ./platform/build

# Buildpacks that others publish at GitHub, each with a small app, and which of them
# run unchanged: make third-party RUNTIME=docker; MIRROR=folder has them at
# OWNER/NAME as bare repositories, where GitHub is out of reach.
.PHONY: third-party
third-party: export MIRROR := $(MIRROR)
third-party: export RUNTIME := $(or $(RUNTIME),process)
third-party:
	go test -run '^$$' -bench PublicBuildpacks -benchtime 1x -timeout 20m ./platform/build

# The router beside nginx and HAProxy (needs both, and wrk):
#   make bench-router ROUNDS=5 SECONDS=3 ONLY='1k keep-alive plain'
.PHONY: bench-router
bench-router: export ROUNDS := $(ROUNDS)
bench-router: export SECONDS := $(SECONDS)
bench-router: export ONLY := $(ONLY)
bench-router:
	go test -run '^$$' -bench Routers -benchtime 1x -timeout 60m ./router/bench

# A table of routes with 8 million apps, or APPS: memory, lookups, changes, its file.
.PHONY: bench-routes
bench-routes: export APPS := $(APPS)
bench-routes:
	go test -v -run '^$$' -bench Table8M -benchtime 1x -timeout 60m ./router/route

# Deploys while clients keep an app busy:
#   make bench-deploys REQUESTS=1000000 DEPLOYS=50 RUNTIME=process
.PHONY: bench-deploys
bench-deploys: export REQUESTS := $(or $(REQUESTS),1000000)
bench-deploys: export DEPLOYS := $(or $(DEPLOYS),50)
bench-deploys: export RUNTIME := $(or $(RUNTIME),process)
bench-deploys:
	go test -run '^$$' -bench Deploys -benchtime 1x -timeout 4h ./platform/platformtest

# Kills at random moments, by seed, and what becomes of it; without a RUNTIME on
# both:
#   make chaos KILLS=1000 SEED=7 RUNTIME=docker
.PHONY: chaos
chaos: export KILLS := $(KILLS)
chaos: export SEED := $(SEED)
chaos: export RUNTIME := $(or $(RUNTIME),process docker)
chaos:
	go test -count=1 -v -timeout 12h -run Chaos ./platform/platformtest/chaos

# What an app that attacks its neighbour and the platform gets at, which is in
# docs/escapes.md too: UPDATE=true writes that.
.PHONY: escape
escape:
	go test -count=1 -v -timeout 20m ./platform/platformtest/siege -update=$(or $(UPDATE),false)

clean:
	rm -rf niwa dist
