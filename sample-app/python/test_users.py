import os
import unittest

os.environ.setdefault("DATABASE_URL", "postgres://localhost/none")  # nobody asks it

from errors import ApiError
from users import clean, contains


class Input(unittest.TestCase):
    def test_is_cleaned(self):
        ada = {"name": "Ada", "email": "ada@example.com"}
        self.assertEqual(clean(**ada), ada)
        self.assertEqual(clean(" Ada\x85", "\tada@example.com\n"), ada)
        self.assertEqual(clean("🌱" * 100, ada["email"])["name"], "🌱" * 100)

    def test_is_refused(self):
        for name, email, says in [
            (" ", "ada@example.com", "name is required"),
            ("ü" * 101, "ada@example.com", "longer than 100"),
            ("A\x00da", "ada@example.com", "control character"),
            ("Ada\x1f", "ada@example.com", "control character"),
            ("Ada", "", "email is required"),
            ("Ada", "Ada <ada@example.com>", "not an address"),
            ("Ada", "a@example.com, b@example.com", "not an address"),
            ("Ada", "ü" * 122 + "@example.com", "not an address"),
        ]:
            with self.subTest(name=name, email=email), self.assertRaisesRegex(ApiError, says):
                clean(name, email)


class Search(unittest.TestCase):
    def test_text_is_no_pattern(self):
        self.assertEqual(contains("50%_\\"), r"%50\%\_\\%")
