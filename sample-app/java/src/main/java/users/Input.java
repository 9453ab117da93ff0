package users;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.regex.Pattern;

/** What a client may say of a user, as it is stored. */
record Input(String name, String email) {
    private static final String BYTE_ORDER_MARK = "\ufeff";
    private static final Pattern SPACE_AROUND = Pattern.compile("^\\p{IsWhite_Space}+|(?<!\\p{IsWhite_Space})\\p{IsWhite_Space}+$");
    private static final Pattern CONTROL = Pattern.compile("\\p{Cc}");
    private static final String ATOM = "[^\\p{Z}\\p{Cc}@\"(),.:;<>\\[\\\\\\]]+";
    private static final String ATOMS = ATOM + "(\\." + ATOM + ")*";
    private static final Pattern ADDRESS = Pattern.compile(ATOMS + "@" + ATOMS);

    /** Reads a body, or says what is wrong with it. */
    static Input parse(byte[] body) {
        JsonObject object;
        try {
            String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(body)).toString();
            object = text.startsWith(BYTE_ORDER_MARK) ? null : Json.GSON.fromJson(text, JsonObject.class); // Gson skips it
        } catch (CharacterCodingException e) {
            throw ApiError.badRequest("The body is not UTF-8.");
        } catch (JsonParseException e) {
            throw ApiError.badRequest("Send one JSON object like {\"name\": \"Ada\", \"email\": \"ada@example.com\"}.");
        }
        if (object == null) {
            throw ApiError.badRequest("The body is no JSON object.");
        }
        String name = "";
        String email = "";
        for (Map.Entry<String, JsonElement> field : object.entrySet()) {
            switch (field.getKey()) {
                case "name" -> name = text(field);
                case "email" -> email = text(field);
                default -> throw ApiError.badRequest("A user has a name and an email, and no \"" + field.getKey() + "\".");
            }
        }
        return clean(name, email);
    }

    private static String text(Map.Entry<String, JsonElement> field) {
        JsonElement value = field.getValue();
        if (value.isJsonNull()) {
            return "";
        }
        if (!value.isJsonPrimitive() || !value.getAsJsonPrimitive().isString()
                || !StandardCharsets.UTF_8.newEncoder().canEncode(value.getAsString())) { // half of a surrogate pair
            throw ApiError.badRequest(field.getKey() + " is no text.");
        }
        return value.getAsString();
    }

    static Input clean(String name, String email) {
        Input in = new Input(trim(name), trim(email));
        if (in.name.isEmpty()) {
            throw ApiError.invalid("name is required");
        }
        if (in.name.codePointCount(0, in.name.length()) > 100) {
            throw ApiError.invalid("name is longer than 100 characters");
        }
        if (hasControl(in.name)) {
            throw ApiError.invalid("name holds a control character");
        }
        if (in.email.isEmpty()) {
            throw ApiError.invalid("email is required");
        }
        if (bytes(in.email) > 254 || !ADDRESS.matcher(in.email).matches()) {
            throw ApiError.invalid("email is not an address like user@example.com");
        }
        return in;
    }

    private static String trim(String text) {
        return SPACE_AROUND.matcher(text).replaceAll("");
    }

    static boolean hasControl(String text) {
        return CONTROL.matcher(text).find();
    }

    static int bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8).length;
    }
}
