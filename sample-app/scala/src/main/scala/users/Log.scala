package users

import java.io.{PrintWriter, StringWriter}
import java.time.Instant
import java.util.logging.{Handler, Level, LogManager, LogRecord}

/** Logs as JSON, one object a line, each with the request that is its reason. */
object Log:
  private val levels = Vector("debug", "info", "warn", "error")
  private val least = levels.indexOf(sys.env.get("LOG_LEVEL").filter(_.nonEmpty).getOrElse("info"))

  /** Takes over from the libraries' logger. What goes wrong in them comes back as
    * an exception, and is logged where that matters; only what they call an error
    * is here, too.
    */
  def start(): Unit =
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
      val first = Seq("time" -> Instant.now.toString, "level" -> levels(level), "msg" -> msg,
        "request_id" -> request.id, "trace_id" -> request.traceId)
      val told = first.collect { case (name, value) if value.nonEmpty => name -> ujson.Str(value) }
      println(ujson.write(ujson.Obj.from(told ++ fields)))

  /** An error that nobody expected, with where it happened. */
  def trace(e: Throwable): String =
    val text = StringWriter()
    e.printStackTrace(PrintWriter(text))
    text.toString

  /** An error that comes from elsewhere, and from what. */
  def text(e: Throwable): String = Iterator.iterate(e)(_.getCause).takeWhile(_ != null).take(5).mkString("; ")

  private object Libraries extends Handler:
    def publish(record: LogRecord): Unit =
      error(Option(record.getMessage).getOrElse(""), "logger" -> record.getLoggerName,
        "error" -> Option(record.getThrown).fold("")(trace))(using Request.none)
    def flush(): Unit = ()
    def close(): Unit = ()
