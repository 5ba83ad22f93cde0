// Keys, the next image ahead of time, undo and the lease. Every page works without this script.
"use strict";

(() => {
  const AHEAD = 5; // images that wait behind the one shown, fetched and decoded
  const RENEW_MS = 30_000;
  const ANSWER_MS = 15_000; // after so long a request counts as unanswered
  const PAUSES_MS = [500, 1000, 2000]; // before a request is repeated that nobody answered: a vote's id makes that harmless

  const at = (id) => document.getElementById(id);
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));

  let item = at("item"); // the article that is shown; null on other pages
  if (item) item.dataset.shape = document.body.className;
  const ahead = []; // places of articles to be shown next: {node, ready}, node null until it is there
  let leaving = null; // the article that is left as soon as another is there
  let counting = 0; // the timer of the vote that can be undone
  let outbox = Promise.resolve(); // requests go out one after the other, in the order of the keys
  const votes = []; // that can still be undone, the latest last: {node, sent, id, until, words}

  const say = (text) => (at("say").textContent = text);

  // ---- requests -----------------------------------------------------------------------------------------------------
  /** Posts a form; {ok, …} with what the console answered, or with words for people why not. Never throws. */
  async function post(url, fields) {
    for (let attempt = 0; ; attempt++) {
      try {
        const answer = await fetch(url, {
          method: "POST",
          headers: { Accept: "application/json" },
          body: new URLSearchParams(fields),
          redirect: "manual",
          keepalive: true,
          signal: AbortSignal.timeout(ANSWER_MS),
        });
        if (answer.status === 503 && attempt < PAUSES_MS.length) throw new Error("away");
        const words = answer.status === 204 ? {} : await answer.json().catch(() => null);
        if (words) return { title: "That was refused.", ...words, ok: answer.ok };
        return { ok: false, title: "The console gave an answer that this page does not understand.", mend: "Load the page again." };
      } catch {
        if (attempt === PAUSES_MS.length)
          return { ok: false, title: "The console does not answer.", what: "What you sent last may not have arrived.", mend: "Look whether you are connected, then load the page again." };
        await wait(PAUSES_MS[attempt]);
      }
    }
  }

  /** Shows a refusal until it is closed; `node` is the article that it is about. */
  function warn(answer, node) {
    const box = at("alert");
    const title = document.createElement("b");
    title.textContent = answer.title;
    box.replaceChildren(title, ` ${answer.what ?? ""} ${answer.mend ?? ""}`, document.createElement("br"));
    const button = (text, act) => {
      const made = document.createElement("button");
      made.textContent = text;
      made.addEventListener("click", () => ((box.hidden = true), act()));
      box.append(made);
    };
    if (node && node !== item) button("Back to that image", () => putBack(node));
    if (answer.href) button(answer.href_text, () => location.assign(answer.href));
    button("Close", () => item?.querySelector("h1").focus({ preventScroll: true }));
    box.hidden = false;
  }

  // ---- the next image -----------------------------------------------------------------------------------------------
  /** Claims one more image: its article with pictures decoded, or null if there is none. */
  async function claim() {
    // XMLHttpRequest and not fetch: it parses a document without a sink that Trusted Types forbid.
    const page = await new Promise((done) => {
      const request = new XMLHttpRequest();
      request.open("POST", "/review/ahead");
      request.responseType = "document";
      request.timeout = ANSWER_MS;
      request.onload = () => done(request.status === 200 ? request.responseXML : null);
      request.onerror = request.ontimeout = () => done(null);
      request.send();
    });
    const found = page?.getElementById("item");
    if (!found) return null;
    const node = document.importNode(found, true);
    node.dataset.shape = page.body.className;
    await Promise.allSettled([...node.querySelectorAll("img:not([loading=lazy])")].map((picture) => picture.decode()));
    return node;
  }

  /** Keeps images ahead: they are asked for side by side, and one that takes long holds up no other. */
  function fill() {
    while (ahead.length < AHEAD) {
      const place = { node: null, ready: claim() };
      place.ready.then((node) => (node ? (place.node = node) : ahead.splice(ahead.indexOf(place), 1)));
      ahead.push(place);
    }
  }

  /** The first article ahead that is there, or the first that comes, moved to the front; null if there is none. */
  async function following() {
    fill();
    while (ahead.length) {
      const there = ahead.findIndex(({ node }) => node);
      if (there >= 0) {
        ahead.unshift(...ahead.splice(there, 1));
        return ahead[0].node;
      }
      await Promise.race(ahead.map(({ ready }) => ready));
    }
    return null;
  }

  function show(node) {
    item.replaceWith(node);
    item = node;
    node.inert = false;
    document.title = node.dataset.title;
    if (node.dataset.shape) document.body.className = node.dataset.shape;
    history.replaceState(null, "", node.dataset.href);
    node.querySelector("h1").focus({ preventScroll: true });
    if (node.dataset.lease) post(`/items/${node.dataset.item}/shown`, [["lease", node.dataset.lease]]);
  }

  function putBack(node) {
    if (item !== node) {
      if (leaving !== item) ahead.unshift({ node: item }); // else it has been voted on
      show(node);
    }
    leaving = null;
  }

  /** Leaves the article that is shown for the next one; if there is none, for the start page, once `sent` has been taken. */
  async function advance(sent) {
    const left = item;
    leaving = left;
    left.inert = true;
    if (!ahead.some(({ node }) => node)) say("The next image is on its way.");
    const node = await following();
    if (leaving !== left) return; // undone meanwhile
    if (node) {
      leaving = null;
      ahead.shift();
      show(node);
      fill();
    } else if ((await sent).ok && leaving === left) location.assign("/");
  }

  // ---- votes, and their undoing -------------------------------------------------------------------------------------
  /** What is missing before a button may send its form, in words; "" if nothing is. */
  function missing(form, button) {
    const value = (name) => form.elements[name]?.value;
    if (button.dataset.needs && !value(button.dataset.needs)) return button.dataset.want;
    if (!("undo" in button.dataset) || value("ground") || value("answer") === "cannot_tell") return "";
    return "Choose the ground: 1 to 5.";
  }

  function send(form, button) {
    const problem = missing(form, button);
    if (problem) return say(problem);
    const node = item;
    const url = button.getAttribute("formaction") ?? form.getAttribute("action");
    const fields = [...new FormData(form)];
    const sent = outbox.then(() => post(url, fields));
    const vote = { node, sent, id: form.elements.vote?.value, until: performance.now() + Number(form.dataset.undoMs) };
    outbox = sent.then((answer) => {
      if (answer.ok) return;
      forget(vote);
      if (item === node) node.inert = false;
      if (leaving === node) leaving = null;
      warn(answer, node);
    });
    say("");
    if ("undo" in button.dataset) {
      const chosen = [...form.querySelectorAll(":checked[data-word]")].map((input) => input.dataset.word);
      vote.words = [...chosen, node.querySelector("h1").textContent].join(", ");
      votes.push(vote);
      offer();
    }
    advance(sent);
  }

  /** Offers to undo the latest vote that can be, and counts its time down. */
  function offer() {
    clearTimeout(counting);
    while (votes.length && votes[0].until <= performance.now()) votes.shift();
    const vote = votes.at(-1);
    at("undo").hidden = !vote;
    if (!vote) return;
    at("undo-what").textContent = vote.words;
    at("undo").action = `/votes/${vote.id}/undo`;
    at("undo-left").textContent = `${Math.ceil((vote.until - performance.now()) / 1000)} s`;
    counting = setTimeout(offer, 250);
  }

  function forget(vote) {
    if (votes.includes(vote)) votes.splice(votes.indexOf(vote), 1);
    offer();
  }

  async function undo(vote) {
    forget(vote);
    putBack(vote.node);
    vote.node.inert = true;
    const sent = await vote.sent;
    const answer = sent.ok ? await post(`/votes/${vote.id}/undo`, []) : sent;
    vote.node.inert = false;
    if (answer.ok) {
      vote.node.querySelector("[name=vote]").value = answer.vote;
      vote.node.querySelector("h1").focus({ preventScroll: true });
      return say("Undone. Your answer is still filled in.");
    }
    if (!sent.ok) return; // the refusal of the vote itself is shown already
    warn(answer);
    if (item === vote.node) advance({ ok: true });
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.id === "undo" && votes.at(-1)?.node) {
      event.preventDefault();
      undo(votes.at(-1));
    } else if (item?.dataset.lease && item.contains(form) && form.method === "post") {
      event.preventDefault();
      if (!item.inert) send(form, event.submitter ?? form.querySelector("button"));
    }
  });

  // ---- keys ---------------------------------------------------------------------------------------------------------
  const FIELDS = "input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable], dialog";
  const PRESSABLE = "button, a, summary, input, label";

  function press(control) {
    const form = control.form;
    if (control.name === "ground" && control.type === "radio") {
      const chosen = form.querySelector("[name=answer]:checked, [name=result]:checked");
      if (!chosen) return say(form.elements.answer ? "Choose the answer first: R, S or U." : "Choose the decision first.");
      control.checked = true;
      form.requestSubmit(form.querySelector("[data-undo]"));
    } else if (control.name === "answer") {
      if (control.checked && control.value === "cannot_tell") return form.requestSubmit(form.querySelector("[data-undo]"));
      control.checked = true;
      say(control.value === "cannot_tell" ? "Can’t tell. Now the ground, 1 to 5, or U again without one." : `${control.dataset.word}. Now the ground: 1 to 5.`);
    } else control.click();
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest(FIELDS)) {
      if (event.key === "Escape" && !event.target.closest("dialog")) event.target.blur();
      return;
    }
    if (document.body.dataset.keys === "off") return;
    const key = event.key === " " ? "Space" : event.key.toUpperCase();
    if (event.shiftKey && /^([A-Z]|Space)$/.test(key)) return; // digits, / and ? need Shift on some keyboards
    if (key === "Space" && event.target.closest(PRESSABLE)) return;
    let act = null;
    if (key === "/") act = at("find") && (() => at("find").focus());
    else if (key === "?") act = at("keys") && (() => at("keys").showModal());
    else if (key === "Z") act = () => (at("undo").hidden ? say("There is no vote left to undo.") : at("undo").requestSubmit());
    else if (item && /^([A-Z0-9]|Space)$/.test(key)) {
      const control = item.querySelector(`[aria-keyshortcuts="${key}"]`);
      act = control && !control.closest("[inert]") && (() => press(control));
    }
    if (!act) return;
    event.preventDefault();
    if (!event.repeat) act();
  });

  document.addEventListener("change", ({ target }) => {
    const middle = (view) => view.scrollTo((view.scrollWidth - view.clientWidth) / 2, (view.scrollHeight - view.clientHeight) / 2);
    if (target.id === "actual") item.querySelectorAll(".actual").forEach(middle);
  });

  // ---- the lease ----------------------------------------------------------------------------------------------------
  const waiting = () => ahead.flatMap((place) => place.node ?? []);
  const leases = (nodes) => nodes.filter((node) => node.dataset.lease).map((node) => ["lease", node.dataset.lease]);

  async function renew() {
    const held = leases([item, ...waiting()]);
    if (document.hidden || !held.length) return;
    const answer = await post("/review/leases", held);
    if (!answer.ok) return warn(answer);
    for (const lost of answer.lost ?? []) {
      const place = ahead.findIndex(({ node }) => node?.dataset.lease === lost);
      if (place >= 0) ahead.splice(place, 1);
      if (item.dataset.lease !== lost || item.inert) continue;
      item.querySelector("form").inert = true;
      warn({ title: "Your claim on this image has ended.", what: "The page was away for too long, and somebody else may have it now.", mend: "Nothing was sent.", href: "/", href_text: "Back to the queue" });
    }
    fill();
  }

  if (item?.dataset.lease) {
    fill();
    setInterval(renew, RENEW_MS);
    document.addEventListener("visibilitychange", renew);
    // Images that were claimed ahead and never shown go back at once; the one that is shown stays until its lease ends.
    addEventListener("pagehide", () => navigator.sendBeacon("/review/release", new URLSearchParams(leases(waiting()))));
    addEventListener("pageshow", (event) => event.persisted && location.reload());
  }
  if (!at("undo").hidden) {
    const { ms, vote } = at("undo").dataset; // cast before this page was loaded: its form undoes it
    votes.push({ id: vote, until: performance.now() + Number(ms), words: at("undo-what").textContent });
    offer();
  }
})();
