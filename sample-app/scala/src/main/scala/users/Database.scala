package users

import com.zaxxer.hikari.{HikariConfig, HikariDataSource}
import java.net.URI
import java.nio.charset.StandardCharsets.UTF_8
import java.sql.{Connection, ResultSet}
import java.time.{Instant, OffsetDateTime}
import javax.sql.DataSource
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

  /** The connections of all requests. An essential-0 database takes 20, and
    * while a release is rolled out two dynos share them. The outbox has one more.
    */
  def pool(source: DataSource): HikariDataSource =
    val config = HikariConfig()
    config.setDataSource(source)
    config.setMaximumPoolSize(8)
    config.setConnectionTimeout(3_000) // ms
    config.setInitializationFailTimeout(-1) // it serves, Postgres or no Postgres
    HikariDataSource(config)

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
