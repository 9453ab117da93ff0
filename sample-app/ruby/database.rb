# frozen_string_literal: true

require "connection_pool"
require "pg"

# Postgres.
module Database
  # What an essential-0 database and a mini cache give is for the dyno, whose
  # processes share it: at most 9 connections to Postgres, one of them each
  # process's for the outbox, and 8 to Redis.
  PROCESSES = ENV["WEB_CONCURRENCY"].to_i.clamp(1, 4)

  URL = ENV["DATABASE_URL"].to_s
  abort "DATABASE_URL is not set; attach a database (heroku addons:create heroku-postgresql)" if URL.empty?

  # Where the other side has gone without a word, that is found out within seconds.
  OPTIONS = { connect_timeout: 3, options: "-c statement_timeout=5s -c timezone=UTC", tcp_user_timeout: 7000,
              keepalives_idle: 5, keepalives_interval: 1, keepalives_count: 2 }.freeze
  NUMBERS = PG::TypeMapByOid.new.tap { |map| map.add_coder(PG::TextDecoder::Integer.new(oid: 20)) }

  # A place for one connection, which is made where a request needs it, so that
  # a request knows at once that Postgres is away.
  class Place
    def use
      @connection ||= Database.connect
      yield @connection
    rescue PG::IntegrityConstraintViolation
      raise
    rescue PG::Error
      @connection&.close
      @connection = nil
      raise
    end
  end

  POOL = ConnectionPool.new(size: (9 / PROCESSES) - 1, timeout: 5) { Place.new }

  # What it looks like to the app that Postgres is away, busy or too slow.
  FAILURES = [PG::Error, ConnectionPool::TimeoutError].freeze

  class << self
    def connect
      PG.connect(URL, **OPTIONS).tap { |connection| connection.type_map_for_results = NUMBERS }
    end

    def with(&)
      POOL.with { |place| place.use(&) }
    end

    # Does all of a block or nothing. Of what Postgres refuses, one thing is the
    # client's fault.
    def transaction(&)
      with { |connection| connection.transaction(&) }
    rescue PG::UniqueViolation
      raise ApiError.email_taken
    end

    def query(connection, sql, *values) = connection.exec_params(sql, values).to_a

    def read(sql, *values) = with { |connection| query(connection, sql, *values) }

    # Runs a script of this folder, any number of times: all of it or nothing,
    # since what is sent as one is one transaction.
    def run_script(name)
      connection = PG.connect(URL)
      connection.exec(File.read(File.join(__dir__, name)))
    ensure
      connection&.close
    end
  end
end
