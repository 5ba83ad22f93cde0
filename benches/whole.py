"""The whole path on real servers: our worker beside the engine alone and beside a small Python worker, the pipeline
without a network, and the time from start to ready."""

import contextlib
import sys
import time

import pictures
from contestants import HERE, KEPT_MEMORY, Contestant
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
    rates = {"ours": [], "engine": [], "python": [], "python_eager": []}
    with Edges(stage.folder, stage.base_port) as edges:
        edges.run([stage.assay, "migrate"])
        settings = {"ASSAY__DETECTOR__MODEL": str(stage.model)}
        how = best_way(stage, report)
        with (stage.engine(crops) as engine, Worker(stage.assay, edges, stage.logs / "worker.log", **settings) as ours,
              python_worker(stage, edges, how, PYTHON_QUEUE) as peer, python_worker(stage, edges, "eager_fp32", f"{PYTHON_QUEUE}.eager") as eager):
            engine.wait_until_warm(), ours.wait_until_ready(), peer.wait_until_warm(), eager.wait_until_warm()
            edges.purge()
            verdicts = Verdicts(edges)
            # At least three batches: one that comes alone is slower for each image, and the first only starts the clock.
            count = min(max(24, round(engine.round("8", 8) * stage.seconds * 4)), len(uploads))
            # The first verdict only starts the clock.
            counts = {"python": max(3, count // 3), "python_eager": max(3, count // 12)}
            stage.say(f"{count} images a round, {counts['python']} for the Python worker, {counts['python_eager']} for the one in eager fp32")
            for number in range(stage.rounds):
                # Other bytes each time, so that no result can be used again.
                keys = [f"bench/{run}/{number}/{index}.jpg" for index in range(count)]
                edges.put({key: pictures.with_note(data, key) for key, data in zip(keys, uploads)})
                before = engine.round("8", count)
                edges.publish(IMAGES, keys, f"bench-{run}-{number}", count)
                rates["ours"].append(verdicts.rate(count, ours.check))
                rates["engine"].append((before + engine.round("8", count)) / 2)
                for python, queue in (("python", PYTHON_QUEUE), ("python_eager", f"{PYTHON_QUEUE}.eager")):
                    edges.publish(queue, keys, f"bench-{run}-{number}-{python}", counts[python])
                    rates[python].append(verdicts.rate(counts[python], lambda: None))
                stage.say(f"worker, round {number + 1} of {stage.rounds}: " + ", ".join(f"{who} {values[-1]:.2f}/s" for who, values in rates.items()))
            # The same bytes under other names: found in the ledger, not scored.
            again = 20 * count
            edges.publish(IMAGES, keys, f"bench-{run}-again", again)
            rates["reused"] = [verdicts.rate(again, ours.check)]
            stage.say(f"worker, {again} submissions of bytes that were scored before: {rates['reused'][0]:.0f}/s")
            report.resident |= {"worker": ours.peak_resident_mb(), "python_worker": peer.peak_resident_mb()}
            what = {"engine": engine.what, "python": peer.what, "python_eager": eager.what}
    shown = {who: f"{Spread(values).median:.2f} img/s" for who, values in rates.items()}
    report.rows.append(Row("end_to_end_vs_engine", "whole worker vs the engine alone, same images", ratio(rates["ours"], rates["engine"]), 0.95,
                           shown["ours"], shown["engine"]))
    report.rows.append(Row("worker_vs_best_python_worker", f"whole worker vs a Python worker with the best of PyTorch ({how}, batch 1)",
                           ratio(rates["ours"], rates["python"]), 1.3, shown["ours"], shown["python"]))
    report.rows.append(Row("worker_vs_python_worker", "whole worker vs a Python worker (PyTorch eager fp32, batch 1)",
                           ratio(rates["ours"], rates["python_eager"]), None, shown["ours"], shown["python_eager"]))
    report.rows.append(Row("reused_vs_scored", "bytes that were scored before vs images that are new",
                           Spread([rates["reused"][0] / Spread(rates["ours"]).median]), None, shown["reused"], shown["ours"]))
    report.raw["worker"] = {"rates": rates, "what": what, "images": count}


def python_worker(stage, edges: Edges, how: str, queue: str) -> Contestant:
    environment = edges.environment | stage.libraries | {"BENCH_HOW": how, "BENCH_QUEUE": queue, "BENCH_WEIGHTS": str(stage.model / "weights.safetensors")}
    memory = {} if how == "eager_fp32" else KEPT_MEMORY
    return Contestant(f"the Python worker ({how})", [sys.executable, HERE / "python_worker.py"], stage.logs / f"python_worker_{how}.log", environment | memory)


def best_way(stage, report: Report) -> str:
    """The fastest of PyTorch's ways with the large network: as the engine's section found it, in this run or an earlier one."""
    ways = stage.ways(report)
    if stage.best_peer.exists() and (found := stage.best_peer.read_text().strip()) in ways:
        return found
    stage.say(f"which of PyTorch's ways is the fastest here is not measured yet (--only engine): {ways[-1]} is taken for it")
    return ways[-1]


def plumbing(stage, report: Report, edges: Edges, keys: list[str], ours: list[float]) -> None:
    """A Python worker without a network either, on the same objects; it keeps its connections from round to round."""
    messages, rates = (150, []) if stage.quick else (400, [])
    with python_worker(stage, edges, "scripted", PYTHON_QUEUE) as peer:
        peer.wait_until_warm()
        verdicts = Verdicts(edges)
        for number in range(stage.rounds):
            edges.publish(PYTHON_QUEUE, keys, f"plumbing-{time.time():.0f}-{number}", messages)
            rates.append(verdicts.rate(messages, lambda: None))
            stage.say(f"the Python worker's plumbing, round {number + 1} of {stage.rounds}: {rates[-1]:.0f}/s")
    report.rows.append(Row("plumbing_vs_python_worker", "pipeline alone vs a Python worker's, neither with a network", ratio(ours, rates), 5.0,
                           f"{Spread(ours).median:.0f}/s", f"{Spread(rates).median:.0f}/s"))
    report.raw["plumbing"] = {"python": rates, "messages": messages}


def pipeline(stage, report: Report) -> None:
    uploads, _ = stage.uploads()
    objects = 200 if stage.quick else 1000
    keys = [f"bench/pipeline/{index}.jpg" for index in range(objects)]
    messages = 1500 if stage.quick else 4000
    rates, costs, growth = [], [], []
    with Edges(stage.folder, stage.base_port) as edges:
        edges.run([stage.assay, "migrate"])
        edges.put({key: pictures.with_note(uploads[index % len(uploads)], key) for index, key in enumerate(keys)})
        with Worker(stage.assay, edges, stage.logs / "pipeline.log", **PIPELINE) as first:
            # Makes the queues, and empties them of what an earlier run may have left.
            first.wait_until_ready()
            edges.purge()
        for number in range(stage.rounds):
            rate, cost, resident = drain(stage, edges, keys, messages, f"{number}")
            rates.append(rate)
            costs.append(cost)
            report.resident["worker_scripted"] = max(resident, report.resident.get("worker_scripted", 0))
        # What more of it costs: of messages that wait, and of workers beside each other.
        for count, workers in [(messages // 4, 1), (messages, 1), (messages * 4, 1), (messages, 2), (messages, 4)]:
            rate, cost, resident = drain(stage, edges, keys, count, f"{count}-{workers}", workers)
            growth.append({"messages": count, "workers": workers, "rate": rate, "milliseconds": 1e3 * cost["worker"] / rate, "peak_resident_mb": resident})
        stored = edges.bytes_per_verdict()
        plumbing(stage, report, edges, keys, rates)
    kilobytes = sum(map(len, uploads)) / len(uploads) / 1e3
    spent = {who: Spread([cost[who] for cost in costs]).median for who in costs[0]}
    each = {who: 1e3 * share / Spread(rates).median for who, share in spent.items() if who != "idle"}
    of_worker = Spread([1e3 * cost["worker"] / rate for cost, rate in zip(costs, rates)])
    report.rows.append(Row("worker_ms_per_message", "processor time of worker and decoders, a message", of_worker, 2.0, unit=" ms", most=True))
    report.rows.append(Row("broker_msgs_per_s", f"pipeline alone (scripted detector, {kilobytes:.0f} kB JPEGs)", Spread(rates), 1500.0, unit="/s"))
    most = max((who for who in spent if who not in ("idle", "others")), key=spent.get)
    report.notes.append(
        f"pipeline: {sum(spent.values()) - spent['idle']:.2f} of {sum(spent.values()):.2f} cores busy ("
        + ", ".join(f"{who} {share:.2f}" for who, share in spent.items() if who != "idle")
        + f"), most of it {most}; processor time of a message: " + ", ".join(f"{who} {cost:.2f} ms" for who, cost in each.items()))
    report.tables.append([["queued", "workers", "a second", "ms a message", "most memory of the workers"], *(
        [f"{one['messages']:,}", str(one["workers"]), f"{one['rate']:,.0f}", f"{one['milliseconds']:.2f}", f"{one['peak_resident_mb']:,.0f} MB"] for one in growth)])
    report.notes.append(f"database: {stored:,.0f} bytes a verdict, tables and indexes")
    report.raw["pipeline"] = {"database_bytes_per_verdict": stored, "rates": rates, "cores": costs, "milliseconds_per_message": each, "growth": growth,
                              "settings": PIPELINE, "bytes_per_object": kilobytes * 1e3}


def drain(stage, edges: Edges, keys: list[str], count: int, name: str, workers: int = 1) -> tuple[float, dict[str, float], float]:
    """Starts workers on a full queue; gives their outcomes a second and the cores that each process used, between a
    tenth and nine tenths of the way, and their peak memory in MB, decoders not included."""
    edges.publish(IMAGES, keys, f"pipeline-{time.time():.0f}-{name}", count)
    samples = []
    with contextlib.ExitStack() as running:
        scripted = [running.enter_context(Worker(stage.assay, edges, stage.logs / f"pipeline-{number}.log", **PIPELINE)) for number in range(workers)]
        done = 0
        while done < count:
            for one in scripted:
                one.check()
            time.sleep(0.1)
            done = edges.waiting(RESULTS)
            if 0.1 * count <= done <= 0.9 * count or (done and not samples):
                samples.append((time.perf_counter(), done, edges.processor_seconds(*(one.pid for one in scripted))))
        resident = sum(one.peak_resident_mb() for one in scripted)
    edges.purge()
    (began, first, before), (ended, last, after) = samples[0], samples[-1]
    seconds = ended - began
    cores = {who: (after[who] - before[who]) / seconds for who in after}
    others = cores.pop("busy") - sum(share for who, share in cores.items() if who != "idle")
    cores |= {"others": others, "idle": cores.pop("idle")}
    rate = (last - first) / seconds
    stage.say(f"pipeline, {count} messages, {workers} at work: {rate:.0f}/s; cores used: " + ", ".join(f"{who} {share:.2f}" for who, share in cores.items()))
    return rate, cores, resident


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
