package users;

import java.net.URI;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.config.SslConfigs;
import org.apache.kafka.common.serialization.StringSerializer;

/** How to reach the brokers, as Heroku's variables tell it. */
record Kafka(String topic, Map<String, Object> config) {
    /** Null where KAFKA_URL is not set. */
    static Kafka from(Map<String, String> env) {
        if (env.getOrDefault("KAFKA_URL", "").isEmpty()) {
            return null;
        }
        List<String> brokers = new ArrayList<>();
        boolean tls = false;
        for (String text : env.get("KAFKA_URL").split(",")) {
            URI uri = URI.create(text.trim());
            if (uri.getHost() == null || uri.getPort() < 0 || !List.of("kafka", "kafka+ssl").contains(uri.getScheme())) {
                throw new IllegalArgumentException("KAFKA_URL is not a list of kafka:// or kafka+ssl:// URLs");
            }
            tls |= uri.getScheme().equals("kafka+ssl");
            brokers.add(uri.getHost() + ":" + uri.getPort());
        }
        Map<String, Object> config = new HashMap<>(Map.of(
                ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers,
                ProducerConfig.CLIENT_ID_CONFIG, "users",
                ProducerConfig.ACKS_CONFIG, "all",
                ProducerConfig.LINGER_MS_CONFIG, 0,
                ProducerConfig.BUFFER_MEMORY_CONFIG, 1L << 20, // of one event at a time
                ProducerConfig.MAX_BLOCK_MS_CONFIG, 5_000L,
                ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, 5_000,
                ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, 10_000,
                ProducerConfig.SOCKET_CONNECTION_SETUP_TIMEOUT_MS_CONFIG, 5_000L));
        if (tls) {
            config.putAll(ssl(env));
        }
        return new Kafka(env.getOrDefault("KAFKA_PREFIX", "") + "users", config);
    }

    /**
     * Shows the client's certificate and wants the brokers' to be signed by
     * KAFKA_TRUSTED_CERT. Their names are not checked: Heroku's brokers have
     * certificates without the names they are reached by.
     * https://devcenter.heroku.com/articles/kafka-on-heroku
     */
    private static Map<String, Object> ssl(Map<String, String> env) {
        return Map.of(
                "security.protocol", "SSL",
                SslConfigs.SSL_ENDPOINT_IDENTIFICATION_ALGORITHM_CONFIG, "",
                SslConfigs.SSL_TRUSTSTORE_TYPE_CONFIG, "PEM",
                SslConfigs.SSL_TRUSTSTORE_CERTIFICATES_CONFIG, env.getOrDefault("KAFKA_TRUSTED_CERT", ""),
                SslConfigs.SSL_KEYSTORE_TYPE_CONFIG, "PEM",
                SslConfigs.SSL_KEYSTORE_CERTIFICATE_CHAIN_CONFIG, env.getOrDefault("KAFKA_CLIENT_CERT", ""),
                SslConfigs.SSL_KEYSTORE_KEY_CONFIG, pkcs8(env.getOrDefault("KAFKA_CLIENT_CERT_KEY", "")));
    }

    /** Heroku's keys may be in PKCS #1, which Java does not read: PKCS #8 is that in an envelope. */
    static String pkcs8(String pem) {
        if (!pem.contains("BEGIN RSA PRIVATE KEY")) {
            return pem;
        }
        byte[] key = Base64.getMimeDecoder().decode(pem.replaceAll("-----[^-]+-----", ""));
        byte[] rsa = HexFormat.of().parseHex("020100" + "300d06092a864886f70d0101010500"); // version 0, rsaEncryption
        ByteBuffer envelope = ByteBuffer.allocate(8 + rsa.length + key.length);
        envelope.putShort((short) 0x3082).putShort((short) (4 + rsa.length + key.length)).put(rsa);
        envelope.putShort((short) 0x0482).putShort((short) key.length).put(key);
        return "-----BEGIN PRIVATE KEY-----\n" + Base64.getMimeEncoder().encodeToString(envelope.array()) + "\n-----END PRIVATE KEY-----\n";
    }

    KafkaProducer<String, String> connect() {
        return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
    }
}
