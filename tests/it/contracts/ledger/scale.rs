//! What a ledger of many rows costs, printed: not a test of anything, and run by hand.
//!
//! `ASSAY_LEDGER_ROWS=10000000 cargo test --release --test it -- --ignored --nocapture ledger_of_many_rows`

use std::time::{Duration, Instant};

use database::migrate;
use domain::{Outcome, SubmissionKey};
use erasure::{Ended, What};
use ledger::postgres::Postgres;
use ledger::{Content, Ledger};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::postgres::raw;
use crate::support::outcomes::{key, verdict_of};
use crate::support::servers::{in_own_schema, servers};

/// Outcomes of a batch, and batches that are timed.
const BATCH: usize = 64;
const BATCHES: usize = 1500;
/// Rows that one statement makes.
const FILL: u64 = 250_000;

/// Rows as a worker would have written them since Monday: 64 with the same time, other names, digests and places.
const ROWS: &str = "
WITH given AS MATERIALIZED (
    SELECT
        i, 'upload-' || i AS submission_id, md5('o' || i)::uuid AS id, i % 3 AS d,
        date_trunc('week', now()) + ((i / 64) * 64.0 / $TOTAL) * (now() - date_trunc('week', now())) AS at
    FROM generate_series($FROM::bigint, $TO::bigint) AS i
), won AS (
    INSERT INTO outcomes (recorded_at, generation, outcome_id, image_binding, kind, tenant, submission_id)
    SELECT at, 0, id, md5('b' || i)::uuid, 0, 'acme', submission_id FROM given
)
INSERT INTO verdicts
SELECT
    at, at, 0, id, NULL, v.synthetic, v.logit, sha256(('c' || i)::bytea), v.model_sha256, 'acme', given.submission_id,
    (ARRAY['real', 'synthetic', 'uncertain'])[d + 1], CASE d WHEN 1 THEN 'midjourney' END, v.model_version, v.bucket,
    'u/2026/11/30/' || i || '.jpg', 'live', v.remainder
FROM given JOIN template AS v ON v.submission_id = CASE d WHEN 1 THEN 'named' ELSE 'unnamed' END";

/// As the workers write it, about every third with a generator.
fn new_verdict(number: usize) -> Outcome {
    let mut verdict = verdict_of(key(&format!("timed-{number}"), 0));
    verdict.image.sha256 = format!("{number:064x}");
    verdict.image.key = format!("u/2026/12/01/{number}.jpg");
    if !number.is_multiple_of(3) {
        verdict.generator = None;
    }
    Outcome::Verdict(Box::new(verdict))
}

fn quantile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
}

/// How long each kind of question took.
#[derive(Default)]
struct Times([Vec<Duration>; 4]);

const QUESTIONS: [&str; 4] =
    ["insert of 64", "look-up of 64 new keys", "look-up of 1 known key", "reuse of 64 contents"];

impl Times {
    /// A batch of what is new, of keys that are there and that are not, and of contents.
    async fn take(&mut self, ledger: &Postgres, batch: usize, rows: u64) {
        // Beyond what is there.
        let outcomes: Vec<Outcome> = (0..BATCH).map(|one| new_verdict(1_000_000 + batch * BATCH + one)).collect();
        let keys: Vec<SubmissionKey> = outcomes.iter().map(Outcome::key).collect();
        let started = Instant::now();
        assert!(ledger.find(&keys).await.unwrap().iter().all(|found| found.standing.is_none()));
        self.0[1].push(started.elapsed());
        let started = Instant::now();
        ledger.record(&outcomes).await.unwrap();
        self.0[0].push(started.elapsed());
        // Spread over all there is, one at a time: as a repeated message asks.
        let spread = (batch as u64 * 7919 + 1) * 104_729 % rows.max(1);
        let asked = if rows > 0 { key(&format!("upload-{spread}"), 0) } else { keys[0].clone() };
        let started = Instant::now();
        let found = ledger.find(&[asked]).await.unwrap().remove(0);
        self.0[2].push(started.elapsed());
        assert!(found.standing.is_some());
        let contents: Vec<_> =
            keys.iter().map(|_| Content { tenant: "acme".into(), sha256: "ab".repeat(32) }).collect();
        let model = verdict_of(key("m", 0)).model;
        let started = Instant::now();
        ledger.scored(&contents, &model, Duration::from_secs(30 * 86_400)).await.unwrap();
        self.0[3].push(started.elapsed());
    }
}

/// Side by side, so that what slows the machine slows both.
#[allow(clippy::print_stdout, reason = "what is measured is for the person who runs it")]
async fn compare(empty: &Postgres, full: &Postgres, rows: u64) {
    let (mut of_empty, mut of_full) = (Times::default(), Times::default());
    for batch in 0..BATCHES {
        if batch % 2 == 0 {
            of_empty.take(empty, batch, 0).await;
        }
        of_full.take(full, batch, rows).await;
        if batch % 2 == 1 {
            of_empty.take(empty, batch, 0).await;
        }
    }
    for ((name, empty), full) in QUESTIONS.iter().zip(&mut of_empty.0).zip(&mut of_full.0) {
        let [before, after] = [empty, full].map(|times| [0.5, 0.99].map(|share| quantile(times, share)));
        println!(
            "{name:<24} p50 {:7.2} ms, empty {:7.2} ms ({:.2}×)   p99 {:7.2} ms, empty {:7.2} ms ({:.2}×)",
            after[0],
            before[0],
            after[0] / before[0],
            after[1],
            before[1],
            after[1] / before[1]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn ledger_of_many_rows() {
    let rows: u64 = std::env::var("ASSAY_LEDGER_ROWS").map_or(1_000_000, |rows| rows.parse().unwrap());
    in_own_schema(move |settings| async move {
        migrate(&settings).await.unwrap();
        let ledger = Postgres::connect(&settings).await.unwrap();
        let (named, mut unnamed) = (verdict_of(key("named", 0)), verdict_of(key("unnamed", 0)));
        unnamed.generator = None;
        ledger.record(&[named, unnamed].map(|verdict| Outcome::Verdict(Box::new(verdict)))).await.unwrap();
        let mut raw = raw(&settings).await;
        raw.execute("CREATE TEMP TABLE template AS SELECT * FROM verdicts WHERE submission_id LIKE '%named'")
            .await
            .unwrap();
        let started = Instant::now();
        for from in (0..rows).step_by(FILL as usize) {
            let to = (from + FILL).min(rows) - 1;
            let sql = ROWS.replace("$TOTAL", &rows.to_string()).replace("$FROM", &from.to_string());
            raw.execute(AssertSqlSafe(sql.replace("$TO", &to.to_string()))).await.unwrap();
        }
        println!("{rows} rows in {:.0} s", started.elapsed().as_secs_f64());
        raw.execute("VACUUM ANALYZE outcomes, verdicts").await.unwrap();
        // What was just filled in is no longer on its way to the disk.
        let mut url = url::Url::parse(servers().database_url()).unwrap();
        url.set_username("postgres").unwrap();
        PgConnection::connect(url.as_str()).await.unwrap().execute("CHECKPOINT").await.unwrap();
        let full = Postgres::connect(&settings).await.unwrap();
        Box::pin(in_own_schema(move |other| async move {
            migrate(&other).await.unwrap();
            compare(&Postgres::connect(&other).await.unwrap(), &full, rows).await;
        }))
        .await;
        let mut erased: Vec<Duration> = Vec::new();
        for number in 0..20 {
            let started = Instant::now();
            let submission = What::Submission(format!("upload-{}", number * 7919 % rows));
            assert!(matches!(crate::erasing::erase(&settings, submission).await, Ended::Erased(_)));
            erased.push(started.elapsed());
        }
        println!(
            "{rows}: erasing one submission    p50 {:7.2} ms   max {:7.2} ms",
            quantile(&mut erased, 0.5),
            quantile(&mut erased, 1.0)
        );
        let mut all = 0.0;
        for size in ledger.sizes().await.unwrap() {
            let each = |bytes: i64| bytes as f64 / rows as f64;
            println!(
                "{:<10} {:6.0} bytes a verdict in the table, {:6.0} in indexes",
                size.table,
                each(size.table_bytes),
                each(size.index_bytes)
            );
            all += each(size.table_bytes + size.index_bytes);
        }
        println!("{all:.0} bytes a verdict");
    })
    .await;
}
