package users

import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.nio.charset.StandardCharsets.UTF_8
import scala.util.Try

/** What a client may say of a user, as it is stored. */
final case class Input(name: String, email: String)

object Input:
  private val spaceAround = raw"^\p{IsWhite_Space}+|(?<!\p{IsWhite_Space})\p{IsWhite_Space}+$$".r
  private val control = raw"\p{Cc}".r
  private val address =
    val atom = raw"""[^\p{Z}\p{Cc}@"(),.:;<>\[\\\]]+"""
    raw"$atom(\.$atom)*@$atom(\.$atom)*".r

  /** Reads a body, or says what is wrong with it. */
  def parse(body: Array[Byte]): Input =
    val text =
      try UTF_8.newDecoder.decode(ByteBuffer.wrap(body)).toString
      catch case _: CharacterCodingException => throw ApiError.badRequest("The body is not UTF-8.")
    val fields = Try(ujson.read(text)).toOption.flatMap(_.objOpt).getOrElse {
      throw ApiError.badRequest("""Send one JSON object like {"name": "Ada", "email": "ada@example.com"}.""")
    }
    if !fields.keys.forall(Set("name", "email")) then
      throw ApiError.badRequest("A user has a name and an email, and nothing else.")
    def field(name: String) = fields.getOrElse(name, ujson.Null) match
      case ujson.Str(value) if UTF_8.newEncoder.canEncode(value) => value // without half of a surrogate pair
      case ujson.Null => ""
      case _ => throw ApiError.badRequest(s"$name is no text.")
    clean(field("name"), field("email"))

  def clean(nameAsSent: String, emailAsSent: String): Input =
    val (name, email) = (spaceAround.replaceAllIn(nameAsSent, ""), spaceAround.replaceAllIn(emailAsSent, ""))
    def refuse(why: String) = throw ApiError.invalid(why)
    if name.isEmpty then refuse("name is required")
    if name.codePointCount(0, name.length) > 100 then refuse("name is longer than 100 characters")
    if hasControl(name) then refuse("name holds a control character")
    if email.isEmpty then refuse("email is required")
    if email.getBytes(UTF_8).length > 254 || !address.matches(email) then refuse("email is not an address like user@example.com")
    Input(name, email)

  def hasControl(text: String): Boolean = control.findFirstIn(text).isDefined
