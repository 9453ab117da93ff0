# frozen_string_literal: true

# Users is a web service that creates, reads, updates, deletes, lists and
# searches users. Postgres is the only truth; Redis, before it, makes reads fast
# and can never make them wrong; Kafka, beside it, is told of each change.
#
#   puma           serve HTTP on $PORT
#   rake migrate   bring the schema up to date (the release phase)
#   rake seed      add users to look at (postdeploy)

require "sinatra/base"

require_relative "errors"
require_relative "observe"
require_relative "users"

# HTTP: routes and input, and the one place where errors become answers.
class App < Sinatra::Base
  MAX_BIGINT = (2**63) - 1
  MAX_BODY = 64 * 1024 # bytes
  ESCAPE = /\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u[dD]([89a-fA-F])..|\\./ # a surrogate pair, half of one, or else
  PAGE = File.read(File.join(__dir__, "page.html"))
  METHODS = { "/" => "GET, HEAD", "/health" => "GET, HEAD", "/metrics" => "GET, HEAD",
              "/users" => "GET, HEAD, POST", "/users/{id}" => "GET, HEAD, PUT, DELETE" }.freeze

  disable :static, :logging, :protection, :sessions, :show_exceptions, :raise_errors, :dump_errors, :x_cascade

  def initialize(users, metrics)
    super(nil)
    @users = users
    @metrics = metrics
  end

  get("/") { PAGE }

  get "/metrics" do
    content_type "text/plain", version: "0.0.4"
    @metrics.to_s
  end

  # Fails without Postgres. Without the cache the app is merely slower.
  get "/health" do
    cache = @users.cache.state
    @users.ping
    json({ status: "ok", postgres: "ok", cache: })
  rescue *Database::FAILURES => e
    Log.warn("Postgres does not answer", error: e.message)
    headers "Retry-After" => "1"
    halt 503, json({ status: "failing", postgres: "down", cache: })
  end

  # The Link header has the next page: it names the last id seen, so that what
  # is added meanwhile shifts nothing.
  get "/users" do
    limit = number(given("limit", "20"))
    after = number(given("after", "0"))
    text = params["q"].to_s
    raise ApiError.invalid("limit must be a number from 1 to 100") unless limit.between?(1, 100)
    raise ApiError.invalid("after must be the id of a user") unless after.between?(0, MAX_BIGINT)
    unless text.bytesize <= 100 && text.valid_encoding? && !Input::CONTROL.match?(text)
      raise ApiError.invalid("q must be a text of at most 100 bytes")
    end

    found = @users.list(after, limit + 1, text)
    shown = found.first(limit)
    link(limit, shown.last["id"], text) if found.size > limit
    json(shown)
  end

  post "/users" do
    user = @users.create(*input)
    status 201
    headers "Location" => "/users/#{user["id"]}"
    answer(user)
  end

  get "/users/:id" do |id|
    look = @users.cache.look(user_id(id))
    Request.current.cache = look.how
    user = @users.get(look)
    body = answer(user)
    halt 304 if seen?(response["ETag"])
    body
  end

  put "/users/:id" do |id|
    answer(@users.update(user_id(id), wanted_version, *input))
  end

  delete "/users/:id" do |id|
    @users.delete(user_id(id), wanted_version)
    204
  end

  error(Sinatra::NotFound, Sinatra::BadRequest, Exception) { |e| tell(known(e)) }

  private

  def known(error)
    case error
    when ApiError then error
    when Sinatra::NotFound then nowhere
    when Sinatra::BadRequest then ApiError.invalid("The query cannot be read.") # Sinatra reads no body
    when *Database::FAILURES # Postgres is away, busy or too slow
      Log.error("Postgres did not do it", error: error.message)
      ApiError.unavailable
    else
      Log.error("request failed", error: error.full_message(highlight: false))
      ApiError.defect
    end
  end

  def tell(error)
    status error.status
    headers "Retry-After" => "1" if error.status == 503
    json({ id: error.id, message: error.message })
  end

  # No route took it: there is no such path, or it has no such method.
  def nowhere
    allowed = METHODS[Observe.route(request.path_info)]
    return ApiError.new(404, "not_found", "There is nothing here.") unless allowed

    headers "Allow" => allowed
    ApiError.new(405, "method_not_allowed", "The path has no such method.")
  end

  def json(value)
    content_type :json
    JSON.generate(value)
  end

  def answer(user)
    headers "ETag" => %("#{user["version"]}")
    json(user)
  end

  def seen?(tag)
    request.env["HTTP_IF_NONE_MATCH"].to_s.split(",").map { _1.strip.delete_prefix("W/") }.intersect?([tag, "*"])
  end

  def link(limit, last, text)
    following = URI.encode_www_form({ limit:, after: last, **(text.empty? ? {} : { q: text }) })
    headers "Link" => %(</users?#{following}>; rel="next")
  end

  def given(name, otherwise)
    text = params[name].to_s
    text.empty? ? otherwise : text
  end

  # What digits say, or -1.
  def number(text) = text.match?(/\A[0-9]{1,30}\z/) ? text.to_i : -1

  def user_id(text)
    number(text).tap { |id| raise ApiError.not_found unless id.between?(1, MAX_BIGINT) }
  end

  # The version that the user must have; nil for any.
  def wanted_version
    header = request.env.fetch("HTTP_IF_MATCH", "*")
    return if header == "*"
    raise ApiError.stale unless header.match?(/\A"[0-9]{1,19}"\z/)

    header.delete('"').to_i
  end

  # Reads a user from the body.
  def input
    text = request.body.read(MAX_BODY + 1).to_s.force_encoding(Encoding::UTF_8)
    raise ApiError.too_large if text.bytesize > MAX_BODY

    given = parse(text)
    unless given.is_a?(Hash) && (given.keys - %w[name email]).empty?
      raise ApiError.bad_request('Send a JSON object like {"name": "Ada", "email": "ada@example.com"}.')
    end

    fields = given.values_at("name", "email").map { |field| field.nil? ? "" : field }
    raise ApiError.bad_request("name and email are texts.") unless fields.all?(String)

    Input.clean(*fields)
  end

  # Half of a surrogate pair is no character; the library would make another of it.
  def parse(text)
    raise JSON::ParserError if !text.valid_encoding? || text.scan(ESCAPE).flatten.any?

    JSON.parse(text)
  rescue JSON::ParserError
    raise ApiError.bad_request("The body is not JSON in UTF-8.")
  end
end
