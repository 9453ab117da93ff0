package users

import io.undertow.{Undertow, UndertowOptions}
import io.undertow.server.handlers.GracefulShutdownHandler
import javax.sql.DataSource

/** Users is a web service that creates, reads, updates, deletes, lists and
  * searches users. Postgres is the only truth; Redis, before it, makes reads
  * fast and can never make them wrong; Kafka, beside it, is told of each change.
  *
  *   - users: serve HTTP on $PORT
  *   - users migrate: bring the schema up to date (the release phase)
  *   - users seed: add users to look at (postdeploy)
  */
object Main:
  def main(args: Array[String]): Unit =
    given Request = Request.none
    try run(sys.env.filter(_._2.nonEmpty), args.toList)
    catch
      case e: Exception =>
        Log.error("stopped", "error" -> Log.text(e))
        sys.exit(1)

  private def run(env: Map[String, String], args: List[String])(using Request): Unit =
    Log.start()
    val database = Database.at(env.getOrElse("DATABASE_URL",
      sys.error("DATABASE_URL is not set; attach a database (heroku addons:create heroku-postgresql)")))
    args match
      case Nil => serve(env, database)
      case List("migrate") => Database.script(database, "schema.sql")
      case List("seed") => Database.script(database, "seed.sql")
      case _ => sys.error(s"there is no command ${args.mkString(" ")}; use migrate or seed, or none to serve")

  private def serve(env: Map[String, String], database: DataSource)(using Request): Unit =
    val pool = Database.pool(database)
    val cache = Cache(pool, env.get("REDIS_URL"), env.get("REDIS_READER_URL"))
    val outbox = Outbox(pool, database, Kafka.from(env))
    val observer = Observer(outbox)
    val requests = GracefulShutdownHandler(Server(Users(pool, cache, outbox), cache, observer).defaultHandler)
    val port = env.getOrElse("PORT", "5000").toInt
    val server = Undertow.builder
      .addHttpListener(port, "0.0.0.0", observer.around(requests))
      .setWorkerThreads(24) // more than there are connections: a request may wait for who trusts an old epoch
      .setServerOption(UndertowOptions.MAX_ENTITY_SIZE, Long.box(1 << 20)) // beyond it the connection is cut
      .setServerOption(UndertowOptions.NO_REQUEST_TIMEOUT, Int.box(90_000)) // ms, longer than the router keeps connections
      .build
    server.start()
    outbox.start()
    Log.info("serving", "port" -> port)
    sys.addShutdownHook {
      requests.shutdown()
      requests.awaitShutdown(25_000) // ms; Heroku kills after 30 s
      server.stop()
      cache.close()
      pool.close()
      Runtime.getRuntime.halt(0) // it would be 143, of the signal
    }: Unit
