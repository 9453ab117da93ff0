package users;

import io.javalin.http.Context;
import io.javalin.router.Endpoint;
import io.prometheus.metrics.core.metrics.Counter;
import io.prometheus.metrics.core.metrics.GaugeWithCallback;
import io.prometheus.metrics.core.metrics.Histogram;
import io.prometheus.metrics.expositionformats.PrometheusTextFormatWriter;
import io.prometheus.metrics.model.registry.PrometheusRegistry;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Objects;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;

/** Gives each request its ids, counts it, and logs how it ended. */
final class Observer {
    private static final Logger LOG = LoggerFactory.getLogger(Observer.class);
    private static final String REQUEST = "request";

    private final PrometheusRegistry registry = new PrometheusRegistry();
    private final PrometheusTextFormatWriter writer = PrometheusTextFormatWriter.create();
    private final Counter requests = Counter.builder().name("http_requests_total").help("Requests answered.")
            .labelNames("method", "route", "status").register(registry);
    private final Histogram duration = Histogram.builder().name("http_request_duration_seconds").help("Time until the answer.")
            .labelNames("method", "route").classicOnly().register(registry);
    private final Counter reads = Counter.builder().name("cache_reads_total").help("Reads of a user: hit, miss or bypass.")
            .labelNames("result").register(registry);

    Observer(Outbox outbox) {
        GaugeWithCallback.builder().name("outbox_events").help("Events that Kafka does not have yet; NaN without Postgres.")
                .callback(gauge -> gauge.call(outbox.length())).register(registry);
    }

    void begin(Context ctx) {
        Request request = Request.of(ctx.header("X-Request-Id"), ctx.header("traceparent"));
        ctx.attribute(REQUEST, request);
        ctx.header("X-Request-Id", request.id());
        MDC.put("request_id", request.id());
        MDC.put("trace_id", request.traceId());
    }

    static Request request(Context ctx) {
        return Objects.requireNonNull(ctx.attribute(REQUEST));
    }

    void end(Context ctx, float ms) {
        String method = ctx.method().name();
        String cache = Objects.requireNonNullElse(ctx.res().getHeader("X-Cache"), "");
        Endpoint endpoint = ctx.endpoints().matchedHttpEndpoint();
        String route = endpoint == null ? "other" : endpoint.path;
        requests.labelValues(method, route, Integer.toString(ctx.statusCode())).inc();
        duration.labelValues(method, route).observe(ms / 1000);
        if (!cache.isEmpty()) {
            reads.labelValues(cache).inc();
        }
        LOG.atInfo().addKeyValue("method", method).addKeyValue("path", ctx.path()).addKeyValue("route", route)
                .addKeyValue("status", ctx.statusCode()).addKeyValue("ms", ms).addKeyValue("cache", cache).log("request");
        MDC.clear();
    }

    /** What GET /metrics shows. */
    void metrics(Context ctx) throws IOException {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        writer.write(text, registry.scrape());
        ctx.contentType(PrometheusTextFormatWriter.CONTENT_TYPE).result(text.toByteArray());
    }
}
