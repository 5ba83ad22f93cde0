//! PgBouncer in transaction mode before the database, as other programs than a test see it.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use sqlx::Row;

use crate::support::images;
use crate::support::servers::servers;
use crate::support::site::{Site, request};

const POOLED: &str = "POOLED_DATABASE_URL";

fn run(command: &mut Command, arguments: &[&str]) -> Output {
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_behind_a_pooler_in_transaction_mode() {
    const SUBMISSIONS: usize = 300;
    let site = Site::open().await;
    let settings = [("ASSAY__DATABASE__URL", servers().other(POOLED)), ("ASSAY__DATABASE__POOLER", "transaction")];
    // Its own tables are made by way of the pooler too.
    site.query(&format!("DROP SCHEMA {} CASCADE", site.name)).await;
    for _ in 0..3 {
        let migrated = run(site.command().envs(settings), &["migrate"]);
        assert!(migrated.status.success(), "{}", said(&migrated));
    }
    let doctor = said(&run(site.command().envs(settings), &["doctor"]));
    assert!(doctor.contains("answers and is migrated"), "{doctor}");

    let key = site.put("a.bmp", images::bmp(256, 80)).await;
    let ids: BTreeSet<_> = (0..SUBMISSIONS).map(|number| format!("s-{number}")).collect();
    site.submit(ids.iter().map(|id| request(id, &key))).await;
    let mut worker = site.worker(&settings).await;
    site.until_recorded(SUBMISSIONS).await;
    assert_eq!(site.published(&ids).await.len(), SUBMISSIONS);
    worker.terminate();
    assert!(worker.ended(Duration::from_secs(60)).await.success(), "{}", worker.log());
    for words in ["prepared statement", "does not exist", "trying again"] {
        assert!(!worker.log().contains(words), "{words}: {}", worker.log());
    }
    let verdict = run(site.command().envs(settings), &["verdict", "--tenant", "default", "s-7"]);
    assert!(verdict.status.success(), "{}", said(&verdict));
    assert_eq!(site.depth("dead").await, 0);
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_nobody_named_is_found_out_before_it_loses_the_schema() {
    let site = Site::open().await;
    for command in [&["doctor"][..], &["status"], &["worker"]] {
        let output = run(site.command().env("ASSAY__DATABASE__URL", servers().other(POOLED)), command);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {}", said(&output));
        assert!(said(&output).contains("database.pooler = \"transaction\""), "{command:?}: {}", said(&output));
    }
    // Migrations are one transaction, which no pooler divides.
    let migrated = run(site.command().env("ASSAY__DATABASE__URL", servers().other(POOLED)), &["migrate"]);
    assert!(migrated.status.success(), "{}", said(&migrated));
    let strays = site.query("SELECT count(*) AS tables FROM pg_tables WHERE schemaname = 'public'").await;
    assert_eq!(strays[0].get::<i64, _>("tables"), 0, "nothing is written elsewhere");
    site.close().await;
}
