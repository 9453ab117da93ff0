# frozen_string_literal: true

require "json"
require "securerandom"
require "time"

# The log is JSON, one object a line, with which request it is about.
module Log
  LEVELS = %w[debug info warn error].freeze
  given = ENV["LOG_LEVEL"].to_s
  LEAST = LEVELS.index(given.empty? ? "info" : given) || abort("LOG_LEVEL is none of #{LEVELS.join(", ")}")

  LEVELS.each_with_index do |level, rank|
    define_singleton_method(level) do |message, **fields|
      $stdout.write("#{line(level, message, **fields)}\n") if rank >= LEAST
    end
  end

  def self.line(level, message, **fields)
    request = Request.current
    ids = request ? { request_id: request.id, trace_id: request.traceparent[3, 32] } : {}
    JSON.generate({ time: Time.now.utc.iso8601(3), level:, msg: message.scrub, **fields, **ids })
  end
end

# What is known of the request of this thread. cache is what X-Cache will say.
Request = Struct.new(:id, :traceparent, :cache) do
  def self.current
    Thread.current[:request]
  end

  def self.current=(request)
    Thread.current[:request] = request
  end
end

# Gives each request its ids, counts it, and logs how it ended.
class Observe
  ID = /\A[A-Za-z0-9._-]{1,128}\z/
  TRACE = /\A00-(?!0{32})\h{32}-(?!0{16})\h{16}-\h{2}\z/

  def initialize(app, metrics)
    @app = app
    @metrics = metrics
  end

  def call(env)
    started = now
    env["CONTENT_TYPE"] = "application/json" # whatever it is called; Rack would read a form
    request = Request.current = identify(env)
    status, headers, body = @app.call(env)
    headers["X-Request-Id"] = request.id
    headers["X-Cache"] = request.cache if request.cache
    answered(env["REQUEST_METHOD"], env["PATH_INFO"], status, now - started)
    [status, headers, body]
  ensure
    Request.current = nil
  end

  def self.route(path)
    case path
    when "/", "/health", "/metrics", "/users" then path
    when %r{\A/users/[^/]+\z} then "/users/{id}"
    else "other"
    end
  end

  private

  # A trace that came along goes on (https://www.w3.org/TR/trace-context/).
  def identify(env)
    id = env["HTTP_X_REQUEST_ID"].to_s
    trace = env["HTTP_TRACEPARENT"].to_s
    trace = "00-#{SecureRandom.hex(16)}-#{SecureRandom.hex(8)}-01" unless TRACE.match?(trace) && trace == trace.downcase
    Request.new(ID.match?(id) ? id : SecureRandom.uuid, trace)
  end

  def answered(method, path, status, took)
    cache = Request.current.cache
    route = Observe.route(path)
    @metrics.request(method, route, status, took)
    @metrics.read(cache) if cache
    Log.info("request", method:, path: path.scrub, route:, status:, ms: (took * 1000).round(1), cache: cache.to_s)
  end

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
end

# Counts for Prometheus.
class Metrics
  BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, "+Inf"].freeze # seconds
  METHODS = %w[GET HEAD POST PUT PATCH DELETE OPTIONS].freeze

  def initialize(outbox)
    @outbox = outbox
    @lock = Mutex.new
    @requests = Hash.new(0)
    @times = Hash.new { |all, labels| all[labels] = Array.new(BUCKETS.size, 0) }
    @sums = Hash.new(0.0)
    @reads = { "hit" => 0, "miss" => 0, "bypass" => 0 }
  end

  def request(method, route, status, took)
    method = "other" unless METHODS.include?(method)
    labels = %(method="#{method}",route="#{route}")
    @lock.synchronize do
      @requests[%(#{labels},status="#{status}")] += 1
      @sums[labels] += took
      BUCKETS.each_with_index { |most, at| @times[labels][at] += 1 if most == "+Inf" || took <= most }
    end
  end

  def read(result) = @lock.synchronize { @reads[result] += 1 }

  def to_s
    waiting = @outbox.length
    @lock.synchronize { [*requests, *durations, *reads, *type("outbox_events", "gauge"), "outbox_events #{waiting}"] }
         .join("\n").concat("\n")
  end

  private

  def type(name, kind) = ["# TYPE #{name} #{kind}"]

  def requests
    type("http_requests_total", "counter") + @requests.map { |labels, n| "http_requests_total{#{labels}} #{n}" }
  end

  def reads
    type("cache_reads_total", "counter") + @reads.map { |result, n| %(cache_reads_total{result="#{result}"} #{n}) }
  end

  def durations
    name = "http_request_duration_seconds"
    type(name, "histogram") + @times.flat_map do |labels, counts|
      BUCKETS.zip(counts).map { |most, n| %(#{name}_bucket{#{labels},le="#{most}"} #{n}) } +
        ["#{name}_sum{#{labels}} #{@sums[labels]}", "#{name}_count{#{labels}} #{counts.last}"]
    end
  end
end
