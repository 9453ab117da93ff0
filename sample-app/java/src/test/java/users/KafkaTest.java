package users;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.security.GeneralSecurityException;
import java.security.KeyPairGenerator;
import java.util.Arrays;
import java.util.Base64;
import java.util.Map;
import org.junit.jupiter.api.Test;

class KafkaTest {
    @Test
    void aKeyInPkcs1BecomesOneInPkcs8() throws GeneralSecurityException {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
        generator.initialize(2048);
        byte[] want = generator.generateKeyPair().getPrivate().getEncoded();
        byte[] pkcs1 = Arrays.copyOfRange(want, 26, want.length);
        String pem = Kafka.pkcs8("-----BEGIN RSA PRIVATE KEY-----\n" + Base64.getMimeEncoder().encodeToString(pkcs1) + "\n-----END RSA PRIVATE KEY-----\n");
        assertArrayEquals(want, Base64.getMimeDecoder().decode(pem.replaceAll("-----[^-]+-----", "")));
    }

    @Test
    void anotherUrlIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> Kafka.from(Map.of("KAFKA_URL", "http://localhost:9092")));
    }
}
