package apptest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const kafkaPrefix = "niwa-1."

// broker is a Kafka that wants certificates. It is not there until it starts,
// and can be stopped and started again where it was.
type broker struct {
	owner              *testing.T // the test that it lasts for
	port, dir          string
	ca, server, client pair
	cluster            *kfake.Cluster
}

// pair is a certificate and its key, in PEM.
type pair struct {
	cert, key []byte
	der       []byte
	signer    *rsa.PrivateKey
}

// certify makes a certificate for no name, signed by itself without an issuer.
func certify(t *testing.T, issuer *pair) pair {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "niwa test " + serial.String()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: issuer == nil, BasicConstraintsValid: true}
	parent, signer := template, key
	if issuer != nil {
		if parent, err = x509.ParseCertificate(issuer.der); err != nil {
			t.Fatal(err)
		}
		signer = issuer.signer
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), der, key}
}

// write puts cert.pem and key.pem into a folder of the servers' user.
func (p pair) write(t *testing.T, dir string) {
	t.Helper()
	for name, text := range map[string][]byte{"cert.pem": p.cert, "key.pem": p.key} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 {
			if err := os.Chown(path, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (p pair) tls(t *testing.T) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newBroker(t *testing.T) *broker {
	ca := certify(t, nil)
	return &broker{owner: t, port: freePort(t), dir: dir(t), ca: ca, server: certify(t, &ca), client: certify(t, &ca)}
}

// env is what Heroku tells an app. One of the brokers is never there.
func (b *broker) env() []string {
	return []string{"KAFKA_URL=kafka+ssl://127.0.0.1:1,kafka+ssl://127.0.0.1:" + b.port, "KAFKA_PREFIX=" + kafkaPrefix,
		"KAFKA_TRUSTED_CERT=" + string(b.ca.cert), "KAFKA_CLIENT_CERT=" + string(b.client.cert), "KAFKA_CLIENT_CERT_KEY=" + string(b.client.key)}
}

// start brings it up with the topic, and what it has held before.
func (b *broker) start(t *testing.T) {
	t.Helper()
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(b.ca.cert)
	port, err := strconv.Atoi(b.port)
	if err != nil {
		t.Fatal(err)
	}
	b.cluster, err = kfake.NewCluster(kfake.Ports(port), kfake.SeedTopics(3, kafkaPrefix+"users"), kfake.DataDir(b.dir),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{b.server.tls(t)}, ClientCAs: trusted, ClientAuth: tls.RequireAndVerifyClientCert}))
	if err != nil {
		t.Fatal(err)
	}
	b.owner.Cleanup(b.cluster.Close)
}

// stop ends it, and all connections with it.
func (b *broker) stop() { b.cluster.Close() }

// event is a record as an app wrote it.
type event struct {
	ID        int64     `json:"id"`
	Type      string    `json:"type"`
	User      User      `json:"user"`
	RequestID string    `json:"request_id"`
	At        time.Time `json:"at"`
	headers   map[string]string
}

// topic reads what has been published, by user.
type topic struct {
	client *kgo.Client
	byUser map[int64][]event
	twice  int
}

func (b *broker) read(t *testing.T) *topic {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:"+b.port), kgo.ConsumeTopics(kafkaPrefix+"users"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DialTLSConfig(&tls.Config{Certificates: []tls.Certificate{b.client.tls(t)}, InsecureSkipVerify: true}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &topic{client: client, byUser: map[int64][]event{}}
}

// await reads until enough has been read.
func (k *topic) await(t *testing.T, what string, enough func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !enough() {
		fetches := k.client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if err := k.take(r); err != nil {
				t.Errorf("%s: %v: %s", r.Key, err, r.Value)
			}
		})
	}
}

// take takes a record unless it has come before, as whoever reads what is
// published at least once has to. The versions of a user have no gap.
func (k *topic) take(r *kgo.Record) error {
	e := event{headers: map[string]string{}}
	if err := json.Unmarshal(r.Value, &e); err != nil {
		return err
	}
	for _, h := range r.Headers {
		e.headers[h.Key] = string(h.Value)
	}
	before := k.byUser[e.User.ID]
	last := event{}
	if len(before) > 0 {
		last = before[len(before)-1]
	}
	if e.ID <= last.ID {
		k.twice++
		return nil
	}
	k.byUser[e.User.ID] = append(before, e)
	switch {
	case string(r.Key) != fmt.Sprint(e.User.ID):
		return fmt.Errorf("its key is %q", r.Key)
	case e.headers["type"] != e.Type || !traceparent.MatchString(e.headers["traceparent"]) || e.RequestID == "" || e.At.IsZero():
		return fmt.Errorf("it has the headers %v", e.headers)
	case len(before) == 0 && (e.Type != "user.created" || e.User.Version != 1):
		return fmt.Errorf("it is the first of its user")
	case len(before) > 0 && last.Type == "user.deleted":
		return fmt.Errorf("its user is deleted")
	case e.Type == "user.updated" && e.User.Version != last.User.Version+1 || e.Type == "user.deleted" && e.User.Version != last.User.Version:
		return fmt.Errorf("it follows version %d", last.User.Version)
	}
	return nil
}

var traceparent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)
