package build

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"niwa/platform/platformtest/need"
)

// kettle is a Java app with one dependency.
func kettle(more ...entry) []entry {
	return append([]entry{
		{name: "pom.xml", text: `<project>
  <modelVersion>4.0.0</modelVersion><groupId>garden</groupId><artifactId>kettle</artifactId><version>1</version>
  <properties><maven.compiler.source>8</maven.compiler.source><maven.compiler.target>8</maven.compiler.target></properties>
  <dependencies><dependency><groupId>javax.inject</groupId><artifactId>javax.inject</artifactId><version>1</version></dependency></dependencies>
</project>
`},
		{name: "src/main/java/Kettle.java", text: `
@javax.inject.Named
class Kettle {
    public static void main(String[] args) {
        System.out.println("heap " + Runtime.getRuntime().maxMemory() / (1 << 20) + " MB");
        System.out.println(System.getenv("JDBC_DATABASE_URL"));
    }
}
`},
	}, more...)
}

func TestAMavenProjectIsBuiltCachedAndRun(t *testing.T) {
	need.Tool(t, "mvn")
	t.Parallel() // it waits for a repository
	b := newBench(t, nil)
	source := tarOf(t, kettle(entry{name: "Procfile", text: "worker: java -cp target/classes Kettle\n"})...).Bytes()
	req := b.request(bytes.NewReader(source))
	req.Env = map[string]string{"JAVA_TOOL_OPTIONS": "-Xmx1m"} // the app's, not the build's
	result, _ := b.build(req)
	b.last.has(t, "-----> Java app detected\n-----> Using OpenJDK ", "       $ mvn -DskipTests clean dependency:list install\n", "BUILD SUCCESS")
	if diff := cmp.Diff(map[string]string{"worker": "java -cp target/classes Kettle"}, result.ProcessTypes); diff != "" {
		t.Errorf("process types (-want +got):\n%s", diff)
	}
	said := b.says(req.SlugPath, result.ProcessTypes["worker"], map[string]string{"DYNO": "worker.1", "DATABASE_URL": "postgres://ann:s%23t@db.example:5432/tea"})
	for _, want := range []string{"heap 300 MB\n", "jdbc:postgresql://db.example:5432/tea?password=s%23t&sslmode=require&user=ann\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("the dyno does not say %q:\n%s", want, said)
		}
	}

	t.Run("again, unchanged", func(t *testing.T) {
		b := b.in(t)
		again := b.request(bytes.NewReader(source))
		again.Env, again.Version = req.Env, "def456"
		result, _ := b.build(again)
		if b.last.has(t, "-----> Restoring the last build"); strings.Contains(b.last.String(), "Executing Maven") {
			t.Errorf("Maven has built it again:\n%s", b.last)
		}
		if said := b.says(again.SlugPath, result.ProcessTypes["worker"], map[string]string{"DYNO": "worker.1"}); !strings.Contains(said, "heap 300 MB\n") {
			t.Errorf("the dyno says %q", said)
		}
		b.build(b.request(bytes.NewReader(source)))
		b.last.has(t, "-----> Executing Maven\n") // for other config vars
	})
	t.Run("again without a network", func(t *testing.T) {
		b := b.offline(t)
		b.build(b.request(tarOf(t, kettle()...)))
		b.last.has(t, "-----> Executing Maven\n")
		if strings.Contains(b.last.String(), "secret") {
			t.Errorf("the proxy's password is shown:\n%s", b.last)
		}
	})
	t.Run("through a mirror that has more", func(t *testing.T) {
		mirror := serve(t, standIn(t, filepath.Join(b.cfg.CacheDir, b.app, "home/.m2/repository")))
		b := b.offline(t)
		b.app = uuid.NewString() // whose cache is empty
		b.cfg.MachineEnv["NO_PROXY"], b.cfg.MachineEnv["MAVEN_MIRROR_URL"] = "localhost, 127.0.0.1", mirror
		files := kettle()
		files[0].text = strings.Replace(files[0].text, "</dependencies>", "<dependency><groupId>garden</groupId><artifactId>moss</artifactId><version>1</version></dependency></dependencies>", 1)
		req := b.request(tarOf(t, files...))
		req.Env = map[string]string{"MAVEN_CUSTOM_GOALS": "package"}
		b.build(req)
	})
	for name, test := range map[string]struct {
		file entry
		env  map[string]string
		says []string
	}{
		"a mistake":                  {entry{name: "src/main/java/Lid.java", text: "class Lid { int x = y; }"}, nil, []string{"cannot find symbol", " !     Maven could not build the app; the lines above say why.\n"}},
		"a Maven that is not here":   {entry{name: "system.properties", text: "maven.version=2.99\n"}, nil, []string{" !     The app asks for Maven 2.99, which is not in Maven's central repository or cannot be fetched; this machine has 3."}},
		"settings that are not here": {entry{name: "x"}, map[string]string{"MAVEN_SETTINGS_PATH": "none.xml"}, []string{" !     MAVEN_SETTINGS_PATH names a file that the app does not have: none.xml"}},
		"a repository out of reach":  {entry{name: "x"}, map[string]string{"MAVEN_MIRROR_URL": "http://127.0.0.1:9/maven", "MAVEN_CUSTOM_OPTS": "-U", "MAVEN_CUSTOM_GOALS": "dependency:get -Dartifact=garden:none:1"}, []string{" !     A repository could not be reached. Try again when it can be, or name a mirror in MAVEN_MIRROR_URL.\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.offline(t)
			req := b.request(tarOf(t, kettle(test.file)...))
			req.Env = test.env
			b.reject(req)
			b.last.has(t, test.says...)
		})
	}
}

// teapot is a Gradle build, where a task called stage makes what runs.
func teapot(more ...entry) []entry {
	return append([]entry{
		{name: "build.gradle", text: `
apply plugin: 'java'
sourceCompatibility = 8
repositories { mavenCentral() }
dependencies { compileOnly 'javax.inject:javax.inject:1' }
task stage(dependsOn: 'jar')
`},
		{name: "settings.gradle", text: "rootProject.name = 'teapot'\n"},
		{name: "src/main/java/Teapot.java", text: "@javax.inject.Named class Teapot { public static void main(String[] args) { System.out.println(args.length); } }\n"},
	}, more...)
}

func TestAGradleProjectIsBuiltCachedAndRun(t *testing.T) {
	need.Tool(t, "gradle")
	t.Parallel() // it waits for a repository
	b := newBench(t, nil)
	req := b.request(tarOf(t, teapot()...))
	b.build(req)
	b.last.has(t, "-----> Gradle app detected\n", "       Running stage with Gradle ", "BUILD SUCCESSFUL")
	if said := b.says(req.SlugPath, "java -cp build/libs/teapot.jar Teapot a b", map[string]string{"DYNO": "run.1"}); said != "2\n" {
		t.Errorf("the dyno says %q", said)
	}
	t.Run("again without a network", func(t *testing.T) {
		b := b.offline(t)
		b.build(b.request(tarOf(t, teapot(entry{name: "src/main/java/Lid.java", text: "@javax.inject.Named class Lid {}\n"})...)))
		b.last.has(t, "BUILD SUCCESSFUL")
	})
	for name, test := range map[string]struct {
		files []entry
		says  []string
	}{
		"no task for it":              {[]entry{{name: "build.gradle"}}, []string{" !     The app has no Gradle task called stage"}},
		"a wrapper that lacks a file": {teapot(entry{name: "gradlew"}), []string{" !     The app has gradlew and no gradle/wrapper/gradle-wrapper.properties"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.offline(t)
			b.reject(b.request(tarOf(t, test.files...)))
			b.last.has(t, test.says...)
		})
	}
}

func TestABuildWithoutTheToolsOfAJVMSaysHowToGetThem(t *testing.T) {
	need.Tool(t, "javac")
	bin := withoutTools(t)
	for _, tool := range []string{"awk", "cmp", "cp", "javac", "mktemp", "readlink", "tr"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			need.Reason(t, "needs "+tool)
		}
		if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	b := newBench(t, func(c *Config) { c.MachineEnv = map[string]string{"PATH": bin} })
	for name, says := range map[string]string{
		"pom.xml":                  " !     Maven is not installed on this machine, or not on the PATH of builds.\n !     Install it (Debian and Ubuntu: apt-get install maven)",
		"build.gradle":             " !     Gradle is not installed",
		"project.clj":              " !     Leiningen is not installed",
		"project/build.properties": " !     sbt, or Maven, which fetches it, is not installed",
	} {
		b := b.in(t)
		b.reject(b.request(tarOf(t, entry{name: name, text: "sbt.version=1.10.7\n"})))
		b.last.has(t, says)
	}
}
