# frozen_string_literal: true

require_relative "cache"
require_relative "database"
require_relative "errors"
require_relative "outbox"

# What a client says of a user, and looks for.
module Input
  CONTROL = /\p{Cc}/
  ATOM = /[^\p{Z}\p{Cc}@"(),.:;<>\[\\\]]+/
  EMAIL = /\A#{ATOM}(\.#{ATOM})*@#{ATOM}(\.#{ATOM})*\z/

  module_function

  # Returns the two as they are stored, or raises what is wrong with them.
  def clean(name, email)
    name = trim(name)
    email = trim(email)
    raise ApiError.invalid("name is required") if name.empty?
    raise ApiError.invalid("name is longer than 100 characters") if name.length > 100
    raise ApiError.invalid("name holds a control character") if CONTROL.match?(name)
    raise ApiError.invalid("email is required") if email.empty?
    unless email.bytesize <= 254 && EMAIL.match?(email)
      raise ApiError.invalid("email is not an address like user@example.com")
    end

    [name, email]
  end

  # Takes white space away, Unicode's, in one pass.
  def trim(text) = text[/\A[[:space:]]*(.*[^[:space:]])?/m, 1].to_s

  # The LIKE pattern of what holds a text.
  def contains(text) = "%#{text.gsub(/[\\%_]/) { "\\#{_1}" }}%"
end

# The one place that changes users, so that no change forgets the cache or its
# event.
class Users
  COLUMNS = %w[created_at updated_at].inject("id, name, email, version") do |columns, time|
    %(#{columns}, to_char(#{time}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS #{time})
  end

  attr_reader :cache

  def initialize(cache, outbox)
    @cache = cache
    @outbox = outbox
  end

  # Fails unless Postgres answers and has the schema.
  def ping = Database.read("SELECT 1 FROM users LIMIT 1")

  # Adds a user. The cache cannot know of it yet.
  def create(name, email)
    Database.transaction do |tx|
      user = one(tx, "INSERT INTO users (name, email) VALUES ($1, $2) RETURNING #{COLUMNS}", name, email)
      @outbox.add(tx, "user.created", user)
      user
    end
  end

  # Reads the user of a look into the cache, which can be believed, or else from
  # Postgres.
  def get(look)
    return look.user if look.how == "hit"

    sql = "SELECT #{COLUMNS} FROM users WHERE id = $1"
    return Database.with { |connection| one(connection, sql, look.id) } unless look.lease

    # The row stays as it is until the cache has it, and waits for who is
    # changing it.
    Database.transaction do |tx|
      one(tx, "#{sql} FOR SHARE", look.id).tap { |user| @cache.fill(look, user) }
    end
  end

  # Up to limit users after an id whose name or email holds the text, in the
  # order they were created. A list is never cached: it would have to be
  # forgotten with every change of any user.
  def list(after, limit, text)
    Database.read(<<~SQL, after, limit, Input.contains(text))
      SELECT #{COLUMNS} FROM users
      WHERE id > $1 AND (name ILIKE $3 OR email ILIKE $3) ORDER BY id LIMIT $2
    SQL
  end

  # Replaces a user. match is the version it must have, or nil for any.
  def update(id, match, name, email)
    change(id, match, "user.updated", <<~SQL, name, email)
      UPDATE users SET name = $2, email = $3, version = version + 1, updated_at = now()
      WHERE id = $1 RETURNING #{COLUMNS}
    SQL
  end

  # Removes a user. match is the version it must have, or nil for any.
  def delete(id, match) = change(id, match, "user.deleted", "DELETE FROM users WHERE id = $1 RETURNING #{COLUMNS}")

  private

  # Runs a statement on one user, writes its event, and makes the cache forget
  # the user.
  def change(id, match, type, sql, *values)
    told = true
    user = Database.transaction do |tx|
      old = one(tx, "SELECT version FROM users WHERE id = $1 FOR UPDATE", id)
      raise ApiError.stale unless [nil, old["version"]].include?(match)

      one(tx, sql, id, *values).tap do |changed|
        @outbox.add(tx, type, changed)
        told = @cache.forget(tx, id)
      end
    end
    sleep Cache::EPOCH_TRUST unless told
    user
  end

  def one(connection, sql, *values)
    Database.query(connection, sql, *values).first or raise ApiError.not_found
  end
end
