package users

import java.net.URI
import java.sql.Connection
import java.util.UUID
import javax.sql.DataSource
import redis.clients.jedis.{ClientSetInfoConfig, ConnectionPoolConfig, DefaultJedisClientConfig, SslOptions, SslVerifyMode}
import redis.clients.jedis.{Pipeline, Protocol, RedisClient, Response}
import redis.clients.jedis.exceptions.{JedisDataException, JedisException}
import redis.clients.jedis.params.SetParams
import redis.clients.jedis.util.JedisURIHelper
import scala.concurrent.duration.*
import scala.jdk.CollectionConverters.*
import scala.util.{Try, Using}
import upickle.default.{ReadWriter, read, write}
import Database.{connected, sql}

/** What a look into the cache found, and X-Cache says: a user; nothing to
  * believe; no answer. One reader of a miss gets the lease, and is to fill.
  */
enum Look:
  case Hit(user: User)
  case Miss(lease: Option[Lease])
  case Bypass
  def how: String = productPrefix.toLowerCase

/** The right to put a user into the cache, and what the entry is to say: life is
  * the run id of the server that was asked for the lease.
  */
final case class Lease(token: String, epoch: String, life: String)

/** What Redis keeps of a user, as JSON. */
final case class Entry(epoch: String, life: String, user: User) derives ReadWriter

/** Keeps users in Redis before Postgres, for speed alone: no read that begins
  * after a change was acknowledged shows what was before it, whatever becomes of
  * Redis. The README of the folder above tells why.
  *
  *   - An entry says in which epoch and in which life of the server it was made.
  *     Only those of this epoch and this life are believed, so that a server
  *     that comes back with what it once saved has nothing.
  *   - A reader that fills the cache takes a lease first, and then holds a lock
  *     on the row. A writer, which has the row for itself, deletes entry and
  *     lease before it commits: what was read before can no longer be put.
  *   - Where Redis does not say that it has deleted, the writer's transaction
  *     begins a new epoch, and the change is acknowledged only when nobody
  *     trusts the old one any more.
  *
  * reader's credential may be unable to write; without REDIS_URL every look is a bypass.
  */
final class Cache private (db: DataSource, servers: Option[Cache.Servers]):
  import Cache.*

  /** asked is when Postgres was asked (System.nanoTime), not when it answered. */
  private case class Epoch(id: String, asked: Long)
  @volatile private var known = Option.empty[Epoch]

  /** Looks for a user. It fails only without Postgres, which has the epoch. */
  def look(id: Long)(using Request): Look = servers.fold(Look.Bypass) { redis =>
    val epoch = current()
    try
      val (life, found) = ask(redis.reader)(_.get(entryKey(id)))
      found.flatMap(text => Try(read[Entry](text)).toOption) match // rubbish is nothing
        case Some(Entry(`epoch`, `life`, user)) if user.id == id => Look.Hit(user)
        case _ => Look.Miss(lease(redis.writer, id, epoch))
    catch
      case e: JedisException =>
        Log.warn("the cache does not answer", "error" -> Log.text(e))
        Look.Bypass
  }

  private def lease(writer: RedisClient, id: Long, epoch: String) =
    val token = UUID.randomUUID.toString
    try
      val (life, answer) = ask(writer)(_.set(leaseKey(id), token, SetParams().nx.px(leaseTTL.toMillis)))
      Option.when(answer.contains("OK"))(Lease(token, epoch, life))
    catch case _: JedisException => None

  /** The current epoch, or one that was it less than epochTrust ago. */
  private def current() =
    known.filter(System.nanoTime - _.asked < epochTrust.toNanos).getOrElse {
      val now = db.connected {
        val asked = System.nanoTime
        Epoch(sql"SELECT epoch::text FROM cache_epoch".query(_.getString(1)).head, asked)
      }
      known = Some(now)
      now
    }.id

  /** Puts in what was read from Postgres, while the row is locked. */
  def fill(lease: Lease, user: User)(using Request): Unit = servers.foreach { redis =>
    val keys = List(leaseKey(user.id), entryKey(user.id))
    val values = List(lease.token, write(Entry(lease.epoch, lease.life, user)), entryTTL.toMillis.toString)
    try redis.writer.eval(put, keys.asJava, values.asJava): Unit
    catch case e: JedisException => Log.warn("the cache was not filled", "user" -> user.id.toString, "error" -> Log.text(e))
  }

  /** Deletes a user from the cache, before its change is committed. Unless Redis
    * was told, the commit begins a new epoch; then the change may be
    * acknowledged only epochTrust after it.
    */
  def forget(id: Long)(using Connection, Request): Boolean = servers.forall { redis =>
    try
      redis.writer.del(entryKey(id), leaseKey(id))
      true
    catch
      case e: JedisException =>
        Log.warn("the cache cannot be told to forget; a new epoch begins", "user" -> id.toString, "error" -> Log.text(e))
        sql"UPDATE cache_epoch SET epoch = gen_random_uuid()".run()
        false
  }

  def state: String = servers.fold("off") { redis =>
    try
      redis.reader.ping()
      redis.writer.ping()
      "ok"
    catch case _: JedisException => "down"
  }

  def close(): Unit = servers.foreach { redis =>
    redis.reader.close()
    redis.writer.close()
  }

object Cache:
  private final case class Servers(reader: RedisClient, writer: RedisClient)

  /** For how long an epoch is trusted since Postgres was asked for it. */
  val epochTrust = 500.millis

  private val timeout = 100.millis
  private val entryTTL = 1.minute
  private val leaseTTL = 2.seconds

  /** Writes an entry if the lease for it is still there. */
  private val put = """
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
    redis.call('DEL', KEYS[1])
    return 1"""

  private def entryKey(id: Long) = s"user:$id"
  private def leaseKey(id: Long) = s"lease:$id"

  /** The cache at a URL, read through another if that is set. */
  def apply(db: DataSource, url: Option[String], readerUrl: Option[String]): Cache = new Cache(db, url.map { url =>
    Servers(readerUrl.fold(open("REDIS_URL", url))(open("REDIS_READER_URL", _)), open("REDIS_URL", url))
  })

  private def open(name: String, url: String) =
    val uri = Try(URI(url)).filter(uri => JedisURIHelper.isValid(uri) && Set("redis", "rediss")(uri.getScheme))
      .getOrElse(sys.error(s"$name is not a redis:// or rediss:// URL")) // the failure would show the password
    val config = DefaultJedisClientConfig.builder
      .timeoutMillis(timeout.toMillis.toInt)
      .clientSetInfoConfig(ClientSetInfoConfig.DISABLED)
      .user(JedisURIHelper.getUser(uri)).password(JedisURIHelper.getPassword(uri))
      .database(JedisURIHelper.getDBIndex(uri))
    // Heroku's servers have certificates that they signed themselves; its
    // manual says not to verify them, so TLS hides the traffic and the password
    // tells friend from foe. https://devcenter.heroku.com/articles/connecting-heroku-redis
    if uri.getScheme == "rediss" then config.sslOptions(SslOptions.builder.sslVerifyMode(SslVerifyMode.INSECURE).build): Unit
    // A mini server takes 20, and while a release is rolled out two dynos share
    // them, each with a reader and a writer.
    val pool = ConnectionPoolConfig()
    pool.setMaxTotal(4)
    pool.setMaxIdle(4)
    pool.setMaxWait(java.time.Duration.ofMillis(timeout.toMillis))
    pool.setJmxEnabled(false)
    RedisClient.builder.hostAndPort(JedisURIHelper.getHostAndPort(uri)).clientConfig(config.build).poolConfig(pool).build

  /** Sends a command and the question which life of the server answers it, on one
    * connection. A server that refuses has answered.
    */
  private def ask[T](client: RedisClient)(command: Pipeline => Response[T]): (String, Option[T]) =
    Using.resource(client.pipelined) { pipe =>
      val info = pipe.sendCommand(Protocol.Command.INFO, "server")
      val answer = command(pipe)
      pipe.sync()
      val life = value(info).collect { case bytes: Array[Byte] => String(bytes, Protocol.CHARSET) }.getOrElse("")
        .linesIterator.collectFirst { case s"run_id:$id" => id }.getOrElse("")
      (life, value(answer))
    }

  private def value[T](response: Response[T]): Option[T] =
    try Option(response.get) catch case _: JedisDataException => None
