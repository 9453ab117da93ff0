package users

import java.net.URI
import java.nio.charset.StandardCharsets.UTF_8
import java.sql.{Connection, ResultSet}
import java.time.{Duration, Instant, OffsetDateTime}
import javax.sql.DataSource
import org.apache.commons.dbcp2.{DataSourceConnectionFactory, PoolableConnection, PoolableConnectionFactory, PoolingDataSource}
import org.apache.commons.pool2.impl.{GenericObjectPool, GenericObjectPoolConfig}
import org.postgresql.ds.PGSimpleDataSource
import scala.util.{Try, Using}

/** Postgres, and the little that is needed on top of JDBC. */
object Database:
  /** Single connections to the database at a URL. */
  def at(url: String): DataSource = Try {
    val uri = URI(url)
    val source = PGSimpleDataSource()
    val query = Option(uri.getRawQuery).fold("")("?" + _)
    source.setUrl(s"jdbc:postgresql://${uri.getRawAuthority.replaceFirst("^.*@", "")}${uri.getRawPath}$query")
    Option(uri.getUserInfo).map(_.split(":", 2)).foreach { login =>
      source.setUser(login.head)
      login.lift(1).foreach(source.setPassword)
    }
    source.setOptions("-c statement_timeout=5s")
    source.setConnectTimeout(3) // s
    source.setSocketTimeout(10) // s: where Postgres itself no longer keeps time
    source
  }.getOrElse(sys.error("DATABASE_URL is not a postgres:// URL")) // the failure would show the password

  /** The connections of all requests: who comes first has one first, and hears
    * at once where there is none to be had. An essential-0 database takes 20, and
    * while a release is rolled out two dynos share them. The outbox has one more.
    */
  def pool(source: DataSource): PoolingDataSource[PoolableConnection] =
    val config = GenericObjectPoolConfig[PoolableConnection]()
    config.setMaxTotal(8)
    config.setMaxIdle(8)
    config.setMaxWait(Duration.ofSeconds(10))
    config.setFairness(true)
    config.setJmxEnabled(false)
    val factory = PoolableConnectionFactory(DataSourceConnectionFactory(source), null)
    val pool = GenericObjectPool(factory, config)
    factory.setPool(pool)
    PoolingDataSource(pool)

  extension (db: DataSource)
    def connected[T](work: Connection ?=> T): T = Using.resource(db.getConnection)(work(using _))

    /** Commits, unless the work fails: then the connection rolls back as it is closed. */
    def transaction[T](work: Connection ?=> T): T = connected { (connection: Connection) ?=>
      connection.setAutoCommit(false)
      val result = work
      connection.commit()
      result
    }

  /** A statement: sql"SELECT … WHERE id = $id", whose values are parameters. */
  final class Sql(text: String, values: Seq[Any]):
    def query[T](row: ResultSet => T)(using connection: Connection): Vector[T] =
      Using.resource(prepare) { statement =>
        val rows = statement.executeQuery()
        Iterator.continually(rows.next()).takeWhile(identity).map(_ => row(rows)).toVector
      }

    def run()(using Connection): Unit = Using.resource(prepare)(_.execute(): Unit)

    private def prepare(using connection: Connection) =
      val statement = connection.prepareStatement(text)
      for (value, i) <- values.zipWithIndex do statement.setObject(i + 1, value)
      statement

  extension (text: StringContext) def sql(values: Any*): Sql = Sql(text.parts.mkString("?"), values)

  extension (row: ResultSet) def instant(column: String): Instant = row.getObject(column, classOf[OffsetDateTime]).toInstant

  /** Runs one of the app's scripts: all of it or nothing, any number of times. */
  def script(db: DataSource, name: String): Unit =
    db.transaction { (connection: Connection) ?=> Using.resource(connection.createStatement)(_.execute(resource(name)): Unit) }

  def resource(name: String): String =
    Using.resource(getClass.getResourceAsStream(s"/$name"))(in => String(in.readAllBytes, UTF_8))
