package users

import io.prometheus.metrics.core.metrics.{Counter, GaugeWithCallback, Histogram}
import io.prometheus.metrics.expositionformats.PrometheusTextFormatWriter
import io.prometheus.metrics.model.registry.PrometheusRegistry
import io.undertow.server.{HttpHandler, HttpServerExchange}
import io.undertow.util.{AttachmentKey, HttpString}
import java.io.ByteArrayOutputStream
import java.security.SecureRandom
import java.util.{HexFormat, UUID}

/** What goes with a request wherever it leads: into the log and into its event.
  * id is the router's, if it is safe to log; traceparent is as of
  * https://www.w3.org/TR/trace-context/.
  */
final case class Request(id: String, traceparent: String):
  def traceId: String = traceparent.slice(3, 35)

object Request:
  /** The reason of what no request is the reason of. */
  val none = Request("", "")

  private val key = AttachmentKey.create(classOf[Request])
  private val safe = "[A-Za-z0-9._-]{1,128}".r
  private val trace = "00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}".r
  private val random = SecureRandom()

  def of(exchange: HttpServerExchange): Request = exchange.getAttachment(key)

  /** Reads the headers. A trace that came along goes on; else one begins here. */
  def begin(exchange: HttpServerExchange): Request =
    def header(name: String) = Option(exchange.getRequestHeaders.getFirst(name))
    val request = Request(
      header("X-Request-Id").filter(safe.matches).getOrElse(UUID.randomUUID.toString),
      header("traceparent").filter(trace.matches).getOrElse(s"00-${hex(16)}-${hex(8)}-01"))
    exchange.putAttachment(key, request)
    request

  private def hex(bytes: Int) =
    val some = new Array[Byte](bytes)
    random.nextBytes(some)
    HexFormat.of.formatHex(some)

/** Gives each request its ids, counts it, and logs how it ended. */
final class Observer(outbox: Outbox):
  private val registry = PrometheusRegistry()
  private val writer = PrometheusTextFormatWriter.create()
  private val requests = Counter.builder.name("http_requests_total").help("Requests answered.")
    .labelNames("method", "route", "status").register(registry)
  private val duration = Histogram.builder.name("http_request_duration_seconds").help("Time until the answer.")
    .labelNames("method", "route").classicOnly.register(registry)
  private val reads = Counter.builder.name("cache_reads_total").help("Reads of a user: hit, miss or bypass.")
    .labelNames("result").register(registry)
  GaugeWithCallback.builder.name("outbox_events").help("Events that Kafka does not have yet; NaN without Postgres.")
    .callback(_.call(outbox.length)).register(registry): Unit

  /** What GET /metrics shows. */
  def metrics: (String, Array[Byte]) =
    val text = ByteArrayOutputStream()
    writer.write(text, registry.scrape())
    (PrometheusTextFormatWriter.CONTENT_TYPE, text.toByteArray)

  def around(next: HttpHandler): HttpHandler = exchange =>
    val began = System.nanoTime
    val request = Request.begin(exchange)
    exchange.getResponseHeaders.put(HttpString("X-Request-Id"), request.id)
    exchange.addResponseCommitListener { e =>
      if e.getStatusCode == 503 then e.getResponseHeaders.put(HttpString("Retry-After"), "1"): Unit
    }
    exchange.addExchangeCompleteListener { (e, others) =>
      end(e, (System.nanoTime - began) / 1e6)(using request)
      others.proceed()
    }
    next.handleRequest(exchange)

  private def end(exchange: HttpServerExchange, ms: Double)(using Request): Unit =
    val method = exchange.getRequestMethod.toString
    val status = exchange.getStatusCode
    val route = routeOf(exchange.getRequestPath)
    val cache = Option(exchange.getResponseHeaders.getFirst("X-Cache")).getOrElse("")
    requests.labelValues(method, route, status.toString).inc()
    duration.labelValues(method, route).observe(ms / 1000)
    if cache.nonEmpty then reads.labelValues(cache).inc()
    Log.info("request", "method" -> method, "path" -> exchange.getRequestPath, "route" -> route,
      "status" -> status, "ms" -> ms, "cache" -> cache)

  /** The route as openapi.yaml writes it, so that there are few. */
  private def routeOf(path: String) = path match
    case "/" | "/health" | "/metrics" | "/users" => path
    case s"/users/$id" if !id.contains('/') => "/users/{id}"
    case _ => "other"
