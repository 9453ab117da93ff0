package users

import java.io.{PrintWriter, StringWriter}
import java.time.Instant
import java.util.logging.{Handler, Level, LogManager, LogRecord}

/** Logs as JSON, one object a line, each with the request that is its reason. */
object Log:
  private val levels = Vector("debug", "info", "warn", "error")
  @volatile private var least = 1

  /** Sets the level. What goes wrong in libraries comes back as an exception,
    * and is logged where that matters; only what they call an error is here, too.
    */
  def start(level: String): Unit =
    least = levels.indexOf(level)
    if least < 0 then sys.error("LOG_LEVEL is not debug, info, warn or error")
    LogManager.getLogManager.reset()
    val root = java.util.logging.Logger.getLogger("")
    root.setLevel(Level.SEVERE)
    root.addHandler(Libraries)

  def info(msg: String, fields: (String, ujson.Value)*)(using Request): Unit = line(1, msg, fields)
  def warn(msg: String, fields: (String, ujson.Value)*)(using Request): Unit = line(2, msg, fields)
  def error(msg: String, fields: (String, ujson.Value)*)(using Request): Unit = line(3, msg, fields)

  private def line(level: Int, msg: String, fields: Seq[(String, ujson.Value)])(using request: Request): Unit =
    if level >= least then
      val about = Seq("request_id" -> request.id, "trace_id" -> request.traceId).filter(_._2.nonEmpty).map((k, v) => k -> ujson.Str(v))
      val first = Seq("time" -> Instant.now.toString, "level" -> levels(level), "msg" -> msg).map((k, v) => k -> ujson.Str(v))
      println(ujson.write(ujson.Obj.from(first ++ about ++ fields)))

  /** An error that nobody expected, with where it happened. */
  def trace(e: Throwable): String =
    val text = StringWriter()
    e.printStackTrace(PrintWriter(text))
    text.toString

  def text(e: Throwable): String = Iterator.iterate(e)(_.getCause).takeWhile(_ != null).take(5).map(_.toString).mkString("; ")

  private object Libraries extends Handler:
    def publish(record: LogRecord): Unit =
      error(Option(record.getMessage).getOrElse(""), "logger" -> record.getLoggerName,
        "error" -> Option(record.getThrown).fold("")(trace))(using Request.none)
    def flush(): Unit = ()
    def close(): Unit = ()
