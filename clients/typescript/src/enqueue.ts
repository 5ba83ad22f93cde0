// Enqueue images for Assay: one request a line, as JSON, on standard input.
//
//   echo '{"submission_id": "post-1/img-1", "image": {"bucket": "uploads", "key": "u/1.jpg"}}' | node dist/enqueue.js
//
// A line is done when the broker has confirmed it. To send it again is safe: one submission has one outcome.

import { createInterface } from "node:readline";
import { type ConfirmChannel, connect } from "amqplib";

const url = process.env.AMQP_URL ?? "amqp://guest:guest@127.0.0.1:5672/%2f";
const queue = `${process.env.ASSAY_PREFIX ?? "assay"}.images`;

interface Request {
  submission_id: string;
  image: { bucket: string; key: string; version_id?: string; etag?: string; sha256?: string };
  tenant?: string;
  generation?: number;
  deadline?: string;
  metadata?: Record<string, unknown>;
}

class Enqueuer {
  private readonly returned = new Set<string>();

  constructor(private readonly channel: ConfirmChannel) {
    // The broker returns what no queue takes, before it confirms it.
    channel.on("return", (message) => this.returned.add(message.properties.messageId));
  }

  /** Resolves when the broker has the request on disk. */
  async enqueue(request: Request): Promise<void> {
    const messageId = request.submission_id;
    await new Promise<void>((resolve, reject) => {
      const confirmed = (error: unknown) => (error ? reject(error) : resolve());
      this.channel.sendToQueue(queue, Buffer.from(JSON.stringify(request)), {
        contentType: "application/json", persistent: true, mandatory: true, messageId,
        headers: { timestamp_in_ms: Date.now() },
      }, confirmed);
    });
    if (this.returned.delete(messageId)) {
      throw new Error(`there is no queue ${queue}; start a worker, or set ASSAY_PREFIX`);
    }
  }
}

async function main(): Promise<void> {
  const connection = await connect(url);
  const channel = await connection.createConfirmChannel();
  const enqueuer = new Enqueuer(channel);
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() === "") continue;
    const request = JSON.parse(line) as Request;
    await enqueuer.enqueue(request);
    console.log(request.submission_id);
  }
  await connection.close();
}

main().catch((error: unknown) => {
  console.error(`enqueue: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
});
