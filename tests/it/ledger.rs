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

fn settings_of(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_written_elsewhere_before_it_is_dropped_and_comes_back_from_there() {
    const ROWS: usize = 40;
    let site = Site::open().await;
    let key = site.put("a.bmp", images::bmp(256, 80)).await;
    let document = |number: usize| {
        let mut request = site::request(&format!("s{number}"), &key);
        request["metadata"] = serde_json::json!({"odd": "it's \"ü\" \\ \u{1f4f7}"});
        request
    };
    site.submit((0..ROWS).map(document)).await;
    let mut worker = site.worker(&[]).await;
    site.until_recorded(ROWS).await;
    worker.terminate();
    assert!(worker.ended(std::time::Duration::from_secs(60)).await.success());
    // As if it were recorded long ago.
    let schema = &site.name;
    site.query(&format!("SELECT {schema}.make_partition('verdicts', now() - interval '40 days')")).await;
    for table in ["outcomes", "verdicts"] {
        site.query(&format!("UPDATE {schema}.{table} SET recorded_at = recorded_at - interval '40 days'")).await;
    }
    let before =
        site.query(&format!("SELECT row_to_json(v)::text AS row FROM {schema}.verdicts v ORDER BY verdict_id")).await;

    let keep = |export: &str| {
        let days = ["VERDICTS", "FAILURES"].map(|kind| (format!("ASSAY__RETENTION__{kind}_DAYS"), "7".to_string()));
        days.into_iter().chain([("ASSAY__RETENTION__EXPORT".to_string(), export.to_string())]).collect::<Vec<_>>()
    };
    let maintain = |export: &str, arguments: &[&str]| {
        run(&site, &[&MAINTAIN[..], arguments].concat(), &settings_of(&keep(export)))
    };
    let (code, said) = maintain("uploads/ledger", &[]);
    assert!(code == 2 && said.contains("retention.export"), "{said}");
    let to = format!("s3://{}/{schema}/export", site::BUCKET);
    // Where it can't be written, nothing is dropped.
    let (code, said) = run(
        &site,
        &MAINTAIN,
        &[&settings_of(&keep(&to))[..], &[("ASSAY__OBJECTS__ENDPOINT", "http://127.0.0.1:9")]].concat(),
    );
    assert!(code == 3 && said.contains("objects.endpoint") && !said.contains("dropped"), "{said}");
    let (code, said) = maintain(&to, &["--dry-run"]);
    assert!(code == 0 && said.contains("would export and drop verdicts_p"), "{said}");
    let (code, said) = maintain(&to, &[]);
    assert!(
        code == 0
            && said.contains(&format!("exported {ROWS} rows of verdicts_p"))
            && said.contains("dropped verdicts_p"),
        "{said}"
    );

    let manifest = said.lines().find_map(|line| line.split_once("rows of verdicts_p")?.1.split_once(": ")).unwrap().1;
    let folder =
        manifest.strip_prefix(&format!("s3://{}/", site::BUCKET)).unwrap().strip_suffix("manifest.json").unwrap();
    let manifest: Value = serde_json::from_slice(&site.get(&format!("{folder}manifest.json")).await).unwrap();
    assert_eq!((&manifest["rows"], manifest["parts"].as_array().unwrap().len()), (&Value::from(ROWS), 1));
    let packed = site.get(&format!("{folder}{}", manifest["parts"][0]["name"].as_str().unwrap())).await;
    let mut lines = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut lines).unwrap();
    assert_eq!(lines.lines().count(), ROWS);
    // As docs/operators.md says.
    site.query(&format!("SELECT {schema}.make_partition('verdicts', now() - interval '40 days')")).await;
    for line in lines.lines() {
        let line = line.replace('\'', "''");
        site.query(&format!(
            "INSERT INTO {schema}.verdicts SELECT * FROM json_populate_record(NULL::{schema}.verdicts, '{line}')"
        ))
        .await;
    }
    let after =
        site.query(&format!("SELECT row_to_json(v)::text AS row FROM {schema}.verdicts v ORDER BY verdict_id")).await;
    let texts = |rows: &[sqlx::postgres::PgRow]| {
        rows.iter().map(|row| sqlx::Row::get::<String, _>(row, "row")).collect::<Vec<_>>()
    };
    assert_eq!(texts(&after), texts(&before));
    site.close().await;
}
