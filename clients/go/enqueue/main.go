// Enqueue images for Assay: one request a line, as JSON, on standard input.
//
//	echo '{"submission_id": "post-1/img-1", "image": {"bucket": "uploads", "key": "u/1.jpg"}}' | go run ./enqueue
//
// A line is done when the broker has confirmed it. To send it again is safe: one submission has one outcome.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const patience = 30 * time.Second

// Enqueuer publishes on one channel with confirms. It is for one goroutine.
type Enqueuer struct {
	channel  *amqp.Channel
	returned chan amqp.Return
	queue    string
}

func NewEnqueuer(connection *amqp.Connection, queue string) (*Enqueuer, error) {
	channel, err := connection.Channel()
	if err != nil {
		return nil, err
	}
	if err := channel.Confirm(false); err != nil {
		return nil, err
	}
	return &Enqueuer{channel, channel.NotifyReturn(make(chan amqp.Return, 1)), queue}, nil
}

// Enqueue returns when the broker has the request on disk.
func (e *Enqueuer) Enqueue(ctx context.Context, submissionID string, request []byte) error {
	// Mandatory: without it the broker confirms, and drops, what no queue takes.
	confirmation, err := e.channel.PublishWithDeferredConfirmWithContext(ctx, "", e.queue, true, false, amqp.Publishing{
		ContentType:  "application/json",
		DeliveryMode: amqp.Persistent,
		MessageId:    submissionID,
		Headers:      amqp.Table{"timestamp_in_ms": time.Now().UnixMilli()},
		Body:         request,
	})
	if err != nil {
		return err
	}
	confirmed, err := confirmation.WaitContext(ctx)
	if err != nil {
		return err
	}
	// A message that no queue takes is returned before it is confirmed.
	select {
	case <-e.returned:
		return fmt.Errorf("there is no queue %s; start a worker, or set ASSAY_PREFIX", e.queue)
	default:
	}
	if !confirmed {
		return errors.New("the broker refused it; try again")
	}
	return nil
}

func run() error {
	connection, err := amqp.Dial(setting("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f"))
	if err != nil {
		return err
	}
	defer connection.Close()
	enqueuer, err := NewEnqueuer(connection, setting("ASSAY_PREFIX", "assay")+".images")
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var request struct {
			SubmissionID string `json:"submission_id"`
		}
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := enqueuer.Enqueue(ctx, request.SubmissionID, lines.Bytes())
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", request.SubmissionID, err)
		}
		fmt.Println(request.SubmissionID)
	}
	return lines.Err()
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "enqueue:", err)
		os.Exit(1)
	}
}
