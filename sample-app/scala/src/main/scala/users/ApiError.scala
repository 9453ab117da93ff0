package users

/** What a client is told: an id to program against, and a message for people. */
final class ApiError(val status: Int, val id: String, message: String) extends RuntimeException(message, null, false, false)

object ApiError:
  def badRequest(message: String) = ApiError(400, "bad_request", message)
  def notFound = ApiError(404, "not_found", "There is no such user.")
  def noSuchPath = ApiError(404, "not_found", "There is no such path.")
  def methodNotAllowed = ApiError(405, "method_not_allowed", "The path has no such method.")
  def emailTaken = ApiError(409, "conflict", "Another user has this email.")
  def stale = ApiError(412, "precondition_failed", "The user has changed since you read it; read it again.")
  def tooLarge = ApiError(413, "request_too_large", "The body has more than 64 KiB.")
  def invalid(message: String) = ApiError(422, "invalid_params", message)
  def defect = ApiError(500, "internal_error", "Something went wrong here; the log has it under the X-Request-Id.")
  def unavailable = ApiError(503, "unavailable", "The users cannot be reached right now; try again.")
