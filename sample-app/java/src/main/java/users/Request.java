package users;

import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What goes with a request wherever it leads: into the log and into its event.
 *
 * @param id the router's, if it is safe to log
 * @param traceparent as of https://www.w3.org/TR/trace-context/
 */
record Request(String id, String traceparent) {
    private static final Pattern SAFE = Pattern.compile("[A-Za-z0-9._-]{1,128}");
    private static final Pattern TRACE = Pattern.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}");
    private static final SecureRandom RANDOM = new SecureRandom();

    /** Reads headers, which may be null. A trace that came along goes on; else one begins here. */
    static Request of(String id, String traceparent) {
        return new Request(id != null && SAFE.matcher(id).matches() ? id : UUID.randomUUID().toString(),
                isTrace(traceparent) ? traceparent : "00-" + random(16) + "-" + random(8) + "-01");
    }

    private static boolean isTrace(String text) {
        Matcher trace = TRACE.matcher(text == null ? "" : text);
        return trace.matches() && !trace.group(1).matches("0+") && !trace.group(2).matches("0+");
    }

    private static String random(int bytes) {
        byte[] random = new byte[bytes];
        RANDOM.nextBytes(random);
        return HexFormat.of().formatHex(random);
    }

    String traceId() {
        return traceparent.substring(3, 35);
    }
}
