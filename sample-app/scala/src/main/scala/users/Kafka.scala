package users

import java.net.URI
import java.nio.ByteBuffer
import java.util.{Base64, HexFormat}
import org.apache.kafka.clients.producer.KafkaProducer
import org.apache.kafka.common.serialization.StringSerializer
import scala.jdk.CollectionConverters.*
import scala.util.Try

/** How to reach the brokers, as Heroku's variables tell it. */
final class Kafka(val topic: String, config: Map[String, AnyRef]):
  def connect(): KafkaProducer[String, String] = KafkaProducer(config.asJava, StringSerializer(), StringSerializer())

object Kafka:
  /** None where KAFKA_URL is not set. */
  def from(env: Map[String, String]): Option[Kafka] = env.get("KAFKA_URL").map { urls =>
    val brokers = urls.split(",").toVector.map { text =>
      Try(URI(text.trim)).filter(uri => uri.getHost != null && uri.getPort > 0 && Set("kafka", "kafka+ssl")(uri.getScheme))
        .getOrElse(sys.error("KAFKA_URL is not a list of kafka:// or kafka+ssl:// URLs"))
    }
    val config = Map(
      "bootstrap.servers" -> brokers.map(uri => s"${uri.getHost}:${uri.getPort}").mkString(","),
      "client.id" -> "users",
      "acks" -> "all",
      "linger.ms" -> "0", // one event goes at a time
      "buffer.memory" -> "1048576",
      "max.block.ms" -> "5000",
      "request.timeout.ms" -> "5000",
      "delivery.timeout.ms" -> "10000",
      "socket.connection.setup.timeout.ms" -> "5000",
    )
    val secured = if brokers.exists(_.getScheme == "kafka+ssl") then config ++ tls(env) else config
    Kafka(env.getOrElse("KAFKA_PREFIX", "") + "users", secured)
  }

  /** Shows the client's certificate and wants the brokers' to be signed by
    * KAFKA_TRUSTED_CERT. Their names are not checked: Heroku's brokers have
    * certificates without the names they are reached by.
    * https://devcenter.heroku.com/articles/kafka-on-heroku
    */
  private def tls(env: Map[String, String]) = Map(
    "security.protocol" -> "SSL",
    "ssl.endpoint.identification.algorithm" -> "",
    "ssl.truststore.type" -> "PEM",
    "ssl.truststore.certificates" -> env.getOrElse("KAFKA_TRUSTED_CERT", ""),
    "ssl.keystore.type" -> "PEM",
    "ssl.keystore.certificate.chain" -> env.getOrElse("KAFKA_CLIENT_CERT", ""),
    "ssl.keystore.key" -> pkcs8(env.getOrElse("KAFKA_CLIENT_CERT_KEY", "")),
  )

  /** Heroku's keys may be in PKCS #1, which Java does not read: PKCS #8 is that in an envelope. */
  def pkcs8(pem: String): String =
    if !pem.contains("BEGIN RSA PRIVATE KEY") then pem
    else
      val key = Base64.getMimeDecoder.decode(pem.replaceAll("-----[^-]+-----", ""))
      val rsa = HexFormat.of.parseHex("020100" + "300d06092a864886f70d0101010500") // version 0, rsaEncryption
      val envelope = ByteBuffer.allocate(8 + rsa.length + key.length)
        .putShort(0x3082.toShort).putShort((4 + rsa.length + key.length).toShort).put(rsa)
        .putShort(0x0482.toShort).putShort(key.length.toShort).put(key)
      s"-----BEGIN PRIVATE KEY-----\n${Base64.getMimeEncoder.encodeToString(envelope.array)}\n-----END PRIVATE KEY-----\n"
