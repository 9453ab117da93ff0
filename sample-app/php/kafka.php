<?php

declare(strict_types=1);

final class KafkaError extends Exception
{
}

// Sends one record after the other to Kafka, through librdkafka
// (https://github.com/confluentinc/librdkafka).
final class Producer
{
    private const FUNCTIONS = <<<'C'
        void *rd_kafka_conf_new(void);
        int rd_kafka_conf_set(void *conf, const char *name, const char *value, char *error, size_t size);
        void rd_kafka_conf_set_events(void *conf, int events);
        void *rd_kafka_new(int type, void *conf, char *error, size_t size);
        void rd_kafka_destroy(void *kafka);
        int rd_kafka_producev(void *kafka, ...);
        void *rd_kafka_queue_get_main(void *kafka);
        void rd_kafka_queue_destroy(void *queue);
        void *rd_kafka_queue_poll(void *queue, int milliseconds);
        const int *rd_kafka_event_message_next(void *event); // the first field of a message: its error
        void rd_kafka_event_destroy(void *event);
        const char *rd_kafka_err2str(int error);
        C;
    private const PRODUCER = 0;
    private const DELIVERIES = 1; // of events, the only ones that are asked for
    private const COPY = 2; // what a record is made of
    // What follows, for producev.
    private const LAST = 0;
    private const TOPIC = 1;
    private const VALUE = 4;
    private const KEY = 5;
    private const FLAGS = 7;
    private const HEADER = 9;

    private readonly FFI $lib;
    private readonly FFI\CData $kafka;
    private readonly FFI\CData $queue;

    // How to reach the brokers, as Heroku's variables tell it.
    public static function config(): array
    {
        $urls = array_map(fn (string $url) => parse_url(trim($url)), explode(',', (string) getenv('KAFKA_URL')));
        $config = [
            'bootstrap.servers' => implode(',', array_map(fn (array $url) => $url['host'] . ':' . ($url['port'] ?? 9092), $urls)),
            'client.id' => 'users',
            'acks' => 'all',
            'linger.ms' => '0',
            'socket.nagle.disable' => 'true', // else each event takes 40 ms
            'message.timeout.ms' => '10000',
            'log_level' => '0',
        ];
        if (!in_array('kafka+ssl', array_column($urls, 'scheme'), true)) {
            return $config;
        }
        // The names in the brokers' certificates are not checked: Heroku's
        // brokers have certificates without the names they are reached by.
        // https://devcenter.heroku.com/articles/kafka-on-heroku
        return $config + [
            'security.protocol' => 'ssl',
            'ssl.endpoint.identification.algorithm' => 'none',
            'ssl.ca.pem' => (string) getenv('KAFKA_TRUSTED_CERT'),
            'ssl.certificate.pem' => (string) getenv('KAFKA_CLIENT_CERT'),
            'ssl.key.pem' => (string) getenv('KAFKA_CLIENT_CERT_KEY'),
        ];
    }

    public function __construct(array $config)
    {
        $this->lib = FFI::cdef(self::FUNCTIONS, 'librdkafka.so.1');
        $said = $this->lib->new('char[512]');
        $conf = $this->lib->rd_kafka_conf_new();
        foreach ($config as $name => $value) {
            if ($this->lib->rd_kafka_conf_set($conf, $name, $value, $said, 512) !== 0) {
                throw new KafkaError(FFI::string($said));
            }
        }
        $this->lib->rd_kafka_conf_set_events($conf, self::DELIVERIES);
        $this->kafka = $this->lib->rd_kafka_new(self::PRODUCER, $conf, $said, 512) ?? throw new KafkaError(FFI::string($said));
        $this->queue = $this->lib->rd_kafka_queue_get_main($this->kafka);
    }

    public function __destruct()
    {
        if (isset($this->queue)) {
            $this->lib->rd_kafka_queue_destroy($this->queue);
            $this->lib->rd_kafka_destroy($this->kafka);
        }
    }

    // Returns once all replicas have the record.
    public function send(string $topic, string $key, string $value, array $headers): void
    {
        $parts = [self::TOPIC, $topic, self::FLAGS, self::COPY, self::KEY, $key, strlen($key), self::VALUE, $value, strlen($value)];
        foreach ($headers as $name => $text) {
            array_push($parts, self::HEADER, $name, $text, strlen($text));
        }
        $this->check($this->lib->rd_kafka_producev($this->kafka, ...[...$parts, self::LAST]));
        do {
            $error = $this->delivery(); // it ends: message.timeout.ms
        } while ($error === null);
        $this->check($error);
    }

    // What became of the record, or null if that is not known yet.
    private function delivery(): ?int
    {
        $event = $this->lib->rd_kafka_queue_poll($this->queue, 1000);
        if ($event === null) {
            return null;
        }
        $message = $this->lib->rd_kafka_event_message_next($event); // none in an event of another kind: a broker is away
        $error = $message === null ? null : $message[0];
        $this->lib->rd_kafka_event_destroy($event);
        return $error;
    }

    private function check(int $error): void
    {
        if ($error !== 0) {
            throw new KafkaError($this->lib->rd_kafka_err2str($error));
        }
    }
}
