package users;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class InputTest {
    @Test
    void spaceAroundIsCutOff() {
        assertEquals(new Input("Ada", "ada@example.com"), Input.clean("\u00a0 Ada ", "\tada@example.com\n"));
    }

    @ParameterizedTest
    @CsvSource({
        "' ', ada@example.com, name is required",
        "'A\u0000da', ada@example.com, name holds a control character",
        "Ada, '', email is required",
        "Ada, Ada <ada@example.com>, email is not an address like user@example.com",
        "Ada, 'a@example.com, b@example.com', email is not an address like user@example.com",
        "Ada, a..b@example.com, email is not an address like user@example.com",
    })
    void whatIsWrongIsSaid(String name, String email, String says) {
        assertEquals(says, assertThrows(ApiError.class, () -> Input.clean(name, email)).getMessage());
    }

    @Test
    void aNameIsMeasuredInCharacters() {
        Input.clean("🌱".repeat(100), "ada@example.com");
        assertThrows(ApiError.class, () -> Input.clean("🌱".repeat(101), "ada@example.com"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "null", "[]", "{'name':'Ada'}", "{\"name\":1}", "{\"admin\":true}", "{} {}", "{\"name\":\"a\",}", "{\"name\":\"\\ud800\"}", "\ufeff{}"})
    void whatIsNoUserIsABadRequest(String body) {
        assertEquals(400, assertThrows(ApiError.class, () -> Input.parse(body.getBytes(StandardCharsets.UTF_8))).status);
    }

    @Test
    void aSearchTextIsNoPattern() {
        assertEquals("%50\\%\\_\\\\%", Users.contains("50%_\\"));
    }
}
