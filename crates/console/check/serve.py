"""A console that only pretends, on loopback: every sample under /sample/NAME, and a queue of N items with claims, votes and undo.

    python serve.py PORT [ITEMS [mixed]]     mixed: the second of three items is gone, the third an appeal
"""
import copy, functools, io, json, math, os, random, sys, threading, time, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from PIL import Image, ImageDraw, ImageFilter
import pages

CSP = ("default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
       "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
CLAIM_S, PICTURE_S, UNDO_S = 0.06, 0.08, 10
TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
SIZES = {"hills": (1536, 1024), "tower": (1024, 1536), "ferry": (1600, 1200), "tall": (640, 2400), "small": (180, 120)}

@functools.cache
def drawn(name, part):
    width, height = SIZES.get(name, (1536, 1024))
    rnd = random.Random(name)
    picture = Image.new("RGB", (1, height))
    top, low = [rnd.randrange(60, 150) for _ in "rgb"], [rnd.randrange(170, 250) for _ in "rgb"]
    for y in range(height): picture.putpixel((0, y), tuple(int(a + (b - a) * y / height) for a, b in zip(top, low)))
    picture = picture.resize((width, height))
    draw = ImageDraw.Draw(picture)
    sun = rnd.uniform(.2, .8) * width, rnd.uniform(.15, .35) * height
    draw.ellipse([sun[0] - width / 16, sun[1] - width / 16, sun[0] + width / 16, sun[1] + width / 16], fill=(250, 236, 200))
    for layer in range(5):
        phase, base = rnd.uniform(0, 6), height * (.45 + .11 * layer)
        crest = [(x, base + height * .06 * math.sin(phase + x / width * (4 + layer)) + height * .02 * math.sin(x / 37 + phase)) for x in range(0, width + 8, 8)]
        shade = tuple(max(10, c - 38 * layer) for c in (120, 140, 130))
        draw.polygon([*crest, (width, height), (0, height)], fill=shade)
    picture = picture.filter(ImageFilter.GaussianBlur(.8))
    if part.startswith("crops"):
        x, y = max(0, (width - 256) // 2), max(0, (height - 256) // 2)
        picture = picture.crop((x, y, x + 256, y + 256)) if width >= 256 else picture.resize((256, 256))
    elif part == "fit": picture.thumbnail((1600, 1600))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()

for name in SIZES:
    for part in ("fit", "actual", "crops/0"): drawn(name, part)

class Queue:
    """Items in order; each has a state: waits, claimed, pending, counted, skipped, held, escalated."""
    def __init__(self, items):
        self.lock = threading.Lock()
        base = json.loads((pages.HERE / "samples/item.json").read_text())["context"]["item"]
        self.items, self.log, self.faults = [], [], {}
        for n in range(items):
            made = copy.deepcopy(base)
            name = ["hills", "tower", "ferry"][n % 3]
            text = json.dumps(made["picture"]).replace("hills", name)
            width, height = SIZES[name]
            made.update(id=str(uuid.UUID(int=n + 1)), submission_id=f"post-{n:04d}", lease=None, vote=None, picture={**json.loads(text), "width": width, "height": height})
            for crop in made["picture"]["crops"]: crop.update(x=(width - 256) // 2, y=(height - 256) // 2)
            self.items.append({"state": "waits", "shown": 0, "item": made, "cast": None})
    def by(self, test): return next((entry for entry in self.items if test(entry)), None)
    def of(self, id): return self.by(lambda entry: entry["item"]["id"] == id)
    def claim(self):
        with self.lock:
            entry = self.by(lambda entry: entry["state"] == "waits")
            if entry: self.take(entry)
            return entry
    def take(self, entry):
        entry["state"] = "claimed"
        entry["item"].update(lease=str(uuid.uuid4()), vote=str(uuid.uuid4()))
    def settle(self):
        for entry in self.items:
            if entry["state"] == "pending" and time.time() > entry["until"]: entry["state"] = "counted"

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def log_message(self, *_): pass
    def handle(self):
        try: super().handle()
        except ConnectionError: pass # the browser left
    def send(self, status, body=b"", kind="text/html; charset=utf-8", **headers):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), "Content-Security-Policy": CSP, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
                            "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
    def json(self, status, body): self.send(status, json.dumps(body), "application/json")
    def page(self, template, **context): self.send(context.pop("code", 200), pages.render(template, context))
    def go(self, where): self.send(303, Location=where)
    @property
    def scripted(self): return "application/json" in self.headers.get("Accept", "")

    def pending(self):
        queue.settle()
        open_ = [entry for entry in queue.items if entry["state"] == "pending"]
        if not open_: return None
        entry = max(open_, key=lambda entry: entry["until"])
        return {"vote": entry["cast"], "answer": entry["answer"], "submission_id": entry["item"]["submission_id"], "ms_left": int(1000 * (entry["until"] - time.time()))}
    def item(self, entry, **more):
        kind = (int(entry["item"]["id"][-12:], 16) - 1) % 3 if "mixed" in sys.argv else 0
        if kind:
            name = ["", "gone-changed", "appeal"][kind]
            data = json.loads((pages.HERE / f"samples/{name}.json").read_text())
            data["context"].update(item={**data["context"]["item"], **{k: entry["item"][k] for k in ("id", "lease", "vote", "submission_id")}}, pending=self.pending())
            if kind == 2: data["context"]["appeal"]["id"] = entry["item"]["id"]
            return self.page(data["template"], **data["context"])
        context = {k: v for k, v in pages.json.loads((pages.HERE / "samples/item.json").read_text())["context"].items() if k != "item"}
        self.page("item.html", **{**context, "item": entry["item"], "pending": self.pending(), **more})
    def queue_page(self):
        context = json.loads((pages.HERE / "samples/queue.json").read_text())["context"]
        self.page("queue.html", **{**context, "waiting": sum(e["state"] == "waits" for e in queue.items), "pending": self.pending()})

    def do_GET(self):
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        if parts[0] == "sample": return self.send(200, pages.sample(parts[1]))
        if parts[0] == "static":
            return self.send(200, (pages.HERE / "static" / parts[1]).read_bytes(), TYPES[parts[1].split(".")[-1]])
        if parts[0] == "pictures":
            time.sleep(PICTURE_S)
            return self.send(200, drawn(parts[1], "/".join(parts[2:])), "image/jpeg")
        if parts[0] == "items" and (entry := queue.of(parts[1])) and entry["item"]["lease"]: return self.item(entry)
        if parts[0] == "fault":
            queue.faults.update({k: v[0] for k, v in parse_qs(url.query).items()})
            return self.json(200, queue.faults)
        if parts[0] == "state":
            queue.settle()
            return self.json(200, {"log": queue.log, "items": [{"id": e["item"]["id"], "state": e["state"], "answer": e.get("answer"), "ground": e.get("ground"), "shown": e["shown"], "fields": e.get("fields")} for e in queue.items]})
        if url.path == "/": return self.queue_page()
        if parts[0] in ("help", "search"): return self.send(200, pages.sample(parts[0]))
        self.page("error.html", code=404, status=404, title=None, what=None, mend=None, href=None, href_text=None, request_id=None)

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        fields = {k: v for k, v in parse_qs(self.rfile.read(length).decode(), keep_blank_values=True).items()}
        one = lambda name: (fields.get(name) or [""])[0]
        parts = self.path.strip("/").split("/")
        queue.log.append([self.path, {k: v for k, v in fields.items()}, self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site")])
        queue.settle()
        if self.path == "/review/ahead":
            time.sleep(CLAIM_S)
            entry = queue.claim()
            return self.item(entry) if entry else self.send(204)
        if self.path == "/review/next":
            entry = queue.claim()
            return self.go(f"/items/{entry['item']['id']}" if entry else "/")
        if self.path == "/review/leases":
            lost = [l for l in fields.get("lease", []) if queue.faults.get("lose") == l]
            return self.json(200, {"lost": lost})
        if self.path == "/review/release":
            for entry in queue.items:
                if entry["state"] == "claimed" and entry["item"]["lease"] in fields.get("lease", []): entry.update(state="waits")
            return self.send(204)
        if parts[0] == "votes":
            entry = queue.by(lambda entry: entry["cast"] == parts[1])
            if not entry or entry["state"] != "pending" or queue.faults.pop("undo", None):
                words = {"title": "It is too late to undo this vote.", "what": "It has been counted.", "mend": "If it was wrong, tell a lead."}
                return self.json(409, words) if self.scripted else self.page("error.html", code=409, status=409, href=None, href_text=None, request_id=None, **words)
            entry.update(state="claimed", cast=None, answer=None)
            entry["item"]["vote"] = str(uuid.uuid4())
            return self.json(200, {"vote": entry["item"]["vote"]}) if self.scripted else self.go(f"/items/{entry['item']['id']}")
        entry = queue.of(parts[1]) if parts[0] in ("items", "appeals") else None
        if entry and parts[2] == "shown":
            entry["shown"] += 1
            return self.send(204)
        if entry and parts[2] == "vote":
            fault = queue.faults.pop("vote", None)
            if fault == "drop": return self.connection.shutdown(2)
            if fault or one("lease") != entry["item"]["lease"]:
                return self.json(409, {"title": "Your vote was not taken.", "what": "Your claim on post-x had ended.", "mend": "Nothing was changed."})
            if not one("answer") or (not one("ground") and one("answer") != "cannot_tell"):
                return self.item(entry, code=422, form={**pages.COMMON["form"], "answer": one("answer"), "errors": ["Choose the ground."]})
            if entry["cast"] != one("vote"):
                entry.update(state="pending", cast=one("vote"), answer=one("answer"), ground=one("ground"), until=time.time() + UNDO_S, fields={k: v[0] for k, v in fields.items()})
            if self.scripted: return self.json(200, {"vote": one("vote")})
        elif entry and parts[2] in ("skip", "hold", "escalate", "assign", "close", "decide"):
            entry.update(state=parts[2], fields={k: v[0] for k, v in fields.items()})
            if parts[2] == "decide": entry.update(state="pending", cast=one("vote"), answer=one("result"), ground=one("ground"), until=time.time() + UNDO_S)
            if self.scripted: return self.json(200, {})
        else: return self.send(404)
        following = queue.claim()
        self.go(f"/items/{following['item']['id']}" if following else "/")

queue = Queue(int(sys.argv[2]) if len(sys.argv) > 2 else 40)
server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
# Whoever started it has gone when its standard input ends.
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print("ready", server.server_port, flush=True)
server.serve_forever()
