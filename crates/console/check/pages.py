"""The templates with the real engine: what the Rust back end must set up, in Python. `python pages.py` renders every sample into out/."""
import datetime, json, pathlib, threading
import minijinja

HERE = pathlib.Path(__file__).resolve().parents[1]
COMMON = json.loads((HERE / "samples/_common.json").read_text())

figure = lambda value: "–" if value is None else f"{value:.3f}"
percent = lambda value: "–" if value is None else f"{value * 100:.0f} %"
interval = lambda ends: "" if ends is None else " to ".join(figure(end) for end in ends)

def age(seconds):
    for limit, unit, word in ((60, None, None), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // unit)} {word}" if unit else "less than a minute"
    return f"{int(seconds // 86400)} days"

def time(text):
    at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return f"{at.day} {at:%b %Y, %H:%M}"

env = minijinja.Environment(loader=lambda name: (HERE / "templates" / name).read_text(), undefined_behavior="semi_strict", pycompat=False)
for name, made in {"figure": figure, "percent": percent, "interval": interval, "age": age, "time": time}.items():
    env.add_filter(name, made)

one = threading.Lock() # the binding holds a lock of its own while it calls filters: two threads would wait for each other

def render(template, context):
    with one: return env.render_template(template, **{**COMMON, **context})

def sample(name):
    data = json.loads((HERE / "samples" / f"{name}.json").read_text())
    return render(data["template"], data["context"])

names = sorted(path.stem for path in (HERE / "samples").glob("[!_]*.json"))

if __name__ == "__main__":
    (HERE / "out").mkdir(exist_ok=True)
    for name in names: (HERE / "out" / f"{name}.html").write_text(sample(name))
    print(len(names), "pages rendered")
