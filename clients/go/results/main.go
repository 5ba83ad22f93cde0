// Print Assay's outcomes as JSON lines, each once, whatever is delivered twice.
//
//	go run ./results        until Ctrl-C
//	go run ./results 100    until so many new ones have come
//
// Outcomes come at least once. What makes them count once is Handled: ids that are on disk before the message is
// acknowledged. In a service of your own, write the id and what you do about it in one transaction of your database.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

const prefetch = 100

// Handled remembers ids in a file.
type Handled struct {
	ids  map[string]bool
	file *os.File
}

func OpenHandled(path string) (*Handled, error) {
	known, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	handled := &Handled{map[string]bool{}, file}
	for _, id := range strings.Fields(string(known)) {
		handled.ids[id] = true
	}
	return handled, nil
}

func (h *Handled) Add(id string) error {
	if _, err := fmt.Fprintln(h.file, id); err != nil {
		return err
	}
	h.ids[id] = true
	return h.file.Sync()
}

// handle is yours: hide the post, tell a moderator, …
func handle(outcome []byte) {
	fmt.Println(string(outcome))
}

func consume(channel *amqp.Channel, handled *Handled, wanted int) error {
	// A queue of your own: consumers of one queue share its messages. `verdict.acme.synthetic` would be a narrower topic.
	queue := setting("RESULTS_QUEUE", "example.outcomes")
	exchange := setting("ASSAY_PREFIX", "assay") + ".verdicts"
	if _, err := channel.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		return err
	}
	for _, topic := range []string{"verdict.#", "failure.#"} {
		if err := channel.QueueBind(queue, topic, exchange, false, nil); err != nil {
			return err
		}
	}
	if err := channel.Qos(prefetch, 0, false); err != nil {
		return err
	}
	messages, err := channel.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for message := range messages {
		if id := message.MessageId; !handled.ids[id] {
			handle(message.Body)
			if err := handled.Add(id); err != nil {
				return err
			}
			wanted--
		}
		if err := message.Ack(false); err != nil {
			return err
		}
		if wanted == 0 {
			return nil
		}
	}
	return errors.New("the connection was lost; start again")
}

func run() error {
	// Counted down to 0; from -1 on it never gets there.
	wanted := -1
	if len(os.Args) > 1 {
		count, err := strconv.Atoi(os.Args[1])
		if err != nil {
			return err
		}
		wanted = count
	}
	handled, err := OpenHandled(setting("RESULTS_FILE", "results.ids"))
	if err != nil {
		return err
	}
	defer handled.file.Close()
	connection, err := amqp.Dial(setting("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f"))
	if err != nil {
		return err
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		return err
	}
	return consume(channel, handled, wanted)
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "results:", err)
		os.Exit(1)
	}
}
