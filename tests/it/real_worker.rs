//! The worker as a process, on real servers.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::{FailureCode, Outcome};
use sqlx::Row;

use crate::support::children::Child;
use crate::support::images::{self, Inks};
use crate::support::site::{Site, request};

/// The worker's `grace_s` unless told otherwise.
const GRACE: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_submissions_outlive_two_kills_of_the_worker() {
    const SUBMISSIONS: usize = 2_000;
    let site = Site::open().await;
    let mut good = Vec::new();
    for number in 0..20_u8 {
        good.push(site.put(&format!("{number}.bmp"), images::bmp(200 + u32::from(number), number * 12)).await);
    }
    let text = site.put("text.png", b"no image at all".to_vec()).await;
    let mut ids = BTreeSet::new();
    let mut requests = Vec::new();
    for number in 0..SUBMISSIONS {
        let id = format!("s-{number}");
        let key = match number % 40 {
            11 => text.as_str(),
            31 => "nowhere.jpg",
            n => &good[n % good.len()],
        };
        requests.push(request(&id, key));
        if number % 10 == 4 {
            requests.push(request(&id, key));
        }
        ids.insert(id);
    }
    let unreadable = SUBMISSIONS / 100;
    site.submit(requests).await;
    site.submit_raw((0..unreadable).map(|number| format!("{{unreadable {number}").into_bytes())).await;

    for recorded in [SUBMISSIONS / 5, SUBMISSIONS / 2] {
        let worker = site.worker(&[]).await;
        site.until_recorded(recorded).await;
        assert!(site.recorded().await < SUBMISSIONS, "the kill comes on the way");
        let decoders = worker.decoders();
        assert!(!decoders.is_empty());
        worker.kill();
        decoders.into_iter().for_each(Child::wait_until_gone);
    }
    let mut worker = site.worker(&[]).await;
    site.until_recorded(SUBMISSIONS).await;
    let published = site.published(&ids).await;
    worker.terminate();
    assert!(worker.ended(GRACE).await.success(), "{}", worker.log());

    assert_eq!(site.depth("images").await, 0);
    assert_eq!(site.depth("dead").await, unreadable);
    assert_eq!(published.keys().collect::<BTreeSet<_>>(), ids.iter().collect::<BTreeSet<_>>());
    for (id, outcomes) in &published {
        assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{id}: repeated publications say the same");
    }
    // One row each, in one of the two tables, under the id that was published.
    let tables = [("verdicts", "verdict_id"), ("failures", "failure_id")]
        .map(|(table, id)| format!("SELECT submission_id, {id}::text AS id FROM {}.{table}", site.name));
    let rows = site.query(&tables.join(" UNION ALL ")).await;
    assert_eq!(rows.len(), SUBMISSIONS);
    for row in &rows {
        let submission: String = row.get("submission_id");
        assert_eq!(row.get::<String, _>("id"), published[&submission][0].id().to_string());
    }
    let failed = |code: FailureCode| {
        published
            .values()
            .filter(|outcomes| matches!(&outcomes[0], Outcome::Failure(failure) if failure.code == code))
            .count()
    };
    assert_eq!(failed(FailureCode::UnsupportedFormat), SUBMISSIONS / 40);
    assert_eq!(failed(FailureCode::ObjectNotFound), SUBMISSIONS / 40);
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_drains_and_nothing_recorded_comes_again() {
    const SUBMISSIONS: usize = 3_000;
    let site = Site::open().await;
    let key = site.put("a.bmp", images::bmp(256, 80)).await;
    let ids: BTreeSet<_> = (0..SUBMISSIONS).map(|number| format!("s-{number}")).collect();
    site.submit(ids.iter().map(|id| request(id, &key))).await;

    let mut worker = site.worker(&[]).await;
    site.until_recorded(200).await;
    worker.terminate();
    let ended = worker.ended(GRACE).await;
    assert_eq!(ended.code(), Some(0), "{}", worker.log());
    let recorded = site.recorded().await;
    assert!(recorded < SUBMISSIONS, "the signal came under load");
    assert_eq!(site.depth("images").await, SUBMISSIONS - recorded, "what is not recorded is back, and nothing else");

    let second = site.worker(&[]).await;
    site.until_recorded(SUBMISSIONS).await;
    let published = site.published(&ids).await;
    assert!(published.values().all(|outcomes| outcomes.len() == 1), "every outcome was published once");
    assert_eq!(second.metric("assay_republished_total"), 0.0);
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_under_the_bound_whatever_is_queued() {
    const REFERENCES: usize = 10_000;
    const ENOUGH: usize = 400;
    let site = Site::open().await;
    let photo = images::jpeg(4000, 3000, Inks::Rgb);
    let (object, crop) = (photo.len() as u64, 192 << 10);
    let key = site.put("12mp.jpg", photo).await;
    site.submit((0..REFERENCES).map(|number| request(&format!("s-{number}"), &key))).await;

    // Limits that leave no room for carelessness: the formula of configs/default.toml with these numbers, and
    // without its term for the messages, which are 100 bytes here.
    let (slots, decoders, decoded, batch) = (6, 2, 32 << 20, 4);
    let bound = slots * (object + crop) + decoders * (decoded + object + (64 << 20)) + 4 * batch * crop;
    let settings = [
        ("ASSAY__OBJECTS__MAX_BYTES", object.to_string()),
        ("ASSAY__IMAGING__MAX_DECODED_BYTES", decoded.to_string()),
        ("ASSAY__WORKER__INTAKE_SLOTS", slots.to_string()),
        ("ASSAY__WORKER__DECODE_THREADS", decoders.to_string()),
        ("ASSAY__WORKER__BATCH_SIZE", batch.to_string()),
        ("ASSAY__WORKER__REUSE", "false".to_string()),
    ];
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    // A worker that has nothing to do shows what the model, libtorch and the connections take.
    let elsewhere = Site::open().await;
    let idle = elsewhere.worker(&settings).await.memory("VmHWM");
    elsewhere.close().await;
    let worker = site.worker(&settings).await;
    site.until_recorded(ENOUGH).await;
    let peak = worker.memory("VmHWM");
    assert!(peak - idle < bound, "{} MiB above an idle worker, more than {} MiB", (peak - idle) >> 20, bound >> 20);
    let judged = site.query(&format!("SELECT count(*) AS rows FROM {}.verdicts", site.name)).await;
    assert!(judged[0].get::<i64, _>("rows") >= ENOUGH as i64, "they were decoded, not refused");
    worker.kill();
    site.close().await;
}
