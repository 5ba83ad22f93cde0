// Screenshots of samples: node shots.mjs OUT [light|dark] [NAME…]
import { start, browse } from "./check.mjs";
import { mkdirSync, readdirSync } from "node:fs";
const [out, scheme, ...wanted] = process.argv.slice(2);
mkdirSync(out, { recursive: true });
const names = wanted.length ? wanted : readdirSync(new URL("../samples", import.meta.url)).filter((f) => !f.startsWith("_")).map((f) => f.replace(".json", ""));
const server = await start(5);
const browser = await browse();
const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme: scheme ?? "light" });
for (const name of names) {
  await page.goto(`${server.base}/sample/${name}`, { waitUntil: "networkidle" });
  await page.waitForTimeout(150);
  await page.screenshot({ path: `${out}/${name}.png`, fullPage: !/^(item|appeal)(-|$)/.test(name) });
}
await browser.close();
server.stop();
