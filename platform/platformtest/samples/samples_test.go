package samples

import (
	"testing"
	"time"

	"niwa/addons/engine"
	"niwa/platform/build/image/imagetest"
	"niwa/platform/instance"
	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
	sampleapp "niwa/sample-app"
	"niwa/sample-app/apptest"
)

// TestTheSampleOfEachLanguageKeepsItsContractOnEachRuntime has each sample be
// an ordinary app: with the add-ons of its app.json, pushed as it is, in two
// dynos behind the router. Then the same niwa is started with the other
// runtime, and they are pushed again. It is one after the other: the Postgres
// that is killed for one is that of all, and a release phase needs it.
//
//	go test ./platform/platformtest/samples -run Sample/docker/ruby -v
func TestTheSampleOfEachLanguageKeepsItsContractOnEachRuntime(t *testing.T) {
	need.Tool(t, "git")
	if _, ok := engine.FindRedis(); !ok || len(engine.FindPostgres()) == 0 {
		need.Reason(t, "needs postgres and redis-server: "+engine.FixPostgres+"; "+engine.FixRedis)
	}
	binary, data := platformtest.Build(t), platformtest.Dir(t)
	for _, runtime := range []string{instance.Process, instance.Docker} {
		t.Run(runtime, func(t *testing.T) {
			if runtime == instance.Docker {
				imagetest.Engine(t)
			}
			p := platformtest.Up(t, binary, data, "--runtime", runtime, "--engines", "native")
			for _, lang := range sampleapp.Languages() {
				t.Run(lang, func(t *testing.T) {
					needs(t, runtime, lang)
					began := time.Now()
					s := newSample(t, p, runtime, lang)
					built := time.Since(began)
					began = time.Now()
					errors := s.watch(t)
					apptest.Run(t, s.url(t), apptest.Options{Cached: true, Storms: []apptest.Storm{
						{Name: "Redis is killed and restarted", Disturb: s.killRedis},
						{Name: "Postgres is killed and restarted", Disturb: s.killPostgres, Unavailable: true},
					}})
					for _, line := range errors() {
						t.Error(line)
					}
					t.Logf("%s is up after %.1f s, and tested in %.1f s", lang, built.Seconds(), time.Since(began).Seconds())
				})
			}
		})
	}
}

// needs skips a language that this machine cannot build. Containers have the
// tools of all, but for these.
func needs(t *testing.T, runtime, lang string) {
	t.Helper()
	tools := map[string][]string{
		"clojure": {"lein"}, "go": {"go"}, "java": {"mvn"}, "nodejs": {"node", "npm"}, "php": {"php", "composer"},
		"python": {"python3"}, "ruby": {"ruby", "bundle"}, "scala": {"mvn"},
	}
	if runtime == instance.Docker {
		tools = map[string][]string{"go": {"go"}, "nodejs": {"node", "npm"}, "ruby": {"ruby", "bundle", "dpkg-query"}}
	}
	for _, tool := range tools[lang] {
		need.Tool(t, tool)
	}
}
