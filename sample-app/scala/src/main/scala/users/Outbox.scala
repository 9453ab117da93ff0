package users

import java.nio.charset.StandardCharsets.UTF_8
import java.sql.{Connection, ResultSet, SQLException}
import java.time.{Duration, Instant}
import java.util.concurrent.ExecutionException
import javax.sql.DataSource
import org.apache.kafka.clients.producer.{KafkaProducer, ProducerRecord}
import org.apache.kafka.common.KafkaException
import scala.util.Try
import upickle.default.{Writer, write}
import upickle.implicits.key
import Database.{connected, instant, sql}

/** The value of a record. Its id rises with each event of a user. */
final case class Event(id: Long, `type`: String, user: ujson.Value, @key("request_id") requestId: String, at: Instant)
    derives Writer

/** Holds the events that Kafka does not have yet. A change writes its event in its
  * own transaction, so that there is one for each change that was made and none
  * for those that were not; publishing gives them to Kafka, whenever that is there.
  *
  * db has the connections of requests, own makes the one that has the lock.
  * Without KAFKA_URL there is no kafka, and no event is written.
  */
final class Outbox(db: DataSource, own: DataSource, kafka: Option[Kafka]):
  /** Writes an event that is there when the transaction commits. */
  def add(kind: String, user: User)(using tx: Connection, request: Request): Unit =
    if kafka.isDefined then
      sql"""INSERT INTO outbox (type, user_id, user_json, traceparent, request_id)
        VALUES ($kind, ${user.id}, ${write(user)}, ${request.traceparent}, ${request.id})""".run()

  /** How many events wait; not a number without Postgres. */
  def length: Double = Try(db.connected(sql"SELECT count(*) FROM outbox".query(_.getLong(1)).head.toDouble)).getOrElse(Double.NaN)

  /** Gives events to Kafka as long as the process lives, in one process at a time. */
  def start(): Unit = kafka.foreach { kafka =>
    val thread = Thread(() => keepPublishing(kafka), "outbox")
    thread.setDaemon(true)
    thread.start()
  }

  private def keepPublishing(kafka: Kafka): Unit =
    while true do
      try publish(kafka)
      catch case e: (SQLException | ExecutionException | KafkaException) =>
        Log.warn("events stay in the outbox for now", "error" -> Log.text(e))(using Request.none)
      Thread.sleep(1_000)

  /** Publishes until something fails. The lock that makes this process the one is
    * its connection's, and goes with it.
    */
  private def publish(kafka: Kafka): Unit = own.connected {
    if sql"SELECT pg_try_advisory_lock(hashtext('outbox'))".query(_.getBoolean(1)).head then
      val producer = kafka.connect()
      try
        while true do
          if publishSome(kafka.topic, producer) == 0 then Thread.sleep(200)
      finally producer.close(Duration.ZERO)
  }

  /** Publishes the oldest events, each after the one before it has been
    * acknowledged and removed. Should it die in between, that one is published again.
    */
  private def publishSome(topic: String, producer: KafkaProducer[String, String])(using Connection): Int =
    val oldest = sql"SELECT * FROM outbox ORDER BY id LIMIT 100".query(row => (row.getLong("id"), recordOf(topic, row)))
    for (id, record) <- oldest do
      producer.send(record).get()
      sql"DELETE FROM outbox WHERE id = $id".run()
    oldest.size

  private def recordOf(topic: String, row: ResultSet) =
    val event = Event(row.getLong("id"), row.getString("type"), ujson.read(row.getString("user_json")),
      row.getString("request_id"), row.instant("at"))
    val record = ProducerRecord(topic, row.getLong("user_id").toString, write(event))
    record.headers.add("type", event.`type`.getBytes(UTF_8)).add("traceparent", row.getString("traceparent").getBytes(UTF_8))
    record
