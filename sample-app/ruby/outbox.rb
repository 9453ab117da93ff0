# frozen_string_literal: true

require_relative "database"
require_relative "kafka"
require_relative "observe"

# Holds the events that Kafka does not have yet. A change writes its event in
# its own transaction, so that there is one for each change that was made and
# none for those that were not; a thread gives them to Kafka, whenever that is
# there. Without KAFKA_URL no event is written.
class Outbox
  POLL_EVERY = 0.2 # seconds
  RETRY_EVERY = 1 # second

  ADD = "INSERT INTO outbox (type, user_id, user_json, traceparent, request_id) VALUES ($1, $2, $3, $4, $5)"
  OLDEST = <<~SQL
    SELECT id, type, user_json, request_id, user_id, traceparent,
      to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at FROM outbox ORDER BY id LIMIT 100
  SQL

  def initialize
    @kafka = Kafka.from_env
    @topic = "#{ENV.fetch("KAFKA_PREFIX", "")}users"
    @lock = Mutex.new
    @stopped = ConditionVariable.new
    @stopping = false
  end

  # Writes an event that is there when the transaction commits.
  def add(transaction, type, user)
    return unless @kafka

    request = Request.current
    transaction.exec_params(ADD, [type, user["id"], JSON.generate(user), request.traceparent, request.id])
  end

  # How many events wait; nobody knows without Postgres.
  def length
    Database.read("SELECT count(*) AS n FROM outbox").first.fetch("n")
  rescue *Database::FAILURES => e
    Log.warn("the outbox cannot be counted", error: e.message)
    "NaN"
  end

  def start
    @thread = Thread.new { publish until @stopping } if @kafka
  end

  def stop
    @lock.synchronize do
      @stopping = true
      @stopped.broadcast
    end
    @thread&.join(2) # what it has not said by then, another says again
  end

  private

  # Gives events to Kafka until something is wrong.
  def publish
    publish_alone
  rescue StandardError, LoadError => e
    Log.warn("events stay in the outbox for now", error: e.message)
  ensure
    pause(RETRY_EVERY)
  end

  # In one process at a time. The lock that makes it this one is its
  # connection's, and goes with it.
  def publish_alone
    connection = Database.connect
    return unless connection.exec("SELECT pg_try_advisory_lock(hashtext('outbox')) AS got").first["got"] == "t"

    producer = Kafka::Producer.new(@kafka)
    until @stopping
      published = publish_some(connection, producer)
      pause(POLL_EVERY) if published.zero?
    end
  ensure
    producer&.close
    connection&.close
  end

  # Publishes the oldest events, each after the one before it has been
  # acknowledged and removed. Should it die in between, that one is published
  # again.
  def publish_some(connection, producer)
    rows = connection.exec(OLDEST).to_a
    rows.each do |row|
      break if @stopping

      value = row.slice("id", "type", "request_id", "at").merge("user" => JSON.parse(row["user_json"]))
      producer.deliver(@topic, row["user_id"].to_s, JSON.generate(value), row.slice("type", "traceparent"))
      connection.exec_params("DELETE FROM outbox WHERE id = $1", [row["id"]])
    end
    rows.size
  end

  def pause(seconds)
    @lock.synchronize { @stopped.wait(@lock, seconds) unless @stopping }
  end
end
