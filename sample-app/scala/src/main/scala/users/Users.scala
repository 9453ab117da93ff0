package users

import java.sql.{Connection, ResultSet, SQLException}
import java.time.Instant
import javax.sql.DataSource
import upickle.default.{ReadWriter, readwriter}
import upickle.implicits.key
import Database.{Sql, connected, instant, sql, transaction}

given ReadWriter[Instant] = readwriter[String].bimap(_.toString, Instant.parse)

/** One row. Its version is what an ETag shows. */
final case class User(id: Long, name: String, email: String, version: Long,
    @key("created_at") createdAt: Instant, @key("updated_at") updatedAt: Instant) derives ReadWriter:
  def etag: String = s"\"$version\""

object User:
  def of(row: ResultSet): User = User(row.getLong("id"), row.getString("name"), row.getString("email"), row.getLong("version"),
    row.instant("created_at"), row.instant("updated_at"))

/** The one place that changes users, so that no change forgets the cache or its event. */
final class Users(db: DataSource, cache: Cache, outbox: Outbox):
  /** Adds a user. The cache cannot know of it yet. */
  def create(in: Input)(using Request): User = db.transaction {
    val user = one(sql"INSERT INTO users (name, email) VALUES (${in.name}, ${in.email}) RETURNING *")
    outbox.add("user.created", user)
    user
  }

  /** Reads a user after a look into the cache. */
  def read(id: Long, look: Look)(using Request): User = look match
    case Look.Hit(user) => user
    case Look.Miss(Some(lease)) => // the row stays as it is until the cache has it, and waits for who is changing it
      db.transaction {
        val user = one(sql"SELECT * FROM users WHERE id = $id FOR SHARE")
        cache.fill(lease, user)
        user
      }
    case _ => db.connected(one(sql"SELECT * FROM users WHERE id = $id"))

  /** Up to limit users after an id whose name or email holds the text, in the
    * order they were created. A list is never cached: it would have to be
    * forgotten with every change of any user.
    */
  def list(after: Long, limit: Long, text: String): Vector[User] =
    val pattern = Users.contains(text)
    db.connected(sql"""SELECT * FROM users WHERE id > $after AND (name ILIKE $pattern OR email ILIKE $pattern)
      ORDER BY id LIMIT $limit""".query(User.of))

  /** Replaces a user, which must have the version, if one is required. */
  def update(id: Long, version: Option[Long], in: Input)(using Request): User = change(id, version, "user.updated",
    sql"""UPDATE users SET name = ${in.name}, email = ${in.email}, version = version + 1, updated_at = now()
      WHERE id = $id RETURNING *""")

  /** Removes a user, which must have the version, if one is required. */
  def delete(id: Long, version: Option[Long])(using Request): Unit =
    change(id, version, "user.deleted", sql"DELETE FROM users WHERE id = $id RETURNING *"): Unit

  /** Runs a statement on one user, writes its event, and makes the cache forget the user. */
  private def change(id: Long, version: Option[Long], kind: String, statement: Sql)(using Request): User =
    val (user, told) = db.transaction {
      val old = one(sql"SELECT * FROM users WHERE id = $id FOR UPDATE")
      if version.exists(_ != old.version) then throw ApiError.stale
      val user = one(statement)
      outbox.add(kind, user)
      (user, cache.forget(id))
    }
    if !told then Thread.sleep(Cache.epochTrust.toMillis) // until nobody trusts the epoch before
    user

  private def one(statement: Sql)(using Connection): User =
    try statement.query(User.of).headOption.getOrElse(throw ApiError.notFound)
    catch case e: SQLException if e.getSQLState == "23505" => throw ApiError.emailTaken // a unique_violation

  /** Fails unless Postgres answers and has the schema. */
  def ping(): Unit = db.connected(sql"SELECT FROM users LIMIT 0".run())

object Users:
  /** The LIKE pattern of what holds a text. */
  def contains(text: String): String = "%" + text.replaceAll(raw"[\\%_]", raw"\\$$0") + "%"
