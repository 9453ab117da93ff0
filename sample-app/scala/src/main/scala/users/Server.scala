package users

import cask.model.Response.Raw
import cask.router.{EndpointMetadata, Result}
import io.undertow.server.RequestTooBigException
import io.undertow.util.HttpString
import java.net.URLEncoder
import java.nio.charset.StandardCharsets.UTF_8
import java.sql.SQLException
import upickle.default.{Writer, write}

/** Routes that take any query: what a method does not know of it is no error. */
trait AnyQuery extends cask.endpoints.WebEndpoint:
  override def wrapFunction(ctx: cask.Request, delegate: Delegate): Result[Raw] = delegate(ctx, Map.empty)

class get(path: String) extends cask.get(path), AnyQuery
class post(path: String) extends cask.post(path), AnyQuery
class put(path: String) extends cask.put(path), AnyQuery
class delete(path: String) extends cask.delete(path), AnyQuery

/** Answers HTTP. */
final class Server(users: Users, cache: Cache, observer: Observer) extends cask.MainRoutes:
  private val maxBody = 64 << 10 // bytes
  private val maxLimit = 100
  private val page = Database.resource("page.html")
  private val version = "\"?([1-9][0-9]{0,17})\"?".r

  @get("/")
  def root(): Raw = cask.Response(page, headers = Seq("Content-Type" -> "text/html; charset=utf-8"))

  /** Fails without Postgres. Without the cache the app is merely slower. */
  @get("/health")
  def health(http: cask.Request): Raw =
    given Request = Request.of(http.exchange)
    try
      users.ping()
      json(200, Map("status" -> "ok", "postgres" -> "ok", "cache" -> cache.state))
    catch
      case e: SQLException =>
        Log.warn("Postgres does not answer", "error" -> Log.text(e))
        json(503, Map("status" -> "failing", "postgres" -> "down", "cache" -> cache.state))

  @get("/metrics")
  def metrics(): Raw =
    val (contentType, text) = observer.metrics
    cask.Response(text, headers = Seq("Content-Type" -> contentType))

  @post("/users")
  def create(http: cask.Request): Raw =
    given Request = Request.of(http.exchange)
    val user = users.create(input(http))
    json(201, user, "Location" -> s"/users/${user.id}", "ETag" -> user.etag)

  /** A page of users. The Link names the last id seen, so that what is added
    * meanwhile shifts nothing.
    */
  @get("/users")
  def list(http: cask.Request): Raw =
    val limit = number(http, "limit", 20, 1, maxLimit)
    val after = number(http, "after", 0, 0, Long.MaxValue)
    val text = query(http, "q").getOrElse("")
    if text.getBytes(UTF_8).length > 100 || Input.hasControl(text) then
      throw ApiError.invalid("q must be a text of at most 100 bytes")
    val found = users.list(after, limit + 1, text)
    val page = found.take(limit.toInt)
    val next = Option.when(found.size > limit) {
      val q = if text.isEmpty then "" else "&q=" + URLEncoder.encode(text, UTF_8)
      "Link" -> s"""</users?limit=$limit&after=${page.last.id}$q>; rel="next""""
    }
    json(200, page, next.toSeq*)

  @get("/users/:id")
  def read(id: String, http: cask.Request): Raw =
    given Request = Request.of(http.exchange)
    val target = idOf(id)
    val look = cache.look(target)
    http.exchange.getResponseHeaders.put(HttpString("X-Cache"), look.how)
    val user = users.read(target, look)
    if header(http, "If-None-Match").contains(user.etag) then cask.Response("", 304, Seq("ETag" -> user.etag))
    else answer(user)

  @put("/users/:id")
  def update(id: String, http: cask.Request): Raw =
    given Request = Request.of(http.exchange)
    val (target, required) = (idOf(id), requiredVersion(http))
    answer(users.update(target, required, input(http)))

  @delete("/users/:id")
  def remove(id: String, http: cask.Request): Raw =
    given Request = Request.of(http.exchange)
    users.delete(idOf(id), requiredVersion(http))
    cask.Response("", 204)

  initialize()

  private def json[T: Writer](status: Int, value: T, headers: (String, String)*): Raw =
    cask.Response(write(value), status, ("Content-Type" -> "application/json") +: headers)

  private def answer(user: User): Raw = json(200, user, "ETag" -> user.etag)

  private def answer(error: ApiError): Raw = json(error.status, Map("id" -> error.id, "message" -> error.getMessage))

  override def handleNotFound(http: cask.Request): Raw = answer(ApiError.noSuchPath)

  override def handleMethodNotAllowed(http: cask.Request): Raw = answer(ApiError.methodNotAllowed)

  /** The one place where errors become answers. Those that nobody meant for a
    * client are logged, not shown.
    */
  override def handleEndpointError(
      routes: cask.Routes, metadata: EndpointMetadata[?], error: Result.Error, http: cask.Request): Raw =
    given Request = Request.of(http.exchange)
    error match
      case Result.Error.Exception(e: ApiError) => answer(e)
      case Result.Error.Exception(_: RequestTooBigException) => answer(ApiError.tooLarge)
      case Result.Error.Exception(e: SQLException) =>
        Log.error("Postgres did not do it", "error" -> Log.text(e))
        answer(ApiError.unavailable)
      case Result.Error.Exception(e) =>
        Log.error("request failed", "error" -> Log.trace(e))
        answer(ApiError.defect)
      case other =>
        Log.error("request failed", "error" -> other.toString)
        answer(ApiError.defect)

  private def header(http: cask.Request, name: String) =
    Option(http.exchange.getRequestHeaders.getFirst(name)).filter(_.nonEmpty)

  private def query(http: cask.Request, name: String) =
    http.queryParams.get(name).flatMap(_.headOption).filter(_.nonEmpty)

  private def number(http: cask.Request, name: String, otherwise: Long, min: Long, max: Long) =
    query(http, name).fold(otherwise) { text =>
      digits(text).filter(n => n >= min && n <= max)
        .getOrElse(throw ApiError.invalid(s"$name must be a number from $min to $max"))
    }

  private def digits(text: String) = Option(text).filter(_.forall(c => c >= '0' && c <= '9')).flatMap(_.toLongOption)

  private def idOf(text: String) = digits(text).filter(_ > 0).getOrElse(throw ApiError.notFound)

  /** The version that If-Match wants a user to have; None for any. */
  private def requiredVersion(http: cask.Request) = header(http, "If-Match").filter(_ != "*").map {
    case version(n) => n.toLong
    case _ => throw ApiError.stale
  }

  private def input(http: cask.Request) =
    val body = http.data.readNBytes(maxBody + 1)
    if body.length > maxBody then throw ApiError.tooLarge
    Input.parse(body)
