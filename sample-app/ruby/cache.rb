# frozen_string_literal: true

require "connection_pool"
require "redis"

require_relative "database"
require_relative "observe"

# Keeps users in Redis before Postgres, for speed alone: no read that begins
# after a change was acknowledged shows what was before it, whatever becomes of
# Redis. The README of the folder above tells why.
#
# - An entry says in which epoch and in which life of the server it was made.
#   Only those of this epoch and this life are believed, so that a server that
#   comes back with what it once saved has nothing.
# - A reader that fills the cache takes a lease first, and then holds a lock on
#   the row. A writer, which has the row for itself, deletes entry and lease
#   before it commits: what was read before can no longer be put.
# - Where Redis does not say that it has deleted, the writer's transaction begins
#   a new epoch, and the change is acknowledged only when nobody trusts the old
#   one any more.
#
# Reads use a credential that may be unable to write. Without REDIS_URL there is
# no cache, and every look is a bypass.
class Cache
  EPOCH_TRUST = 0.5 # seconds
  ANSWER_WITHIN = 0.1 # seconds
  ENTRY_TTL = 60_000 # ms
  LEASE_TTL = 2000 # ms

  # Writes an entry if the lease for it is still there.
  PUT = <<~LUA
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
    redis.call('DEL', KEYS[1])
    return 1
  LUA

  # What a look found: how is what X-Cache says. A hit has the user; a miss has
  # the lease, if this reader is the one that is to fill.
  Look = Struct.new(:id, :how, :user, :lease, :epoch, :life, keyword_init: true)

  # What a TLS handshake fails with, the library passes on.
  FAILURES = [Redis::BaseError, ConnectionPool::TimeoutError, OpenSSL::SSL::SSLError, SystemCallError, IOError].freeze

  def initialize
    @known = ["", -Float::INFINITY] # the epoch, and when Postgres was asked: replaced together
    return if ENV["REDIS_URL"].to_s.empty?

    @writer = connect("REDIS_URL")
    @reader = ENV["REDIS_READER_URL"].to_s.empty? ? @writer : connect("REDIS_READER_URL")
  end

  # Looks for a user. It fails only without Postgres, which has the epoch.
  def look(id)
    return Look.new(id:, how: "bypass") unless @reader

    epoch = current_epoch
    begin
      life, found = ask(@reader) { |pipe| pipe.get(entry_key(id)) }
    rescue *FAILURES => e
      Log.warn("the cache does not answer", error: e.message)
      return Look.new(id:, how: "bypass")
    end
    user = believed(found, epoch, life)
    return Look.new(id:, how: "hit", user:) if user && user["id"] == id

    lease(id, epoch)
  end

  # Puts in what was read from Postgres after a look that got the lease, while
  # the row is locked.
  def fill(look, user)
    entry = JSON.generate({ epoch: look.epoch, life: look.life, user: })
    @writer.with { |redis| redis.eval(PUT, [lease_key(look.id), entry_key(look.id)], [look.lease, entry, ENTRY_TTL]) }
  rescue *FAILURES => e
    Log.warn("the cache was not filled", user: look.id, error: e.message)
  end

  # Deletes a user from the cache, before the transaction commits its change. If
  # Redis cannot be told, the commit begins a new epoch, and this is false: then
  # the change may be acknowledged only EPOCH_TRUST after it.
  def forget(transaction, id)
    @writer&.with { |redis| redis.del(entry_key(id), lease_key(id)) }
    true
  rescue *FAILURES => e
    Log.warn("the cache cannot be told to forget; a new epoch begins", user: id, error: e.message)
    transaction.exec("UPDATE cache_epoch SET epoch = gen_random_uuid()")
    false
  end

  def state
    return "off" unless @reader

    [@reader, @writer].each { |pool| pool.with(&:ping) }
    "ok"
  rescue *FAILURES
    "down"
  end

  private

  # A few connections that the threads share. What is not answered in time
  # fails: Postgres answers sooner than a second try.
  def connect(variable)
    url = ENV.fetch(variable)
    abort "#{variable} is not a redis:// or rediss:// URL" unless url.match?(%r{\Arediss?://[^\s]+\z})
    ConnectionPool.new(size: 4 / Database::PROCESSES, timeout: ANSWER_WITHIN) do
      # Heroku's servers have certificates that they signed themselves; its
      # manual says not to verify them, so TLS hides the traffic and the
      # password tells friend from foe.
      # https://devcenter.heroku.com/articles/connecting-heroku-redis
      Redis.new(url:, timeout: ANSWER_WITHIN, reconnect_attempts: 0,
                ssl_params: { verify_mode: OpenSSL::SSL::VERIFY_NONE })
    end
  end

  # The one that is, or was less than EPOCH_TRUST ago.
  def current_epoch
    now = Process.clock_gettime(Process::CLOCK_MONOTONIC) # before Postgres is asked, not when it answers
    epoch, asked = @known
    return epoch if now - asked < EPOCH_TRUST

    epoch = Database.read("SELECT epoch::text FROM cache_epoch").first.fetch("epoch")
    @known = [epoch, now]
    epoch
  end

  # A miss, with the lease if nobody else has it.
  def lease(id, epoch)
    token = SecureRandom.hex
    life, leased = ask(@writer) { |pipe| pipe.set(lease_key(id), token, nx: true, px: LEASE_TTL) }
    Look.new(id:, how: "miss", epoch:, life:, lease: (token if leased == true))
  rescue *FAILURES
    Look.new(id:, how: "miss")
  end

  # Sends a command and the question which life of the server answers it, on one
  # connection. A server that refuses has answered: nothing.
  def ask(pool)
    info, answer = pool.with do |redis|
      redis.pipelined do |pipe|
        pipe.info("server")
        yield pipe
      end
    end
    [info.fetch("run_id", ""), answer]
  rescue Redis::CommandError
    ["", nil]
  end

  # The user of an entry of this epoch and this life, or nil.
  def believed(found, epoch, life)
    entry = JSON.parse(found.to_s)
    return unless entry.is_a?(Hash) && entry.values_at("epoch", "life") == [epoch, life]

    entry["user"] if entry["user"].is_a?(Hash)
  rescue JSON::ParserError, EncodingError
    nil # nothing there, or rubbish
  end

  def entry_key(id) = "user:#{id}"
  def lease_key(id) = "lease:#{id}"
end
