package users

class InputTest extends munit.FunSuite:
  test("input is cleaned"):
    assertEquals(Input.clean(" Ada\u00a0", "\tada@example.com\n"), Input("Ada", "ada@example.com"))

  for (what, name, email, says) <- Seq(
      ("no name", " ", "ada@example.com", "name is required"),
      ("a long name", "ü" * 101, "ada@example.com", "longer than 100"),
      ("a control character", "A\u0000da", "ada@example.com", "control character"),
      ("no email", "Ada", "", "email is required"),
      ("an email with more", "Ada", "Ada <ada@example.com>", "not an address"),
      ("two emails", "Ada", "a@example.com, b@example.com", "not an address"),
      ("a long email", "Ada", "a" * 250 + "@example.com", "not an address"),
    )
  do
    test(s"$what is refused"):
      val refused = intercept[ApiError](Input.clean(name, email))
      assert(refused.status == 422 && refused.getMessage.contains(says), refused.getMessage)

  for body <- Seq("", "null", "[]", "{'name':'Ada'}", """{"name":1}""", """{"admin":true}""", "{} {}", raw"""{"name":"\ud800"}""", "[" * 60_000) do
    test(s"${body.take(20)} is a bad request"):
      assertEquals(intercept[ApiError](Input.parse(body.getBytes("UTF-8"))).status, 400)

  test("a search text is no pattern"):
    assertEquals(Users.contains("50%_\\"), "%50\\%\\_\\\\%")

  test("a key in PKCS #1 becomes one in PKCS #8"):
    val generator = java.security.KeyPairGenerator.getInstance("RSA")
    generator.initialize(2048)
    val pair = generator.generateKeyPair()
    val whole = pair.getPrivate.getEncoded // PKCS #8, whose last part is PKCS #1
    val pem = "-----BEGIN RSA PRIVATE KEY-----\n" + java.util.Base64.getMimeEncoder.encodeToString(whole.drop(26)) + "\n-----END RSA PRIVATE KEY-----\n"
    val read = java.util.Base64.getMimeDecoder.decode(Kafka.pkcs8(pem).replaceAll("-----[^-]+-----", ""))
    assertEquals(read.toVector, whole.toVector)
