# frozen_string_literal: true

# What a client is told: an id to program against and a message for people.
class ApiError < StandardError
  attr_reader :status, :id

  def initialize(status, id, message)
    super(message)
    @status = status
    @id = id
  end

  def self.not_found = new(404, "not_found", "There is no such user.")
  def self.email_taken = new(409, "conflict", "Another user has this email.")
  def self.stale = new(412, "precondition_failed", "The user has changed since you read it; read it again.")
  def self.too_large = new(413, "request_too_large", "The body has more than 64 KiB.")
  def self.invalid(message) = new(422, "invalid_params", message)
  def self.bad_request(message) = new(400, "bad_request", message)
  def self.unavailable = new(503, "unavailable", "The users cannot be reached right now; try again.")

  def self.defect
    new(500, "internal_error", "Something went wrong here; the log has it under the X-Request-Id.")
  end
end
