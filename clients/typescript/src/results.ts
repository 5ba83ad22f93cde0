// Print Assay's outcomes as JSON lines, each once, whatever is delivered twice.
//
//   node dist/results.js        until Ctrl-C
//   node dist/results.js 100    until so many new ones have come
//
// Outcomes come at least once. What makes them count once is `Handled`: ids that are on disk before the message is
// acknowledged. In a service of your own, write the id and what you do about it in one transaction of your database.

import { appendFileSync, closeSync, existsSync, fsyncSync, openSync, readFileSync } from "node:fs";
import { type Channel, connect, type ConsumeMessage } from "amqplib";
import type { Failure } from "./documents/failure.js";
import type { Verdict } from "./documents/verdict.js";

const url = process.env.AMQP_URL ?? "amqp://guest:guest@127.0.0.1:5672/%2f";
const exchange = `${process.env.ASSAY_PREFIX ?? "assay"}.verdicts`;
// A queue of your own: consumers of one queue share its messages. `verdict.acme.synthetic` would be a narrower topic.
const queue = process.env.RESULTS_QUEUE ?? "example.outcomes";
const topics = ["verdict.#", "failure.#"];
const prefetch = 100;

class Handled {
  private readonly ids: Set<string>;
  private readonly file: number;

  constructor(path: string) {
    this.ids = new Set(existsSync(path) ? readFileSync(path, "utf8").split("\n") : []);
    this.file = openSync(path, "a");
  }

  has(id: string): boolean {
    return this.ids.has(id);
  }

  add(id: string): void {
    appendFileSync(this.file, `${id}\n`);
    fsyncSync(this.file);
    this.ids.add(id);
  }

  close(): void {
    closeSync(this.file);
  }
}

/** Yours: hide the post, tell a moderator, … */
function handle(outcome: Verdict | Failure): void {
  console.log(JSON.stringify(outcome));
}

async function consume(channel: Channel, handled: Handled, wanted: number): Promise<void> {
  await channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": "quorum" } });
  for (const topic of topics) await channel.bindQueue(queue, exchange, topic);
  await channel.prefetch(prefetch);
  let left = wanted;
  await new Promise<void>((resolve, reject) => {
    channel.on("error", reject);
    const take = (message: ConsumeMessage | null) => {
      if (message === null) return reject(new Error(`the broker took the queue ${queue} away`));
      if (left === 0) return;
      const id: string = message.properties.messageId;
      if (!handled.has(id)) {
        handle(JSON.parse(message.content.toString()));
        handled.add(id);
        left -= 1;
      }
      channel.ack(message);
      if (left === 0) resolve();
    };
    channel.consume(queue, take, { noAck: false }).catch(reject);
  });
}

async function main(): Promise<void> {
  const handled = new Handled(process.env.RESULTS_FILE ?? "results.ids");
  const connection = await connect(url);
  const lost = new Promise<never>((_, reject) => connection.on("error", reject));
  const channel = await connection.createChannel();
  await Promise.race([lost, consume(channel, handled, Number(process.argv[2] ?? Infinity))]);
  await channel.close();
  await connection.close();
  handled.close();
}

main().catch((error: unknown) => {
  console.error(`results: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
});
