package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Outbox holds the events that Kafka does not have yet. A change writes its
// event in its own transaction, so that there is one for each change that was
// made and none for those that were not; Publish gives them to Kafka, whenever
// that is there.
type Outbox struct {
	db    *pgxpool.Pool
	kafka *kafka // nil without KAFKA_URL: then no event is written
}

// Event is what a row of the outbox, and a record in Kafka, says.
type Event struct {
	ID          int64           `json:"id"` // rises with each event of a user
	Type        string          `json:"type"`
	User        json.RawMessage `json:"user"`
	RequestID   string          `json:"request_id"`
	At          time.Time       `json:"at"`
	UserID      int64           `json:"-"`
	Traceparent string          `json:"-"`
}

// Add writes an event that is there when tx commits.
func (o *Outbox) Add(ctx context.Context, tx pgx.Tx, kind string, user User) error {
	if o.kafka == nil {
		return nil
	}
	text, err := json.Marshal(user)
	if err != nil {
		return err
	}
	request := requestOf(ctx)
	_, err = tx.Exec(ctx, `INSERT INTO outbox (type, user_id, user_json, traceparent, request_id) VALUES ($1, $2, $3, $4, $5)`,
		kind, user.ID, string(text), request.traceparent, request.id)
	return err
}

// Length is how many events wait.
func (o *Outbox) Length(ctx context.Context) (n int64, err error) {
	err = o.db.QueryRow(ctx, `SELECT count(*) FROM outbox`).Scan(&n)
	return n, err
}

const (
	pollEvery  = 200 * time.Millisecond
	retryEvery = time.Second
)

// Publish gives events to Kafka until ctx ends, in one process at a time.
func (o *Outbox) Publish(ctx context.Context) {
	for o.kafka != nil && ctx.Err() == nil {
		if err := o.publish(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("events stay in the outbox for now", "error", err)
		}
		pause(ctx, retryEvery)
	}
}

// publish publishes until something fails. The lock that makes this process
// the one is its connection's, and goes with it.
func (o *Outbox) publish(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, o.db.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var locked bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtext('outbox'))`).Scan(&locked); err != nil || !locked {
		return err
	}
	producer, err := sarama.NewSyncProducer(o.kafka.brokers, o.kafka.config)
	if err != nil {
		return err
	}
	defer producer.Close()
	for ctx.Err() == nil {
		n, err := o.publishSome(ctx, conn, producer)
		if err != nil {
			return err
		}
		if n == 0 {
			pause(ctx, pollEvery)
		}
	}
	return nil
}

// publishSome publishes the oldest events, each after the one before it has
// been acknowledged and removed. Should it die in between, that one is
// published again.
func (o *Outbox) publishSome(ctx context.Context, conn *pgx.Conn, producer sarama.SyncProducer) (int, error) {
	rows, err := conn.Query(ctx, `SELECT id, type, user_json::json, request_id, at, user_id, traceparent FROM outbox ORDER BY id LIMIT 100`)
	if err != nil {
		return 0, err
	}
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Event])
	if err != nil {
		return 0, err
	}
	for _, event := range events {
		if err := o.kafka.send(producer, event); err != nil {
			return 0, err
		}
		if _, err := conn.Exec(ctx, `DELETE FROM outbox WHERE id = $1`, event.ID); err != nil {
			return 0, err
		}
	}
	return len(events), nil
}

func (k *kafka) send(producer sarama.SyncProducer, event Event) error {
	value, err := json.Marshal(event)
	if err != nil {
		return err
	}
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{
		Topic: k.topic,
		Key:   sarama.StringEncoder(strconv.FormatInt(event.UserID, 10)),
		Value: sarama.ByteEncoder(value),
		Headers: []sarama.RecordHeader{
			{Key: []byte("type"), Value: []byte(event.Type)},
			{Key: []byte("traceparent"), Value: []byte(event.Traceparent)},
		},
	})
	return err
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
