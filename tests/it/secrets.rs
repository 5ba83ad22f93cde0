//! Passwords and keys stay where they were written: nothing prints them, whatever goes wrong and however much is logged.

use std::process::Stdio;
use std::sync::Arc;

use assay::config::Config;
use futures_util::{StreamExt, stream};

use crate::support::servers::{servers, unique};
use crate::support::site::Site;

/// Looks for a secret as text, and as the numbers of its bytes.
pub fn never_says(what: &str, said: &str, secret: &str) {
    let numbers = secret.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    for form in [secret, numbers.as_str()] {
        if let Some(at) = said.find(form) {
            let line = said[..at].lines().last().unwrap_or_default();
            panic!("{what} says a secret, after: {line}");
        }
    }
}

/// What talks to a server.
const COMMANDS: &[&[&str]] = &[
    &["doctor"],
    &["doctor", "--json"],
    &["migrate"],
    &["results", "--json", "--timeout", "1"],
    &["enqueue", "--prefix", "s3://uploads/no-such-prefix/", "--json"],
    &["worker"],
];
/// Enough for a setting that can't be read.
const READERS: &[&[&str]] = &[&["doctor", "--json"], &["migrate"]];
/// Cases at a time.
const WIDTH: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn no_error_contains_a_secret() {
    let site = Arc::new(Site::open().await);
    let secret = unique("hush");
    let with = |url: &str| {
        let mut url = url::Url::parse(url).unwrap();
        url.set_password(Some(&secret)).unwrap();
        url.to_string()
    };
    let broker = with(servers().rabbitmq_url());
    let (by_tls, ledger) = (with(servers().other("ASSAY__BROKER__URL")), with(servers().database_url()));
    let away = |url: &str| {
        let mut url = url::Url::parse(url).unwrap();
        url.set_port(Some(1)).unwrap();
        url.to_string()
    };
    let refused = [
        ("ASSAY__BROKER__URL", broker.clone()),
        ("ASSAY__BROKER__URL", away(&broker)),
        ("ASSAY__BROKER__URL", by_tls),
        ("ASSAY__DATABASE__URL", ledger.clone()),
        ("ASSAY__DATABASE__URL", away(&ledger)),
        ("AWS_SECRET_ACCESS_KEY", secret.clone()),
        ("AWS_SESSION_TOKEN", secret.clone()),
    ];
    let unreadable = [
        ("ASSAY__OBJECTS__ENDPOINT", "http://key:PASSWORD@127.0.0.1:1"),
        ("ASSAY__BROKER__PASSWORD", "PASSWORD"),
        // A URL where none is due.
        ("ASSAY__DATABASE__CONNECTIONS", "postgres://user:PASSWORD@h/d"),
        ("ASSAY__BROKER__TENANTS", "amqp://user:PASSWORD@h/"),
        ("ASSAY__BROKER", "amqp://user:PASSWORD@h/"),
        ("ASSAY__BROKER__URL", "amqp//user:PASSWORD@h/"),
        ("ASSAY__BROKER__URL", "http://user:PASSWORD@h/"),
        ("ASSAY__BROKER__URL", "amqp://user:PASSWORD@"),
        ("ASSAY__BROKER__URL", "amqp://user:PASSWORD@h:port/"),
        ("ASSAY__BROKER__URL", "amqp://127.0.0.1:1#PASSWORD@h/"),
        ("ASSAY__BROKER__URL", "amqp://127.0.0.1:1/PASSWORD@h/"),
        ("ASSAY__BROKER__URL", "amqp://127.0.0.1:1?PASSWORD@h/"),
        ("ASSAY__BROKER__URL", "PASSWORD"),
        ("ASSAY__DATABASE__URL", "postgres//user:PASSWORD@h/"),
        ("ASSAY__DATABASE__URL", "mysql://user:PASSWORD@127.0.0.1:1/"),
        ("ASSAY__DATABASE__URL", "postgres://user:PASSWORD@h:port/"),
        ("ASSAY__DATABASE__URL", "postgres://127.0.0.1:1#PASSWORD@h/d"),
        ("ASSAY__DATABASE__URL", "postgres://127.0.0.1:1/PASSWORD@h/d"),
        ("ASSAY__DATABASE__URL", "postgres://u:PASSWORD@h/d?sslmode=often"),
        ("ASSAY__DATABASE__URL", "postgres://u:PASSWORD@h/d?sslrootcert=/no/such/file"),
        ("ASSAY__DATABASE__URL", "PASSWORD"),
    ];
    let unreadable = unreadable.map(|(key, value)| (key, value.replace("PASSWORD", &secret)));
    let cases = refused.map(|case| (case, COMMANDS)).into_iter().chain(unreadable.map(|case| (case, READERS)));
    let run = |((key, value), commands): ((&'static str, String), &'static [&'static [&'static str]])| {
        let (site, secret) = (site.clone(), secret.clone());
        let all = move || commands.iter().filter(|arguments| fails(&site, arguments, key, &value, &secret)).count();
        async move { tokio::task::spawn_blocking(all).await.unwrap() }
    };
    let failures: Vec<usize> = stream::iter(cases).map(run).buffered(WIDTH).collect().await;
    assert!(failures.iter().all(|&failures| failures > 0), "each makes something fail: {failures:?}");
    Arc::into_inner(site).unwrap().close().await;
}

/// Runs a command with one setting that is wrong and everything logged; whether it failed. It never says the secret.
fn fails(site: &Site, arguments: &[&str], key: &str, value: &str, secret: &str) -> bool {
    let mut command = site.command();
    command.args(arguments).env("ASSAY__LOG__LEVEL", "trace,lapin=trace").env("ASSAY__DATABASE__TIMEOUT_S", "1");
    command.env("ASSAY__ADMIN__LISTEN", "").env(key, value).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    never_says(&format!("{arguments:?} with {key}={value}"), &String::from_utf8_lossy(&said), secret);
    !output.status.success()
}

#[test]
fn no_error_about_a_configuration_file_and_no_debug_output_contains_a_secret() {
    let path = std::env::temp_dir().join(unique("secrets"));
    let secret = unique("hush");
    let load = |file: &str| {
        std::fs::write(&path, file.replace("PASSWORD", &secret)).unwrap();
        Config::load(Some(&path))
    };
    for wrong in [
        "[broker]\nurl = \"amqp://user:PASSWORD@h\nprefetch = 1\n",
        "[broker]\nurl = amqp://user:PASSWORD@h\n",
        "[objects]\nsecret = 'PASSWORD",
        "broker = \"amqp://user:PASSWORD@h\"\n",
        "[broker]\nurl = [\"amqp://user:PASSWORD@h\"]\n",
        "[database]\nurl = {password = \"PASSWORD\"}\n",
        "[database]\npassword = \"PASSWORD\"\n",
        "[database]\nconnections = \"postgres://user:PASSWORD@h/d\"\n",
        "[broker]\ntopology = \"amqp://user:PASSWORD@h\"\n",
        "[objects]\nendpoint = \"http://key:PASSWORD@h\"\n",
    ] {
        let error = load(wrong).unwrap_err();
        never_says(wrong, &format!("{error} {error:?}"), &secret);
    }
    let config =
        load("[broker]\nurl = \"amqp://u:PASSWORD@h\"\n[database]\nurl = \"postgres://u:PASSWORD@h/d\"\n").unwrap();
    never_says("Debug", &format!("{config:?} {config:#?} {:?}", config.plan()), &secret);
    std::fs::remove_file(path).unwrap();
}
