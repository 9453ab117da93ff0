package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// kafka is how to reach the brokers, as Heroku's variables tell it.
type kafka struct {
	brokers []string
	topic   string
	config  *sarama.Config
}

// kafkaFromEnv returns nil where KAFKA_URL is not set.
func kafkaFromEnv() (*kafka, error) {
	if os.Getenv("KAFKA_URL") == "" {
		return nil, nil
	}
	k := &kafka{topic: os.Getenv("KAFKA_PREFIX") + "users", config: sarama.NewConfig()}
	k.config.ClientID = "users"
	k.config.Producer.RequiredAcks = sarama.WaitForAll
	k.config.Producer.Return.Successes = true // a SyncProducer waits for them
	k.config.Producer.Timeout = 5 * time.Second
	k.config.Net.DialTimeout, k.config.Net.ReadTimeout, k.config.Net.WriteTimeout = 5*time.Second, 10*time.Second, 10*time.Second
	for _, text := range strings.Split(os.Getenv("KAFKA_URL"), ",") {
		u, err := url.Parse(strings.TrimSpace(text))
		if err != nil || u.Host == "" || u.Scheme != "kafka" && u.Scheme != "kafka+ssl" {
			return nil, errors.New("KAFKA_URL is not a list of kafka:// or kafka+ssl:// URLs")
		}
		k.brokers = append(k.brokers, u.Host)
		k.config.Net.TLS.Enable = k.config.Net.TLS.Enable || u.Scheme == "kafka+ssl"
	}
	if !k.config.Net.TLS.Enable {
		return k, nil
	}
	var err error
	k.config.Net.TLS.Config, err = kafkaTLS()
	return k, err
}

// kafkaTLS shows the client's certificate and wants the brokers' to be signed
// by KAFKA_TRUSTED_CERT. Their names are not checked: Heroku's brokers have
// certificates without the names they are reached by.
// https://devcenter.heroku.com/articles/kafka-on-heroku
func kafkaTLS() (*tls.Config, error) {
	pair, err := tls.X509KeyPair([]byte(os.Getenv("KAFKA_CLIENT_CERT")), []byte(os.Getenv("KAFKA_CLIENT_CERT_KEY")))
	if err != nil {
		return nil, fmt.Errorf("KAFKA_CLIENT_CERT and KAFKA_CLIENT_CERT_KEY: %w", err)
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM([]byte(os.Getenv("KAFKA_TRUSTED_CERT"))) {
		return nil, errors.New("KAFKA_TRUSTED_CERT holds no certificate")
	}
	return &tls.Config{
		Certificates:       []tls.Certificate{pair},
		InsecureSkipVerify: true, // but for the names, VerifyConnection verifies
		VerifyConnection: func(state tls.ConnectionState) error {
			between := x509.NewCertPool()
			for _, cert := range state.PeerCertificates[1:] {
				between.AddCert(cert)
			}
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: trusted, Intermediates: between})
			return err
		},
	}, nil
}
