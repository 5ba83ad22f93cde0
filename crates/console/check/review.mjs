// People at a real console: node review.mjs SCRIPT. The last line is what was seen, as JSON.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { browse, violations } from "./check.mjs";

const script = JSON.parse(readFileSync(process.argv[2], "utf8"));
const LONGEST = 30_000;

/** Has the page measure from the next key of a ground to the frame in which another image is shown: asking it again and again would take
 * the processor that the console needs. */
const measure = (page, id) => page.evaluate((id) => {
  let began = 0;
  document.addEventListener("keydown", () => { began = performance.now(); }, { once: true, capture: true });
  window.changed = new Promise((done) => {
    new MutationObserver((_, observer) => {
      if (document.getElementById("item")?.dataset.item === id) return;
      observer.disconnect();
      requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
    }).observe(document.body, { childList: true, subtree: true });
  });
}, id);

/** Votes on whatever comes, by keyboard alone, until nothing waits. */
async function review(page) {
  const shown = () => page.evaluate(() => {
    const item = document.getElementById("item");
    return item && { id: item.dataset.item, text: item.textContent };
  });
  const times = [], reviewed = [];
  await page.goto(script.base);
  await page.screenshot({ path: join(script.folder, "queue.png") });
  await page.getByRole("button", { name: "Next image" }).click();
  await page.waitForURL(/items|appeals/, { timeout: LONGEST });
  for (let item = await shown(); item; item = await shown()) {
    const submission = Object.keys(script.truth).find((one) => item.text.includes(one));
    if (!submission) throw new Error(`no submission of ours is on the page of ${item.id}`);
    if (reviewed.length < 3) await page.screenshot({ path: join(script.folder, `item-${reviewed.length}.png`) });
    await page.keyboard.press(script.truth[submission] === "real" ? "r" : "s");
    await measure(page, item.id);
    await page.keyboard.press("2");
    reviewed.push(submission);
    // After the last one the page is left for the queue, and there is no next image.
    const left = page.waitForURL((url) => url.pathname === "/", { timeout: LONGEST }).then(() => null, () => null);
    const time = await Promise.race([page.evaluate(() => window.changed).catch(() => left), left]);
    if (time !== null) times.push(time);
  }
  times.sort((one, other) => one - other);
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return { reviewed, median_ms: at(0.5), p95_ms: at(0.95) };
}

/** Decides on the appeal of a submission, once nobody else has it: also for the seconds in which another one's vote can be undone. */
async function appeal(page) {
  const result = page.locator(`[name=result][value=${script.result}]`);
  for (let left = LONGEST / 500; ; left--) {
    await page.goto(new URL("/appeals", script.base).href);
    const link = page.getByRole("link", { name: script.submission }).first();
    if (await link.isVisible()) {
      await link.click();
      await page.waitForLoadState();
      const claim = page.getByRole("button", { name: "Claim it" });
      if (await claim.isVisible()) {
        await claim.click();
        await page.waitForLoadState();
      }
      if (await result.isVisible()) break;
    }
    if (left <= 0) throw new Error(`the appeal of ${script.submission} can't be had`);
    await page.waitForTimeout(500);
  }
  await result.check({ force: true });
  await page.locator("[name=ground][value=uploaders_original]").check({ force: true });
  await page.locator("[name=reason]").fill(script.reason);
  await page.screenshot({ path: join(script.folder, `appeal-${script.person}.png`) });
  const before = page.url();
  await page.getByRole("button", { name: /decide|send/i }).click();
  await page.waitForFunction((url) => location.href !== url || !document.querySelector("[name=reason]"), before, { timeout: LONGEST });
  return { decided: script.submission };
}

/** Opens pages, light and dark, and has axe-core look at each. */
async function pages(page) {
  const found = [];
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const path of script.paths) {
      const answer = await page.goto(new URL(path, script.base).href, { waitUntil: "load" });
      if (answer.status() !== 200) found.push(`${path}: status ${answer.status()}`);
      found.push(...(await violations(page)).map((violation) => `${path}, ${colorScheme}: ${violation}`));
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      if (width > 1280) found.push(`${path}: wider than 1280 px: ${width}`);
    }
  }
  return { pages: script.paths.length, found };
}

const browser = await browse();
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(LONGEST);
  const seen = await { review, appeal, pages }[script.act](page);
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
