"""Writes samples/*.json: {"template", "title", "context"}; a context is laid over samples/_common.json, key by key."""
import copy, json, pathlib

OUT = pathlib.Path(__file__).resolve().parents[1] / "samples"
SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
SHA2 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
U = lambda n: f"0eb6a72c-8aa9-4941-8f74-{n:012d}"
LONG = ("post-" + "x7Kq" * 63)[:256]
assert len(LONG.encode()) == 256
HTML = '<script>alert(1)</script><img src=x onerror=alert(2)>"\'><b>bold</b>{{ 7*7 }}'
RTL = "صورة من المستخدم \u202eالتقطت بهاتفي"
T = lambda day, clock="09:00:00": f"2026-11-{day:02d}T{clock}.201Z"

COMMON = {
    "user": {"name": "Ann Okafor", "role": "lead"}, "trial": False, "page": None, "notice": None, "pending": None,
    "can": {"review": True, "appeals": True, "audit": True, "tokens": True, "reviewers": True},
    "prefs": {"blur": False, "grey": False, "keys": True, "blur_fixed": False, "grey_fixed": False},
    "form": {"errors": [], **dict.fromkeys(["answer", "ground", "generator", "comment", "result", "reason", "name", "role", "days", "text", "evidence"])},
}

def picture(name, width, height, frames=(None,)):
    x, y = max(0, (width - 256) // 2), max(0, (height - 256) // 2)
    crop = lambda frame, index: {"src": f"/pictures/{name}/crops/{index}", "frame": frame, "x": x, "y": y, "width": min(256, width), "height": min(256, height)}
    return {"src": f"/pictures/{name}/fit", "actual_src": f"/pictures/{name}/actual", "width": width, "height": height, "sha256": SHA, "crops": [crop(f, i) for i, f in enumerate(frames)]}

EVIDENCE = {
    "decision": "uncertain", "score": {"synthetic": 0.593, "calibrated": True, "threshold_low": 0.35, "threshold_high": 0.65},
    "model": {"version": "2026.11.1", "trained": True},
    "generator": None,
    "policy": {"version": SHA2, "rule": "unsure-about-news", "action": "review", "because": "news images are looked at by people"},
    "generations": [
        {"generation": 1, "decision": "uncertain", "failure": None, "synthetic": 0.593, "by": "model 2026.11.1", "at": T(24)},
        {"generation": 0, "decision": "real", "failure": None, "synthetic": 0.214, "by": "model 2026.10.2", "at": T(2)},
    ],
    "labels": [],
}
ITEM = {
    "id": U(1), "lease": U(2), "vote": U(3), "undo_ms": 10000, "source": "uncertain", "tenant": "acme", "submission_id": "post-8841/img-2",
    "generation": 1, "age_s": 5400, "because": None, "blind": False, "history_href": "/history?tenant=acme&submission=post-8841%2Fimg-2", "why_no_vote": None, "may_claim": False,
    "outcome_id": "0eb6a72c-8aa9-5941-8f74-dcd901039988", "picture": picture("hills", 1536, 1024),
    "image": {"bucket": "uploads", "key": "2026/11/24/post-8841-2.jpg", "version_id": "3HL4kqtJlcpXroDTDmjVBH40Nrjfkd", "sha256": SHA, "bytes": 1183220, "format": "jpeg", "width": 1536, "height": 1024},
    "quality": [], "frames": None, "provenance": {"class": "claimed_capture", "hints": [{"kind": "camera_make", "name": "Canon"}], "c2pa": None},
    "metadata": [{"key": "post", "value": "8841"}, {"key": "author", "value": "u-77"}, {"key": "section", "value": "news"}],
    "evidence": EVIDENCE,
}
GENERATORS = ["dall-e-3", "flux-1", "gpt-image-1", "midjourney", "sd-3", "sdxl-1.0"]
PEOPLE = [{"id": U(40), "name": "Bo Lindqvist"}, {"id": U(41), "name": "Chidi Eze"}]

def over(base, **changes):
    made = copy.deepcopy(base)
    made.update(changes)
    return made

hostile_evidence = over(EVIDENCE, decision="synthetic", score={"synthetic": 1.0, "calibrated": False, "threshold_low": 0.0, "threshold_high": 1.0},
    model={"version": HTML, "trained": False},
    generator={"label": "unknown", "family": "unknown", "confidence": None, "novelty": 0.97, "candidates": [{"label": "stable-diffusion", "score": 0.41}, {"label": "gan", "score": 0.33}, {"label": HTML, "score": 0.2}]},
    policy={"version": SHA2, "rule": "r" * 64, "action": "block", "because": HTML + " " + RTL},
    generations=[{"generation": n, "decision": "synthetic" if n % 2 else None, "failure": None if n % 2 else "object_not_found", "synthetic": 0.9 if n % 2 else None, "by": "review" if n % 3 else HTML, "at": T(3 + n)} for n in range(7, -1, -1)],
    labels=[{"origin": "synthetic", "generator": HTML, "ground": "by_eye", "actor": "reviewer-" + "7" * 247, "at": T(20)}, {"origin": "real", "generator": None, "ground": None, "actor": RTL, "at": T(21)}])
HOSTILE = over(ITEM, submission_id=LONG, source="<i>new</i>", generation=7, because=RTL + " " + HTML, picture=picture("tall", 640, 2400, (1, 17, 34)),
    quality=["low_resolution", "animated", "transparent", "greyscale", "damaged", "unfamiliar_codec", "<b>new</b>"], frames={"judged": 3, "of": 34},
    provenance={"class": "claimed_synthetic", "hints": [{"kind": "digital_source_type", "name": "trainedAlgorithmicMedia"}, {"kind": "generator_settings", "name": None}, {"kind": "software", "name": HTML}], "c2pa": "present"},
    image=over(ITEM["image"], bucket="b" * 63, key="k/" * 500 + HTML),
    metadata=[{"key": HTML, "value": HTML}, {"key": RTL, "value": RTL}, {"key": "k" * 200, "value": "v" * 3000}, {"key": "\u0000\u202ex", "value": "\u2066isolate"}],
    evidence=hostile_evidence)
BARE = over(ITEM, source="policy", generation=0, history_href=None, quality=[], provenance=None, metadata=[], picture=picture("small", 180, 120), age_s=12,
    image=over(ITEM["image"], version_id=None, width=180, height=120, bytes=4120, format="webp"),
    evidence=over(EVIDENCE, generator={"label": "midjourney", "family": "midjourney", "confidence": 0.88, "novelty": None, "candidates": []}, decision="synthetic", score={"synthetic": 0.912, "calibrated": True, "threshold_low": 0.35, "threshold_high": 0.65}, policy=None, generations=EVIDENCE["generations"][:1]))
SYNTHETIC = over(ITEM, source="policy", picture=picture("tower", 1024, 1536), submission_id="post-9120/cover", image=over(ITEM["image"], key="2026/11/24/cover.png", format="png", width=1024, height=1536),
    provenance={"class": "none", "hints": [], "c2pa": None}, quality=["transparent"],
    evidence=over(EVIDENCE, decision="synthetic", score={"synthetic": 0.884, "calibrated": True, "threshold_low": 0.35, "threshold_high": 0.65},
        generator={"label": "flux-1", "family": "flux", "confidence": 0.71, "novelty": 0.22, "candidates": [{"label": "flux-1", "score": 0.71}, {"label": "midjourney", "score": 0.18}, {"label": "sdxl-1.0", "score": 0.07}]},
        labels=[{"origin": "synthetic", "generator": "flux-1", "ground": "known_source", "actor": "import", "at": T(12)}]))

def item(base, **more):
    return {"item": base, "generators": GENERATORS, "assignees": PEOPLE, "page": "queue", **more}

APPEAL_TEXT = "This is my own photograph. I took it on the ferry on 12 November with my phone and can send the original file, which I have attached. Your label has cost me the front page.\n\nPlease look again."
LONG_TEXT = (HTML + "\n" + RTL + "\n" + "wordwithoutanend" * 20 + "\nA plain sentence that goes on. ") * 12
LONG_TEXT = LONG_TEXT.encode()[:4096].decode(errors="ignore")
CHOICES = [{"value": "uphold", "text": "Uphold: stays synthetic"}, {"value": "overturn_real", "text": "Overturn: real"}]
def appeal(base, text, **more):
    return {"item": base, "page": "appeals", "appeal": {"id": U(60), "at": T(25), "text": text, "evidence": None, "evidence_problem": None, "decided": None, "choices": CHOICES, **more}}
row = lambda name, **more: {"id": U(70), "submission_id": name, "tenant": "acme", "decision": "synthetic", "beginning": APPEAL_TEXT[:120] + "…", "at": T(25), "state": "waits", "why_not": None, **more}

share = lambda value, low, high, n: {"value": value, "interval": [low, high], "n": n}
none = {"value": None, "interval": None, "n": 3}
quality = [
    {"model_version": "2026.11.1", "week": "2026-W47", "audited": 412, "precision": share(.941, .902, .967, 188), "misses": share(.062, .038, .101, 224), "calibration_error": share(.031, .018, .052, 412)},
    {"model_version": "2026.11.1", "week": "2026-W46", "audited": 388, "precision": share(.952, .914, .975, 170), "misses": share(.071, .044, .112, 218), "calibration_error": share(.028, .015, .049, 388)},
    {"model_version": "2026.10.2", "week": "2026-W46", "audited": 61, "precision": share(.871, .742, .944, 31), "misses": none, "calibration_error": none},
]
bins = [{"week": "2026-W47", "from": a / 5, "to": (a + 1) / 5, "stated": a / 5 + .09, "share": share(v, max(0, v - .07), min(1, v + .07), n)} for a, v, n in [(0, .05, 160), (1, .27, 40), (2, .52, 31), (3, .66, 44), (4, .95, 137)]]
reviewers = [
    {"name": "reviewer-3", "votes": 812, "per_hour": 141.2, "accuracy": share(.93, .87, .96, 120), "kappa": .81, "by_eye": .22, "undone": 9},
    {"name": "reviewer-7", "votes": 240, "per_hour": 88.0, "accuracy": share(.88, .76, .94, 48), "kappa": .74, "by_eye": .61, "undone": 2},
    {"name": RTL, "votes": 3, "per_hour": None, "accuracy": none, "kappa": None, "by_eye": 1.0, "undone": 0},
]
trail = [
    {"at": T(24, "10:12:44"), "who": "reviewer-3", "what": "voted", "tenant": "acme", "about": "post-8841/img-2", "href": "/history?x", "detail": "synthetic, visible artefact"},
    {"at": T(24, "10:12:31"), "who": "reviewer-3", "what": "saw", "tenant": "acme", "about": "post-8841/img-2", "href": "/history?x", "detail": None},
    {"at": T(24, "10:02:02"), "who": "lead-1", "what": "searched", "tenant": None, "about": None, "href": None, "detail": "by key: 2026/11/24/post-8841*"},
    {"at": T(24, "09:58:00"), "who": "lead-1", "what": "signed in", "tenant": None, "about": None, "href": None, "detail": None},
]
generations = [
    {"generation": 2, "decision": "real", "failure": None, "synthetic": .593, "by": "review", "policy": {"action": "none", "rule": "default"}, "at": T(25), "outcome_id": U(90), "href": f"/outcomes/{U(90)}"},
    {"generation": 1, "decision": "uncertain", "failure": None, "synthetic": .593, "by": "model 2026.11.1", "policy": {"action": "review", "rule": "unsure-about-news"}, "at": T(24), "outcome_id": U(91), "href": f"/outcomes/{U(91)}"},
    {"generation": 0, "decision": None, "failure": "object_store_unavailable", "synthetic": None, "by": "model 2026.10.2", "policy": None, "at": T(2), "outcome_id": U(92), "href": None},
]
history = {"tenant": "acme", "submission_id": "post-8841/img-2", "erased_at": None, "hidden": False, "generations": generations,
    "labels": [{"origin": "real", "generator": None, "ground": "uploaders_original", "drawn_as": "uncertain", "actor": "reviewer-3", "at": T(25), "reason": "raw file seen"}],
    "reviews": [{"answer": "real", "ground": "uploaders_original", "generator": None, "who": "reviewer-3", "at": T(25), "blind": False, "state": "counted", "comment": "raw file seen"},
                {"answer": "cannot_tell", "ground": None, "generator": None, "who": "reviewer-7", "at": T(24), "blind": True, "state": "counted", "comment": None}],
    "appeals": [{"id": U(60), "at": T(25), "state": "overturned"}], "trail": trail, "page": "search",
    "filing": {"outcome_id": U(90), "may_appeal": True, "may_golden": True}}
results = [
    {"submission_id": "post-8841/img-2", "tenant": "acme", "generation": 1, "decision": "uncertain", "failure": None, "synthetic": .593, "at": T(24), "key": "2026/11/24/post-8841-2.jpg", "href": "/history?a", "review": "waits"},
    {"submission_id": "post-8841/img-1", "tenant": "acme", "generation": 0, "decision": "real", "failure": None, "synthetic": .021, "at": T(24), "key": "2026/11/24/post-8841-1.jpg", "href": "/history?b", "review": "–"},
    {"submission_id": "post-8841/img-3", "tenant": "acme", "generation": 0, "decision": None, "failure": None, "synthetic": None, "at": T(24), "key": "2026/11/24/post-8841-3.jpg", "href": "/history?c", "review": "waits, blind"},
]
found = lambda base, why, **more: {"item": base, "why": why, "judged": {"sha256": SHA, "bytes": 1183220, "version_id": "3HL4kqtJlcpXroDTDmjVBH40Nrjfkd", "at": T(24)}, "found": None, "may_rejudge": True, "page": "queue", **more}
queue = {"page": "queue", "waiting": 218, "oldest_s": 93000, "reviewed_by_me": 37, "why_none": None,
    "sources_waiting": [{"source": s, "tenant": t, "waiting": w, "claimed": c, "oldest_s": o} for s, t, w, c, o in [("appeal", "acme", 3, 1, 7100), ("policy", "acme", 41, 2, 21000), ("audit", "acme", 62, 0, 93000), ("uncertain", "acme", 104, 3, 80000), ("uncertain", "globex", 8, 0, 600)]],
    "budgets": [{"tenant": "acme", "per_day": 400, "reviewed": 212, "left": 188, "not_reviewed": 1204}, {"tenant": "globex", "per_day": None, "reviewed": 12, "left": None, "not_reviewed": 0}],
    "held": [{"id": U(11), "submission_id": "post-7731/img-1", "source": "policy", "assigned_by": None, "since": T(24), "comment": "asked the uploader for the raw file"}, {"id": U(12), "submission_id": "post-7702/img-4", "source": "uncertain", "assigned_by": "lead-1", "since": T(23), "comment": None}]}
tokens = [{"id": U(80), "name": "nightly export", "role": "viewer", "created_at": T(1), "last_used_at": T(24), "expires_at": "2026-12-01T09:00:00Z", "state": "valid"},
    {"id": U(81), "name": HTML, "role": "reviewer", "created_at": T(1), "last_used_at": None, "expires_at": T(20), "state": "expired"}, {"id": U(82), "name": "old laptop", "role": "lead", "created_at": T(1), "last_used_at": T(3), "expires_at": T(30), "state": "revoked"}]
token_page = {"page": "tokens", "tokens": tokens, "made": None, "role_choices": ["viewer", "reviewer", "lead"], "max_days": 90}
viewer = {"user": {"name": RTL, "role": "viewer"}, "can": {"review": False, "appeals": False, "audit": False, "tokens": True, "reviewers": False}}
away = {"user": None, "can": None, "prefs": None, "page": None}
audit = {"page": "audit", "filter": {"who": None, "what": None, "tenant": None, "from": "2026-11-17", "to": None, "submission": None}, "kinds": ["saw", "was sent", "voted", "undid", "searched", "signed in"], "tenants": ["acme", "globex"], "problem": None, "entries": trail, "export_href": "/audit.jsonl?from=2026-11-17", "newer": None, "older": "/audit?from=2026-11-17&before=812"}
search = {"page": "search", "by": "any", "q": None, "results": None, "more": False, "problem": None}
numbers = {"page": "numbers", "tenant": None, "tenants": ["acme", "globex"], "since": "2026-11-10", "flow": {"waiting": 218, "oldest_s": 93000, "reviewed": 1055, "not_reviewed": 1204, "per_hour": 128.4}, "quality": quality, "calibration": [{"model_version": "2026.11.1", "bins": bins}], "agreement": share(.78, .71, .84, 311), "reviewers": reviewers}

S = {
    "queue": ("queue.html", queue),
    "queue-empty": ("queue.html", {**queue, **viewer, "waiting": 0, "oldest_s": None, "reviewed_by_me": 0, "sources_waiting": [], "budgets": [], "held": []}),
    "queue-spent": ("queue.html", {**queue, "waiting": 1, "why_none": "Today’s budget of your tenants is spent. What is left is counted as not reviewed; tomorrow there is a new budget.", "held": [], "trial": True, "notice": {"kind": "done", "text": "Preferences kept."}, "pending": {"vote": U(3), "answer": "synthetic", "submission_id": LONG, "ms_left": 8000},
        "sources_waiting": [{"source": "<i>new</i>", "tenant": "t" * 64, "waiting": 1, "claimed": 0, "oldest_s": None}]}),
    "item": ("item.html", item(ITEM)),
    "item-synthetic": ("item.html", item(SYNTHETIC, pending={"vote": U(4), "answer": "real", "submission_id": "post-8841/img-2", "ms_left": 7300})),
    "item-blind": ("item.html", item(over(ITEM, source="blind", blind=True, evidence=None, history_href=None, generation=0), assignees=[])),
    "item-covered": ("item.html", item(ITEM, prefs={"blur": True, "grey": True, "keys": True, "blur_fixed": True, "grey_fixed": False})),
    "item-bare": ("item.html", item(BARE, generators=[], assignees=[])),
    "item-hostile": ("item.html", item(HOSTILE, user={"name": HTML * 4, "role": "<b>"}, form={**COMMON["form"], "errors": ["Choose the ground: it says how much the vote can be relied on."], "answer": "synthetic", "ground": None, "generator": '"><script>', "comment": RTL}, generators=GENERATORS + [HTML], assignees=PEOPLE + [{"id": U(42), "name": HTML}])),
    "item-look": ("item.html", item(over(ITEM, lease=None, vote=None, why_no_vote="You are looking at this image without a claim on it: nobody keeps it for you, and you can’t vote.", may_claim=True))),
    "gone-changed": ("gone.html", found(ITEM, "changed", found={"sha256": SHA2, "bytes": 90211, "version_id": None, "at": T(25)})),
    "gone-missing": ("gone.html", found(over(ITEM, submission_id=LONG, tenant="t" * 64), "missing")),
    "gone-erased": ("gone.html", found(over(ITEM, lease=None), "erased", judged=None)),
    "gone-unreachable": ("gone.html", found(ITEM, "unreachable")),
    "search": ("search.html", search),
    "search-results": ("search.html", {**search, "q": "post-8841*", "results": results}),
    "search-hostile": ("search.html", {**search, "by": "key", "q": HTML, "more": True, "results": [over(results[0], submission_id=LONG, tenant="t" * 64, key="k/" * 512), over(results[0], submission_id=HTML, key=RTL, decision=None, failure="decode_failed", synthetic=None)]}),
    "search-problem": ("search.html", {**search, "by": "digest", "q": "9f86", "results": None, "problem": "“9f86” is no SHA-256: it has 64 hexadecimal digits."}),
    "search-nothing": ("search.html", {**search, "q": "post-0", "results": []}),
    "history": ("history.html", history),
    "history-hostile": ("history.html", {**history, **viewer, "submission_id": LONG, "tenant": "t" * 64, "hidden": True, "generations": [over(generations[0], decision=None, synthetic=None, policy=None)], "appeals": [], "trail": None, "filing": None,
        "labels": [{"origin": "synthetic", "generator": HTML, "ground": "<b>", "drawn_as": "audit", "actor": "a" * 256, "at": T(25), "reason": LONG_TEXT}], "reviews": [{"answer": "real", "ground": "by_eye", "generator": HTML, "who": RTL, "at": T(25), "blind": True, "state": "undone", "comment": LONG_TEXT[:1000]}]}),
    "history-erased": ("history.html", {**history, "erased_at": T(25), "generations": [], "labels": [], "reviews": [], "appeals": [], "trail": [], "filing": None}),
    "history-filing": ("history.html", {**history, "appeals": [], "form": {**COMMON["form"], "errors": ["The text of the appeal has 4200 bytes: at most 4096 are kept, so shorten it."], "text": LONG_TEXT, "evidence": HTML}}),
    "numbers": ("numbers.html", numbers),
    "numbers-empty": ("numbers.html", {**numbers, **viewer, "flow": {"waiting": 0, "oldest_s": None, "reviewed": 0, "not_reviewed": 0, "per_hour": None}, "quality": [], "calibration": [], "agreement": None, "reviewers": None}),
    "appeals": ("appeals.html", {"page": "appeals", "state": "open", "appeals": [row("post-8841/img-2"), row("post-6120/img-1", decision="uncertain", why_not="You reviewed this image first: somebody else decides."), row(LONG, beginning=HTML + RTL)], "newer": None, "older": "/appeals?state=open&before=12"}),
    "appeals-empty": ("appeals.html", {"page": "appeals", "state": "decided", "appeals": [], "newer": None, "older": None}),
    "appeal": ("appeal.html", appeal(over(SYNTHETIC, source="appeal"), APPEAL_TEXT, evidence=over(picture("ferry", 1600, 1200), crops=[]))),
    "appeal-plain": ("appeal.html", appeal(over(SYNTHETIC, source="appeal"), APPEAL_TEXT, choices=[CHOICES[0] | {"text": "Uphold: stays uncertain"}, {"value": "overturn_real", "text": "Overturn: real"}, {"value": "overturn_synthetic", "text": "Overturn: synthetic"}])),
    "appeal-hostile": ("appeal.html", appeal(over(HOSTILE, picture=None, picture_problem="The object has changed since it was judged: its picture would not be the one that the verdict is about, so none is shown."), LONG_TEXT, evidence_problem="The evidence image could not be decoded.") | {"form": {**COMMON["form"], "errors": ["Give a reason: the platform is sent it."], "result": "uphold", "ground": "by_eye", "reason": HTML}}),
    "appeal-not-mine": ("appeal.html", appeal(over(SYNTHETIC, lease=None, why_no_vote="You reviewed this image first, so somebody else decides the appeal.", may_claim=False), APPEAL_TEXT, choices=None)),
    "appeal-decided": ("appeal.html", appeal(over(SYNTHETIC, lease=None), APPEAL_TEXT, decided={"result": "overturned", "at": T(26), "who": "reviewer-9", "ground": "uploaders_original", "reason": "The raw file was seen. " + HTML})),
    "audit": ("audit.html", audit),
    "audit-hostile": ("audit.html", {**audit, "filter": {"who": HTML, "what": "voted", "tenant": "acme", "from": None, "to": None, "submission": LONG}, "newer": "/audit?after=9", "entries": [over(trail[0], who="w" * 256, about=LONG, detail=LONG_TEXT[:900]), over(trail[2], detail=RTL + HTML)]}),
    "audit-empty": ("audit.html", {**audit, "entries": [], "older": None, "problem": "“To” lies before “From”."}),
    "tokens": ("tokens.html", token_page),
    "tokens-made": ("tokens.html", {**token_page, "made": {"name": HTML, "secret": "assay_pt_" + "Zk3v9QwLx0aB" * 4, "expires_at": "2026-12-24T09:00:00Z"}, "form": {**COMMON["form"], "errors": ["Choose at most 90 days."], "name": "x", "role": "lead", "days": 900}}),
    "tokens-none": ("tokens.html", {**token_page, "tokens": []}),
    "login": ("login.html", {**away, "sign_in_href": "/login/oidc", "issuer_name": "Acme Accounts", "problem": None}),
    "login-problem": ("login.html", {**away, "sign_in_href": None, "issuer_name": None, "problem": "Your session has ended. Please sign in again: what you had voted is kept."}),
    "help": ("help.html", {"page": "help"}),
    "help-fixed": ("help.html", {"page": "help", "prefs": {"blur": True, "grey": False, "keys": False, "blur_fixed": True, "grey_fixed": True}}),
}
E_ = {"title": None, "what": None, "mend": None, "href": None, "href_text": None, "request_id": None}
for status in (400, 401, 403, 404, 409, 413, 422, 500, 503):
    S[f"error-{status}"] = ("error.html", {**E_, "status": status})
S["error-500"][1]["request_id"] = "4bf92f3577b34da6a3ce929d0e0e4736"
S["error-401"][1].update(away, href="/login", href_text="Sign in")
S["error-409"][1].update(title="Your claim on this image has ended", what="You had it until 10:14, and reviewer-7 has voted on it meanwhile. " + HTML, mend="Nothing was changed. Take the next image.", href="/", href_text="Back to the queue")

OUT.mkdir(exist_ok=True)
for old in OUT.glob("*.json"): old.unlink()
write = lambda name, data: (OUT / name).write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n")
write("_common.json", COMMON)
for name, (template, context) in S.items(): write(f"{name}.json", {"template": template, "context": context})
print(len(S), "samples")
