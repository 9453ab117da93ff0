package build

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform/platformtest/need"
)

// bamboo is an sbt project, whose task stage makes what sbt-native-packager
// does: programs in target/universal/stage/bin.
func bamboo(more ...entry) []entry {
	return append([]entry{
		{name: "project/build.properties", text: "sbt.version=1.10.7\n"},
		{name: "build.sbt", text: `
name := "bamboo"
scalaVersion := "2.13.15"
libraryDependencies += "javax.inject" % "javax.inject" % "1" % Provided
lazy val stage = taskKey[Unit]("what deploys run")
stage := {
  val to = target.value / "universal" / "stage"
  val jars = (Compile / packageBin).value +: (Runtime / dependencyClasspath).value.files.filter(_.getName.endsWith(".jar"))
  jars.foreach(jar => IO.copyFile(jar, to / "lib" / jar.getName))
  val program = to / "bin" / "bamboo"
  IO.write(program, "#!/bin/sh\nexec java -cp \"$HOME/target/universal/stage/lib/*\" Bamboo \"$@\"\n")
  program.setExecutable(true)
}
`},
		{name: "src/main/scala/Bamboo.scala", text: "object Bamboo { def main(args: Array[String]): Unit = println(args.mkString(\" and \")) }\n"},
	}, more...)
}

func TestAnSbtProjectIsBuiltCachedAndRun(t *testing.T) {
	need.Tool(t, "mvn")
	t.Parallel() // it waits for a repository
	b := newBench(t, nil)
	// A JVM for short runs.
	env := map[string]string{"SBT_OPTS": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"}
	req := b.request(tarOf(t, bamboo()...))
	req.Env = env
	result, _ := b.build(req)
	b.last.has(t, "-----> Scala app detected\n", "-----> Using sbt 1.10.7\n-----> Running: sbt compile stage\n", "compiling 1 Scala source")
	if diff := cmp.Diff(map[string]string{"web": "target/universal/stage/bin/bamboo -Dhttp.port=$PORT"}, result.ProcessTypes); diff != "" {
		t.Errorf("process types (-want +got):\n%s", diff)
	}
	if said := b.says(req.SlugPath, result.ProcessTypes["web"]+" tall", map[string]string{"DYNO": "run.1", "PORT": "80"}); said != "-Dhttp.port=80 and tall\n" {
		t.Errorf("the dyno says %q", said)
	}
	t.Run("again without a network", func(t *testing.T) {
		b := b.offline(t)
		req := b.request(tarOf(t, bamboo()...))
		req.Env = env
		b.build(req)
		if strings.Contains(b.last.String(), "compiling") {
			t.Errorf("the second build compiles again:\n%s", b.last)
		}
	})
	for name, test := range map[string]struct {
		files []entry
		says  []string
	}{
		"an sbt out of reach":      {bamboo(entry{name: "project/build.properties", text: "sbt.version=1.99.0\n"}), []string{" !     The app asks for sbt 1.99.0, which is not in Maven's central repository or cannot be fetched.\n"}},
		"an sbt of long ago":       {bamboo(entry{name: "project/build.properties", text: "sbt.version=0.13.5\n"}), []string{" !     sbt 0.13.5 has reached its end"}},
		"an sbt that nobody named": {[]entry{{name: "build.sbt"}}, []string{" !     The app does not say which sbt builds it.\n !     Write it into project/build.properties: sbt.version="}},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.offline(t)
			b.reject(b.request(tarOf(t, test.files...)))
			b.last.has(t, test.says...)
		})
	}
}
