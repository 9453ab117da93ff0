import { Kafka, logLevel, Partitioners } from 'kafkajs';

import { log } from './observe.js';

// kafkaFromEnv is how to reach the brokers, as Heroku's variables tell it, or
// null where KAFKA_URL is not set.
export function kafkaFromEnv() {
  const { KAFKA_URL, KAFKA_PREFIX = '' } = process.env;
  if (!KAFKA_URL) return null;
  const urls = KAFKA_URL.split(',').map((text) => /^kafka(\+ssl)?:\/\/([^/@\s]+)\/?$/.exec(text.trim()));
  if (urls.includes(null)) throw new Error('KAFKA_URL is not a list of kafka:// or kafka+ssl:// URLs');
  const kafka = new Kafka({
    clientId: 'users',
    brokers: urls.map(([, , broker]) => broker),
    ssl: urls.some(([, ssl]) => ssl) && certificates(),
    connectionTimeout: 5000,
    requestTimeout: 10_000,
    retry: { retries: 1 }, // the outbox tries again
    logLevel: logLevel.WARN,
    logCreator: () => ({ log: { message } }) => log.debug(message), // failures that matter come back as errors
  });
  const topic = `${KAFKA_PREFIX}users`;
  return {
    producer: () => kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner }),
    send: (producer, message) => producer.send({ topic, acks: -1, timeout: 5000, messages: [message] }),
  };
}

// certificates shows the client's certificate and wants the brokers' to be
// signed by KAFKA_TRUSTED_CERT. Their names are not checked: Heroku's brokers
// have certificates without the names they are reached by.
// https://devcenter.heroku.com/articles/kafka-on-heroku
function certificates() {
  const { KAFKA_TRUSTED_CERT: ca, KAFKA_CLIENT_CERT: cert, KAFKA_CLIENT_CERT_KEY: key } = process.env;
  if (!ca || !cert || !key) throw new Error('kafka+ssl needs KAFKA_TRUSTED_CERT, KAFKA_CLIENT_CERT and KAFKA_CLIENT_CERT_KEY');
  return { ca, cert, key, checkServerIdentity: () => undefined };
}
