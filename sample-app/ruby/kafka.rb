# frozen_string_literal: true

require "ffi"
require "uri"

# Kafka, through librdkafka (https://github.com/confluentinc/librdkafka), as far
# as one producer needs it.
module Kafka
  class Error < StandardError; end

  # How to reach the brokers, as Heroku's variables tell it; nil without any.
  def self.from_env
    urls = ENV["KAFKA_URL"].to_s.split(",").map { |url| URI(url.strip) }
    return if urls.empty?

    unless urls.all? { |url| %w[kafka kafka+ssl].include?(url.scheme) && url.host }
      abort "KAFKA_URL is not a list of kafka:// or kafka+ssl:// URLs"
    end

    { "bootstrap.servers" => urls.map { |url| "#{url.host}:#{url.port || 9092}" }.join(","), "client.id" => "users",
      "acks" => "all", "linger.ms" => "0",
      "socket.nagle.disable" => "true", # else each event takes 40 ms
      "message.timeout.ms" => "10000", "log_level" => "0",
      **(urls.any? { |url| url.scheme == "kafka+ssl" } ? tls : {}) }
  rescue URI::InvalidURIError
    abort "KAFKA_URL is not a list of URLs"
  end

  # The names in the brokers' certificates are not checked: Heroku's brokers
  # have certificates without the names they are reached by.
  # https://devcenter.heroku.com/articles/kafka-on-heroku
  def self.tls
    { "security.protocol" => "ssl", "ssl.endpoint.identification.algorithm" => "none",
      "ssl.ca.pem" => ENV.fetch("KAFKA_TRUSTED_CERT"), "ssl.certificate.pem" => ENV.fetch("KAFKA_CLIENT_CERT"),
      "ssl.key.pem" => ENV.fetch("KAFKA_CLIENT_CERT_KEY") }
  end
  private_class_method :tls

  # The functions of the library that a Producer calls. It is loaded where the
  # first is made: without Kafka, none need be there.
  def self.library
    @library ||= Module.new do
      extend FFI::Library
      ffi_lib %w[librdkafka.so.1 rdkafka]
      attach_function :rd_kafka_conf_new, [], :pointer
      attach_function :rd_kafka_conf_set, %i[pointer string string pointer size_t], :int
      attach_function :rd_kafka_conf_set_events, %i[pointer int], :void
      attach_function :rd_kafka_conf_destroy, [:pointer], :void
      attach_function :rd_kafka_new, %i[int pointer pointer size_t], :pointer
      attach_function :rd_kafka_destroy, [:pointer], :void, blocking: true
      attach_function :rd_kafka_producev, %i[pointer varargs], :int
      attach_function :rd_kafka_queue_get_main, [:pointer], :pointer
      attach_function :rd_kafka_queue_poll, %i[pointer int], :pointer, blocking: true
      attach_function :rd_kafka_queue_destroy, [:pointer], :void
      attach_function :rd_kafka_event_message_next, [:pointer], :pointer
      attach_function :rd_kafka_event_destroy, [:pointer], :void
      attach_function :rd_kafka_err2str, [:int], :string
    end
  end

  # Sends one record after the other.
  class Producer
    PRODUCER = 0
    DELIVERIES = 1 # of events, the only ones that are asked for
    COPY = 2 # what a record is made of
    # What follows, for producev.
    TOPIC = 1
    VALUE = 4
    KEY = 5
    FLAGS = 7
    HEADER = 9
    LAST = 0

    def initialize(config)
      @lib = Kafka.library
      said = FFI::MemoryPointer.new(:char, 512)
      conf = @lib.rd_kafka_conf_new
      config.each do |name, value|
        @lib.rd_kafka_conf_set(conf, name, value, said, said.size).zero? or raise Error, said.read_string
      end
      @lib.rd_kafka_conf_set_events(conf, DELIVERIES)
      @handle = @lib.rd_kafka_new(PRODUCER, conf, said, said.size)
      raise Error, said.read_string if @handle.null?

      @queue = @lib.rd_kafka_queue_get_main(@handle)
    end

    # Returns once all replicas have the record.
    def deliver(topic, key, value, headers)
      headers = headers.flat_map { |name, text| [:int, HEADER, :string, name, :string, text, :ssize_t, text.bytesize] }
      check @lib.rd_kafka_producev(@handle, :int, TOPIC, :string, topic, :int, FLAGS, :int, COPY,
                                   :int, KEY, :string, key, :size_t, key.bytesize,
                                   :int, VALUE, :string, value, :size_t, value.bytesize, *headers, :int, LAST)
      error = delivery until error # it ends: message.timeout.ms
      check error
    end

    def close
      @lib.rd_kafka_queue_destroy(@queue)
      @lib.rd_kafka_destroy(@handle)
    end

    private

    # What became of the record, or nil if that is not known yet.
    def delivery
      event = @lib.rd_kafka_queue_poll(@queue, 1000)
      return if event.null?

      message = @lib.rd_kafka_event_message_next(event) # none in an event of another kind: a broker is away
      error = message.read_int unless message.null? # its first field
      @lib.rd_kafka_event_destroy(event)
      error
    end

    def check(error)
      raise Error, @lib.rd_kafka_err2str(error) unless error.zero?
    end
  end
end
