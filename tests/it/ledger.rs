//! `assay ledger` and the move by `assay migrate`, as processes.

use std::process::Output;

use serde_json::Value;

use crate::support::images;
use crate::support::site::{self, Site};

fn run(site: &Site, arguments: &[&str], settings: &[(&str, &str)]) -> (i32, String) {
    let Output { status, stdout, stderr } =
        site.command().args(arguments).envs(settings.iter().copied()).output().unwrap();
    let said = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (status.code().unwrap_or(-1), said.concat())
}

const MAINTAIN: [&str; 2] = ["ledger", "maintain"];

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_is_maintained_by_one_at_a_time_and_shown() {
    let site = Site::open().await;
    let (code, said) = run(&site, &MAINTAIN, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("4 partitions of verdicts and 4 of failures are ahead"), "{said}");
    // Another one holds the lease; one that was killed a while ago does not.
    let held = |minutes: i32| {
        format!(
            "INSERT INTO {}.leases VALUES ('ledger', 'somebody/1', 7, now() + interval '{minutes} minutes') \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at",
            site.name
        )
    };
    site.query(&held(5)).await;
    let (code, said) = run(&site, &MAINTAIN, &[]);
    assert!(code == 0 && said.contains("somebody/1") && said.contains("nothing was done"), "{said}");
    site.query(&held(-5)).await;
    let (code, said) = run(&site, &MAINTAIN, &[]);
    assert!(code == 0 && said.contains("ahead"), "{said}");

    let key = site.put("a.bmp", images::bmp(256, 80)).await;
    site.submit([site::request("one", &key)]).await;
    let _worker = site.worker(&[]).await;
    site.until_recorded(1).await;
    // Only one statement writes keys and rows, and a sample shows if anybody else does.
    let (_, said) = run(&site, &["doctor"], &[]);
    assert!(said.contains("4 partitions are ahead; 2 keys and rows belong together"), "{said}");
    site.query(&format!("UPDATE {}.outcomes SET recorded_at = recorded_at - interval '1 second'", site.name)).await;
    let (code, said) = run(&site, &["doctor"], &[]);
    assert!(code > 0 && said.contains("1 rows have no key and 1 keys no row"), "{said}");
    let (code, said) = run(&site, &["ledger", "show"], &[]);
    assert!(code == 0 && said.contains("verdicts: 5 partitions"), "{said}");
    let shown = site.command().args(["ledger", "show", "--json"]).output().unwrap();
    let document: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(document["partitions"].as_array().unwrap().len(), 10);
    assert_eq!(document["all_moved"], true);
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_maintaining_can_not_do_is_told() {
    let site = Site::open().await;
    let short = [("ASSAY__RETENTION__VERDICTS_DAYS", "3"), ("ASSAY__RETENTION__FAILURES_DAYS", "3")];
    let (code, said) = run(&site, &MAINTAIN, &short);
    assert!(code == 2 && said.contains("shorter than a partition") && said.contains("--partition-days 1"), "{said}");
    let (code, said) = run(&site, &["ledger", "maintain", "--partition-days", "1"], &short);
    assert_eq!(code, 0, "{said}");
    let (code, said) = run(&site, &MAINTAIN, &[("ASSAY__RETENTION__KEYS_DAYS", "30")]);
    assert!(code == 2 && said.contains("judged a second time"), "{said}");
    // What goes out of the ledger can't go through such a pooler.
    site.query(&format!("SELECT {0}.make_partition('verdicts', now() - interval '30 days')", site.name)).await;
    let pooled = [short[0], short[1], ("ASSAY__DATABASE__POOLER", "transaction")];
    let (code, said) = run(&site, &MAINTAIN, &pooled);
    assert!(code == 1 && said.contains("database.pooler"), "{said}");
    let (code, said) = run(&site, &["ledger", "maintain", "--dry-run"], &short);
    assert!(code == 0 && said.contains("would drop verdicts_p"), "{said}");
    let (code, said) = run(&site, &MAINTAIN, &short);
    assert!(code == 0 && said.contains("dropped verdicts_p"), "{said}");
    site.close().await;
}
