"""Jobs on the ledger are killed while workers write to it: what they do is done once, and in the end."""

import json
import pathlib
import uuid
from decimal import Decimal

import psycopg

from checker import ERASED, Submission
from scene import Scene

from . import row
from .beside import ended, killed, query

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The last migration before there were partitions.
BEFORE_PARTITIONS = 6
OLD_OUTCOMES, FEW_OLD_OUTCOMES = 40_000, 6000


@row("maintain-kill", "kill -9 of `assay ledger maintain`", full=60, short=3)
def maintain(scene: Scene) -> None:
    scene.settings |= {"ASSAY__RETENTION__VERDICTS_DAYS": "30", "ASSAY__RETENTION__FAILURES_DAYS": "30",
                       "ASSAY__RETENTION__DOCUMENTS_DAYS": "20", "ASSAY__RETENTION__KEYS_DAYS": "0"}
    worker = scene.worker()
    scene.load()
    for number in range(scene.trials):
        query(scene, f"SELECT {scene.schema}.make_partition(of, now() - interval '{40 + 7 * number % 300} days') "
                     "FROM unnest(ARRAY['verdicts', 'failures']) AS of")
        killed(scene, ["ledger", "maintain"], most=0.25)
        free_lease(scene, "ledger")
        scene.progress(number + 1)
    code, said = ended(scene, ["ledger", "maintain"])
    scene.claim(code == 0, f"the last one does the rest: {said}")
    old = query(scene, f"SELECT name FROM {scene.schema}.ledger_partitions WHERE upper < now() - interval '30 days'")
    left = query(scene, "SELECT relname FROM pg_class WHERE relkind = 'r' AND NOT relispartition AND relname LIKE 'verdicts\\_p%' "
                        f"AND relnamespace = '{scene.schema}'::regnamespace")
    scene.claim(not old and not left, f"nothing old is left: {old} {left}")
    scene.claim("4 partitions of verdicts and 4 of failures are ahead" in said, f"partitions are ahead: {said}")
    scene.recovers(worker)


@row("erase-kill", "kill -9 of `assay erase`, its messages sent again", full=60, short=3)
def erase(scene: Scene) -> None:
    worker = scene.worker()
    scene.load()
    for number in range(scene.trials):
        id = f"{scene.name}/erased-{number}"
        message = scene.composer.native(id, scene.rng.choice(scene.world.good))
        message.submissions[:] = [Submission(id, frozenset({ERASED}))]
        scene.send([message])
        asked = f"SELECT count(*) FROM {scene.schema}.outcomes WHERE submission_id = '{id}'"
        if not scene.until(lambda: query(scene, asked) == [(1,)], 30, "it is judged"):
            return
        arguments = ["erase", "--tenant", "default", "--submission", id]
        scene.send([message] * 3)
        killed(scene, arguments, most=0.15)
        scene.send([message] * 3)
        code, said = ended(scene, arguments)
        scene.claim(code == 0 and "nothing of it is left" in said, f"the same command ends it: {code} {said}")
        scene.claim(query(scene, asked) == [(0,)], "its key is gone")
        scene.send([message])
        scene.progress(number + 1)
    scene.recovers(worker)
    scene.rest()
    scene.wait_until_done()
    doubled = query(scene, f"SELECT count(*) FROM {scene.schema}.erasures WHERE submissions <> 1 OR finished_at IS NULL")
    scene.claim(doubled == [(0,)], f"each has one receipt, for one submission; not {doubled}")


@row("reverdict-kill", "kill -9 of `assay reverdict run`", full=40, short=3)
def reverdict(scene: Scene) -> None:
    worker = scene.worker()
    scene.load(200)
    scene.until_settled(worker, 150 if scene.short else 1500, seconds=60)
    scene.rest()
    scene.wait_until_done()
    # As if another model had judged; a message that came again now would be answered with that.
    scene.composer.recent = []
    query(scene, f"UPDATE {scene.schema}.verdicts SET model_version = 'older'")
    wanted = query(scene, f"SELECT count(*) FROM {scene.schema}.verdicts")
    scene.load()
    campaigns = f"SELECT campaign_id::text FROM {scene.schema}.campaigns"
    arguments = ["reverdict", "run", "--model", "older", "--reason", "chaos", "--window", "16"]
    for number in range(scene.trials):
        killed(scene, arguments, most=0.5)
        free_lease(scene, "reverdict")
        if created := query(scene, campaigns):
            arguments = ["reverdict", "run", "--campaign", created[0][0], "--window", "16"]
        scene.progress(number + 1)
    code, said = ended(scene, arguments)
    scene.claim(code == 0, f"the last one does the rest: {said}")
    scene.claim(len(query(scene, campaigns)) == 1, "there is one campaign")
    again = query(scene, f"SELECT count(*) FROM {scene.schema}.verdicts WHERE generation = 1 AND purpose = 'reverdict'")
    scene.details["judged_again"] = again[0][0]
    scene.claim(again == wanted, f"each of {wanted} verdicts is judged again, once; {again} are")
    awaited = query(scene, f"SELECT count(*) FROM {scene.schema}.campaign_items WHERE result IS NULL")
    scene.claim(awaited == [(0,)], f"every result is there; {awaited} are awaited")
    scene.recovers(worker)
    scene.rest()
    scene.wait_until_done()
    query(scene, f"UPDATE {scene.schema}.verdicts SET model_version = 'scripted'")
    # The checker knows one generation only, and what did not change is told to nobody here.
    for table in ("verdicts", "outcomes"):
        query(scene, f"DELETE FROM {scene.schema}.{table} WHERE generation = 1")


@row("migrate-kill", "kill -9 of `assay migrate`, which moves a ledger", full=40, short=3)
def migrate(scene: Scene) -> None:
    before_partitions(scene)
    documents = query(scene, f"SELECT submission_id, document::text FROM {scene.schema}.verdicts ORDER BY 1")
    worker = None
    for number in range(scene.trials):
        killed(scene, ["migrate"], most=0.9)
        if worker is None and query(scene, f"SELECT 1 FROM {scene.schema}._sqlx_migrations WHERE version = 12"):
            worker = scene.worker()
            scene.load()
        scene.progress(number + 1)
    code, said = ended(scene, ["migrate"])
    scene.claim(code == 0, f"the last one does the rest: {said}")
    if worker is None:
        worker = scene.worker()
        scene.load()
    scene.recovers(worker)
    scene.rest()
    scene.wait_until_done()
    moved = query(scene, f"SELECT submission_id, {scene.schema}.document(v)::text FROM {scene.schema}.verdicts v "
                         "WHERE submission_id LIKE 'old-%' ORDER BY 1")
    scene.details["moved"] = len(moved)
    scene.claim(parsed(moved) == parsed(documents), f"each of {len(documents)} is moved once, as it was; {len(moved)} are there")
    # The checker knows nothing of them.
    for table in ("verdicts", "outcomes"):
        query(scene, f"DELETE FROM {scene.schema}.{table} WHERE submission_id LIKE 'old-%'")


def parsed(rows: list[tuple]) -> list[tuple]:
    return [(id, json.loads(document, parse_int=Decimal, parse_float=Decimal)) for id, document in rows]


def before_partitions(scene: Scene) -> None:
    """A schema as the version before had it, with outcomes."""
    new = f"{scene.schema}_new"
    example = json.loads((ROOT / "docs" / "examples" / "verdict-real.json").read_text())
    with psycopg.connect(scene.reader.database) as database:
        database.execute(f"ALTER SCHEMA {scene.schema} RENAME TO {new}")
        database.execute(f"CREATE SCHEMA {scene.schema}")
        database.execute(f"SET LOCAL search_path = {scene.schema}")
        for path in sorted((ROOT / "migrations").glob("*.sql"))[:BEFORE_PARTITIONS]:
            database.execute(path.read_text())
        database.execute(f"CREATE TABLE _sqlx_migrations (LIKE {new}._sqlx_migrations INCLUDING ALL)")
        database.execute(f"INSERT INTO _sqlx_migrations SELECT * FROM {new}._sqlx_migrations WHERE version <= {BEFORE_PARTITIONS}")
        database.execute(f"DROP SCHEMA {new} CASCADE")
        keys, verdicts = [], []
        for number in range(FEW_OLD_OUTCOMES if scene.short else OLD_OUTCOMES):
            id = f"old-{number:05}"
            outcome = uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_DNS, "assay.outcome"), f"default\0{id}\0{0}")
            document = json.dumps(example | {"submission_id": id, "tenant": "default", "verdict_id": str(outcome)})
            keys.append((id, outcome))
            verdicts.append((id, outcome, document))
        with database.cursor() as cursor:
            cursor.executemany("INSERT INTO outcomes VALUES ('default', %s, 0, 'verdict', %s, now() - interval '3 days')", keys)
            cursor.executemany(
                "INSERT INTO verdicts (tenant, submission_id, generation, verdict_id, decision, synthetic, logit, model_version, model_sha256, "
                "bucket, object_key, image_sha256, purpose, decided_at, document) "
                "VALUES ('default', %s, 0, %s, 'real', 0, 0, '', '', '', '', '', 'live', now(), %s)", verdicts)


def free_lease(scene: Scene, name: str) -> None:
    """Time passes: nobody waits here for the lease of a command that was killed."""
    query(scene, f"UPDATE {scene.schema}.leases SET expires_at = now() WHERE name = '{name}'")
