// Whether an AsyncAPI document is valid, with everything that it refers to. Prints the AMQP bindings of its channels as JSON,
// or what is wrong, with exit code 1.

import { Parser, fromFile } from "@asyncapi/parser";

const [path] = process.argv.slice(2);
const { document, diagnostics } = await fromFile(new Parser(), path).parse();
const wrong = diagnostics.filter(({ severity }) => severity <= 1);
for (const { code, message, path: where } of wrong) {
  console.error(`${path}: ${where.join(".")}: ${message} (${code})`);
}
if (!document || wrong.length > 0) process.exit(1);
console.log(JSON.stringify(document.channels().all().map((channel) => channel.bindings().get("amqp")?.value() ?? null)));
