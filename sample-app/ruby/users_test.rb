# frozen_string_literal: true

ENV["DATABASE_URL"] ||= "postgres://localhost/none" # nobody asks it

require "minitest/autorun"

require_relative "users"

# It asks no server.
class InputTest < Minitest::Test
  ADA = ["Ada", "ada@example.com"].freeze

  def test_it_is_cleaned
    assert_equal ADA, Input.clean(*ADA)
    assert_equal ADA, Input.clean(" Ada\u0085", "\tada@example.com\n")
    assert_equal "🌱" * 100, Input.clean("🌱" * 100, ADA.last).first
  end

  def test_it_is_refused
    [
      [" ", "ada@example.com", "name is required"],
      ["ü" * 101, "ada@example.com", "longer than 100"],
      ["A\0da", "ada@example.com", "control character"],
      ["Ada\x1f", "ada@example.com", "control character"],
      ["Ada", "", "email is required"],
      ["Ada", "Ada <ada@example.com>", "not an address"],
      ["Ada", "a@example.com, b@example.com", "not an address"],
      ["Ada", "#{"ü" * 122}@example.com", "not an address"]
    ].each do |name, email, says|
      error = assert_raises(ApiError) { Input.clean(name, email) }
      assert_includes error.message, says
    end
  end

  def test_what_is_looked_for_is_no_pattern
    assert_equal '%50\%\_\\\\%', Input.contains("50%_\\")
  end
end
