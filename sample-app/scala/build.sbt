name := "users"
scalaVersion := "3.3.7"
scalacOptions ++= Seq("-Werror", "-deprecation", "-feature", "-unchecked", "-Wunused:all", "-Wvalue-discard")

libraryDependencies ++= Seq(
  "com.lihaoyi" %% "cask" % "0.11.3",
  "com.lihaoyi" %% "upickle" % "4.1.0",
  "org.postgresql" % "postgresql" % "42.7.14",
  "org.apache.commons" % "commons-dbcp2" % "2.14.0",
  "redis.clients" % "jedis" % "8.0.2",
  ("org.apache.kafka" % "kafka-clients" % "4.4.0") // 10 MB to compress events, which are small and go one at a time
    .exclude("com.github.luben", "zstd-jni")
    .exclude("at.yawk.lz4", "lz4-java")
    .exclude("org.xerial.snappy", "snappy-java"),
  "io.prometheus" % "prometheus-metrics-core" % "1.10.0",
  "io.prometheus" % "prometheus-metrics-exposition-textformats" % "1.10.0",
  "org.slf4j" % "slf4j-jdk14" % "2.0.17",
  "org.scalameta" %% "munit" % "1.1.1" % Test,
)

Compile / unmanagedResources ++= Seq("schema.sql", "seed.sql", "page.html").map(baseDirectory.value / _)
Compile / packageDoc / publishArtifact := false

// What dynos run: target/universal/stage/bin/users.
enablePlugins(JavaAppPackaging)
