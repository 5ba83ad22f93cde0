"""The same job as a small Python worker does it: pika, boto3, Pillow, PyTorch, psycopg.

    BENCH_HOW=eager_fp32|…|scripted BENCH_QUEUE=NAME python_worker.py

PyTorch runs in the way that BENCH_HOW names (peer_torch.py); `scripted` is no network at all but the mean brightness, as in our scripted
detector: what is left is the plumbing. One message after the other: fetch, decode, score, insert and commit, publish with a confirm, acknowledge. Fetching
and decoding the next image meanwhile would win it little: they take a fiftieth of the network's time.
"""

import hashlib
import json
import os
import pathlib
import time
import uuid

import boto3
import botocore.config
import numpy
import peer_pillow
import peer_torch
import pika
import psycopg
import torch

PREFETCH = 16
TABLE = """
CREATE SCHEMA IF NOT EXISTS bench_python;
CREATE TABLE IF NOT EXISTS bench_python.verdicts (submission_id text PRIMARY KEY, decision text NOT NULL, document json NOT NULL)
"""
INSERT = "INSERT INTO bench_python.verdicts VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"


class Scripted:
    """The brightness: from -4, black, to 4, white."""

    def logits(self, crops: numpy.ndarray) -> numpy.ndarray:
        return 8 * crops.mean((1, 2, 3)) / 255 - 4


class Worker:
    def __init__(self, environment: dict[str, str]):
        torch.set_num_threads(os.cpu_count() or 1)
        how = environment["BENCH_HOW"]
        if how == "scripted":
            self.network = Scripted()
        else:
            self.network = peer_torch.Peer(how, peer_torch.network(pathlib.Path(environment["BENCH_WEIGHTS"])))
        self.s3 = boto3.client("s3", endpoint_url=environment["ASSAY__OBJECTS__ENDPOINT"], region_name=environment["AWS_REGION"],
                               config=botocore.config.Config(s3={"addressing_style": "path"}))
        self.database = psycopg.connect(environment["ASSAY__DATABASE__URL"], autocommit=True)
        self.database.execute(TABLE)
        parameters = pika.URLParameters(environment["ASSAY__BROKER__URL"])
        parameters.heartbeat = 0
        self.channel = pika.BlockingConnection(parameters).channel()
        queue = environment["BENCH_QUEUE"]
        self.channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
        self.channel.confirm_delivery()
        self.channel.basic_qos(prefetch_count=PREFETCH)
        self.channel.basic_consume(queue, self.take)

    def take(self, channel, method, _properties, body: bytes) -> None:
        request = json.loads(body)
        image = request["image"]
        data = self.s3.get_object(Bucket=image["bucket"], Key=image["key"])["Body"].read()
        crop = peer_pillow.centre(data)
        logit = float(self.network.logits(crop[None])[0])
        synthetic = 1 / (1 + numpy.exp(-logit))
        decision = "synthetic" if synthetic >= 0.65 else "real" if synthetic < 0.35 else "uncertain"
        verdict = {
            "verdict_id": str(uuid.uuid4()), "submission_id": request["submission_id"], "decision": decision,
            "image": {**image, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)},
            "score": {"synthetic": synthetic, "logit": logit}, "decided_at": time.time(),
        }
        document = json.dumps(verdict)
        self.database.execute(INSERT, (request["submission_id"], decision, document))
        properties = pika.BasicProperties(content_type="application/json", delivery_mode=2, message_id=verdict["verdict_id"])
        channel.basic_publish("assay.verdicts", f"verdict.default.{decision}", document, properties, mandatory=True)
        channel.basic_ack(method.delivery_tag)


def main() -> None:
    worker = Worker(dict(os.environ))
    # Twice: what is compiled at the first call is settled in at the second.
    for _ in range(2):
        worker.network.logits(numpy.zeros((1, 256, 256, 3), numpy.uint8))
    print(json.dumps({"what": f"pika, boto3, Pillow, {os.environ['BENCH_HOW']} (batch 1, {torch.get_num_threads()} threads), psycopg; "
                              f"prefetch {PREFETCH}"}), flush=True)
    worker.channel.start_consuming()


if __name__ == "__main__":
    main()
