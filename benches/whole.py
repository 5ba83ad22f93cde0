"""The whole path on real servers: our worker beside the engine alone and beside a small Python worker, the pipeline
without a network, and the time from start to ready."""

import sys
import time

import pictures
from contestants import HERE, Contestant
from edges import IMAGES, RESULTS, Edges, Verdicts, Worker
from report import Report, Row, Spread, ratio

PYTHON_QUEUE = "bench.python"
# The settings of the pipeline alone, beside the defaults: what a fast device would ask for.
PIPELINE = {
    "ASSAY__DETECTOR__MODEL": "scripted",
    "ASSAY__BROKER__PREFETCH": "256",
    "ASSAY__WORKER__BATCH_SIZE": "64",
    # Every image is to be decoded and scored.
    "ASSAY__WORKER__REUSE": "false",
    "ASSAY__WORKER__INTAKE_SLOTS": "32",
}


def worker(stage, report: Report) -> None:
    """Everything stays warm from round to round; what has no messages waits."""
    uploads, crops = stage.uploads()
    run = f"{time.time():.0f}"
    rates = {"ours": [], "engine": [], "python": []}
    with Edges(stage.folder, stage.base_port) as edges:
        edges.run([stage.assay, "migrate"])
        settings = {"ASSAY__DETECTOR__MODEL": str(stage.model)}
        weights = {"BENCH_WEIGHTS": str(stage.model / "weights.safetensors")}
        python = [sys.executable, HERE / "python_worker.py"]
        with (stage.engine(crops) as engine, Worker(stage.assay, edges, stage.logs / "worker.log", **settings) as ours,
              Contestant("the Python worker", python, stage.logs / "python_worker.log", edges.environment | weights | stage.libraries) as peer):
            engine.wait_until_warm(), ours.wait_until_ready(), peer.wait_until_warm()
            edges.purge()
            verdicts = Verdicts(edges)
            # At least three batches: one that comes alone is slower for each image, and the first only starts the clock.
            count = min(max(24, round(engine.round("8", 8) * stage.seconds * 4)), len(uploads))
            # The first verdict only starts the clock.
            count_of_python = max(3, count // 12)
            stage.say(f"{count} images a round, {count_of_python} for the Python worker")
            for number in range(stage.rounds):
                # Other bytes each time, so that no result can be used again.
                keys = [f"bench/{run}/{number}/{index}.jpg" for index in range(count)]
                edges.put({key: pictures.with_note(data, key) for key, data in zip(keys, uploads)})
                before = engine.round("8", count)
                edges.publish(IMAGES, keys, f"bench-{run}-{number}", count)
                rates["ours"].append(verdicts.rate(count, ours.check))
                rates["engine"].append((before + engine.round("8", count)) / 2)
                edges.publish(PYTHON_QUEUE, keys, f"bench-{run}-{number}", count_of_python)
                rates["python"].append(verdicts.rate(count_of_python, lambda: None))
                stage.say(f"worker, round {number + 1} of {stage.rounds}: " + ", ".join(f"{how} {values[-1]:.2f}/s" for how, values in rates.items()))
            # The same bytes under other names: found in the ledger, not scored.
            again = 20 * count
            edges.publish(IMAGES, keys, f"bench-{run}-again", again)
            rates["reused"] = [verdicts.rate(again, ours.check)]
            stage.say(f"worker, {again} submissions of bytes that were scored before: {rates['reused'][0]:.0f}/s")
            report.resident |= {"worker": ours.peak_resident_mb(), "python_worker": peer.peak_resident_mb()}
            what = {"engine": engine.what, "python": peer.what}
    shown = {how: f"{Spread(values).median:.2f} img/s" for how, values in rates.items()}
    report.rows.append(Row("end_to_end_vs_engine", "whole worker vs the engine alone, same images", ratio(rates["ours"], rates["engine"]), 0.95,
                           shown["ours"], shown["engine"]))
    report.rows.append(Row("worker_vs_python_worker", "whole worker vs a Python worker (PyTorch eager fp32, batch 1)",
                           ratio(rates["ours"], rates["python"]), 12.0, shown["ours"], shown["python"]))
    report.rows.append(Row("reused_vs_scored", "bytes that were scored before vs images that are new",
                           Spread([rates["reused"][0] / Spread(rates["ours"]).median]), None, shown["reused"], shown["ours"]))
    report.raw["worker"] = {"rates": rates, "what": what, "images": count}


def pipeline(stage, report: Report) -> None:
    uploads, _ = stage.uploads()
    objects = 200 if stage.quick else 1000
    keys = [f"bench/pipeline/{index}.jpg" for index in range(objects)]
    messages = 1500 if stage.quick else 4000
    rates, costs, scaling = [], [], {}
    with Edges(stage.folder, stage.base_port) as edges:
        edges.run([stage.assay, "migrate"])
        edges.put({key: pictures.with_note(uploads[index % len(uploads)], key) for index, key in enumerate(keys)})
        with Worker(stage.assay, edges, stage.logs / "pipeline.log", **PIPELINE) as first:
            # Makes the queues, and empties them of what an earlier run may have left.
            first.wait_until_ready()
            edges.purge()
        sizes = {"1": messages // 4, "4": messages, "16": messages * 4}
        queued = [("", messages)] * stage.rounds + ([] if stage.quick else list(sizes.items()))
        for number, (name, count) in enumerate(queued):
            rate, cost, resident = drain(stage, edges, keys, count, number)
            shares = ", ".join(f"{who} {share:.2f}" for who, share in cost.items())
            stage.say(f"pipeline, {count} messages: {rate:.0f}/s; cores used: {shares}")
            if name:
                scaling[name] = {"messages": count, "rate": rate, "peak_resident_mb": resident}
            else:
                rates.append(rate)
                costs.append(cost)
                report.resident["worker_scripted"] = max(resident, report.resident.get("worker_scripted", 0))
        stored = edges.bytes_per_verdict()
    kilobytes = sum(map(len, uploads)) / len(uploads) / 1e3
    spent = {who: Spread([cost[who] for cost in costs]).median for who in costs[0]}
    each = {who: 1e3 * share / Spread(rates).median for who, share in spent.items() if who != "idle"}
    report.rows.append(Row("broker_msgs_per_s", f"pipeline alone (scripted detector, {kilobytes:.0f} kB JPEGs)", Spread(rates), 1500.0, unit="/s"))
    most = max((who for who in spent if who not in ("idle", "others")), key=spent.get)
    report.notes.append(
        f"pipeline: {sum(spent.values()) - spent['idle']:.2f} of {sum(spent.values()):.2f} cores busy ("
        + ", ".join(f"{who} {share:.2f}" for who, share in spent.items() if who != "idle")
        + f"), most of it {most}; processor time of a message: " + ", ".join(f"{who} {cost:.2f} ms" for who, cost in each.items()))
    if scaling:
        report.notes.append("backlog and memory: " + "; ".join(
            f"{one['messages']} queued, {one['rate']:.0f}/s, {one['peak_resident_mb']:.0f} MB" for one in scaling.values()))
    report.notes.append(f"database: {stored:,.0f} bytes a verdict, tables and indexes")
    report.raw["pipeline"] = {"database_bytes_per_verdict": stored, "rates": rates, "cores": costs, "milliseconds_per_message": each, "scaling": scaling,
                              "settings": PIPELINE, "bytes_per_object": kilobytes * 1e3}


def drain(stage, edges: Edges, keys: list[str], count: int, number: int) -> tuple[float, dict[str, float], float]:
    """Starts a worker on a full queue; gives its outcomes a second and the cores that each process used, between a
    tenth and nine tenths of the way, and its peak memory in MB."""
    edges.publish(IMAGES, keys, f"pipeline-{time.time():.0f}-{number}", count)
    samples = []
    with Worker(stage.assay, edges, stage.logs / "pipeline.log", **PIPELINE) as scripted:
        done = 0
        while done < count:
            scripted.check()
            time.sleep(0.1)
            done = edges.waiting(RESULTS)
            if 0.1 * count <= done <= 0.9 * count or (done and not samples):
                samples.append((time.perf_counter(), done, edges.processor_seconds(scripted.pid)))
        resident = scripted.peak_resident_mb()
    edges.purge()
    (began, first, before), (ended, last, after) = samples[0], samples[-1]
    seconds = ended - began
    cores = {who: (after[who] - before[who]) / seconds for who in after}
    others = cores.pop("busy") - sum(share for who, share in cores.items() if who != "idle")
    idle = cores.pop("idle")
    return (last - first) / seconds, cores | {"others": others, "idle": idle}, resident


def start(stage, report: Report) -> None:
    seconds = []
    with Edges(stage.folder, stage.base_port) as edges:
        edges.run([stage.assay, "migrate"])
        for number in range(stage.rounds):
            with Worker(stage.assay, edges, stage.logs / "start.log", ASSAY__DETECTOR__MODEL=str(stage.model)) as one:
                seconds.append(one.wait_until_ready())
            stage.say(f"start, round {number + 1} of {stage.rounds}: ready after {seconds[-1]:.2f} s")
    report.rows.append(Row("ready_seconds", "process start to ready, model on local disk", Spread(seconds), 2.0, unit=" s", most=True))
    report.raw["start"] = {"seconds": seconds}


SECTIONS = {"worker": worker, "pipeline": pipeline, "start": start}
