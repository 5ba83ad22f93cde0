//! Whom RabbitMQ, PostgreSQL and S3 let do what, by the very statements of docs/least-rights.md.

use std::time::Duration;

use artefact::Architecture;
use broker::RequestQueue;
use broker::rabbit::survey;
use broker::topology::Topology;
use database::Database;
use engine::untrained;

use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ErrorKind};
use objects::s3::S3;
use objects::{FetchError, Objects};
use registry::postgres::Postgres;
use registry::{Acquired, Leases, Run, RunState, TrainingRuns};
use secrecy::SecretString;
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor, Row as _};
use uuid::Uuid;

use crate::support::images;
use crate::support::outcomes::{key, request};
use crate::support::rabbit;
use crate::support::rights::{Rights, all_refused, block};
use crate::support::servers::{servers, unique};
use crate::support::site::{self, BUCKET};
use crate::support::within;

const ACCESS_REFUSED: u16 = 403;

fn reader_of_s3() -> S3 {
    let secret = SecretString::from(servers().other("AWS_SECRET_ACCESS_KEY"));
    S3::with_credentials(&servers().objects_settings(), servers().other("AWS_ACCESS_KEY_ID"), &secret)
}

#[test]
fn the_s3_identity_of_the_document_is_the_one_that_the_servers_have() {
    servers();
    let wanted: Value = serde_json::from_str(block("json", "assay-reader")).unwrap();
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".local/test/servers/s3/s3.config");
    let config: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let identities = config["identities"].as_array().unwrap();
    let found = identities.iter().find(|identity| identity["name"] == wanted["name"]).unwrap();
    assert_eq!(found["actions"], wanted["actions"]);
}

/// By TLS to all three, with everything logged: and no secret is in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_nothing_but_its_rights_judges_images() {
    let rights = Rights::grant().await;
    let site = &rights.site;
    let key = site.put("a.bmp", images::bmp(256, 80)).await;
    let settings = rights.settings("worker");
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let (checks, doctor) = rights.run("worker", ["doctor", "--json"]);
    let mut worker = site.worker(&settings).await;
    let keys = site.folder().join("keys");
    std::fs::write(&keys, format!("{key}\n{}/nowhere.jpg\n", site.name)).unwrap();
    let (_, enqueue) = rights.run("submitter", ["enqueue", "--keys", keys.to_str().unwrap(), "--bucket", BUCKET]);
    site.submit_raw([b"no request".to_vec()]).await;
    site.until_recorded(2).await;
    let (outcomes, results) = rights.run("reader", ["results", "--json", "--count", "2", "--timeout", "60"]);
    for word in ["\"decision\"", "object_not_found"] {
        assert_eq!(outcomes.matches(word).count(), 1, "{word}: {outcomes}");
    }
    let rows = site.query(&format!("SELECT submission_id FROM {}.outcomes WHERE kind = 0", site.name)).await;
    let (shown, _) = rights.run("viewer", ["verdict", rows[0].get("submission_id"), "--json"]);
    assert!(shown.contains("\"decision\""), "{shown}");
    worker.terminate();
    assert!(worker.ended(Duration::from_secs(25)).await.success(), "{}", worker.log());
    assert_eq!(site.depth("dead").await, 1);
    assert_eq!(site.depth("images").await, 0);
    let (dead, _) = rights.run("operator", ["dead", "list", "--json"]);
    assert!(dead.contains("no request"), "{dead}");
    assert!(rights.run("operator", ["dead", "replay", "--all"]).0.contains("1 replayed"));
    assert_eq!((site.depth("dead").await, site.depth("images").await), (0, 1));
    let (status, _) = rights.run("worker", ["status"]);
    assert!(status.contains("no workers"), "it may remove its own row: {status}");

    let secrets = [rights.password.as_str(), servers().other("AWS_SECRET_ACCESS_KEY")];
    for (what, said) in
        [("doctor", doctor + &checks), ("enqueue", enqueue), ("results", results), ("worker", worker.log())]
    {
        assert!(said.contains("TRACE"), "{what} was to log everything");
        for secret in secrets {
            crate::secrets::never_says(what, &said, secret);
        }
    }
    rights.revoke().await;
}

/// Before it takes a message: it could do nothing with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lacks_a_right_ends_at_once_and_names_it() {
    let rights = Rights::grant().await;
    let place = &rights.site;
    rights.as_superuser(&format!("REVOKE INSERT ON {}.verdicts FROM {}", place.name, rights.user("worker"))).await;
    let key = place.put("a.bmp", images::bmp(256, 80)).await;
    let settings = rights.settings("worker");
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    place.submit([site::request("one", &key)]).await;
    let mut worker = place.starting_worker(&settings);
    let ended = worker.ended(Duration::from_secs(30)).await;
    assert_eq!(ended.code(), Some(2), "{}", worker.log());
    for words in ["permission denied for table verdicts", "docs/least-rights.md"] {
        assert!(worker.log().contains(words), "{words}: {}", worker.log());
    }
    assert_eq!((place.depth("images").await, place.depth("dead").await), (1, 0));
    rights.revoke().await;
}

/// Nobody has maintained the ledger for too long: what is judged is recorded all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_nothing_but_its_rights_makes_the_partition_that_is_missing() {
    let rights = Rights::grant().await;
    let site = &rights.site;
    let partitions = format!("SELECT name FROM {}.ledger_partitions", site.name);
    for row in site.query(&partitions).await {
        site.query(&format!("DROP TABLE {}.{}", site.name, sqlx::Row::get::<String, _>(&row, "name"))).await;
    }
    let settings = rights.settings("worker");
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let key = site.put("a.bmp", images::bmp(256, 80)).await;
    let mut worker = site.worker(&settings).await;
    site.submit([site::request("one", &key)]).await;
    site.until_recorded(1).await;
    assert_eq!(site.query(&partitions).await.len(), 2, "of verdicts and of failures");
    // A temporary table of its own does not get in the way of the function that has the owner's rights.
    let mut connection = PgConnection::connect(&rights.login(servers().database_url(), "worker")).await.unwrap();
    let (schema, made) =
        (&site.name, "SELECT count(*) FROM pg_class WHERE relname LIKE 'verdicts_p%' AND relpersistence = 't'");
    let lure = format!(
        "CREATE TEMP TABLE ledger_layout AS SELECT 1 AS partition_days; SELECT {schema}.make_current_partitions()"
    );
    connection.execute(AssertSqlSafe(lure)).await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(made).fetch_one(&mut connection).await.unwrap(), 0);
    worker.terminate();
    assert!(worker.ended(Duration::from_secs(25)).await.success(), "{}", worker.log());
    rights.revoke().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trainer_with_nothing_but_its_rights_takes_labels_and_promotes_models() {
    let rights = Rights::grant().await;
    let folder = rights.site.folder();
    std::fs::write(folder.join("a.jpg"), b"a").unwrap();
    std::fs::write(folder.join("train.txt"), b"a.jpg,0,0,4,8\n").unwrap();
    let (imported, _) =
        rights.run("trainer", ["labels", "import", "--annotations", "train.txt", "--root", ".", "--json"]);
    assert!(imported.contains("\"new\":1"), "{imported}");
    assert!(rights.run("trainer", ["labels", "list"]).0.contains("photos"));
    assert!(rights.run("trainer", ["labels", "drain"]).0.starts_with("0 new"));
    let version = untrained::create(&folder.join("made"), Architecture::RESNET18, 0).unwrap().version;
    rights.run("trainer", ["model", "register", "made"]);
    rights.run("trainer", ["model", "promote", &version]);
    // A worker may read which one serves.
    assert!(rights.run("worker", ["model", "list"]).0.contains(&format!("* {version}")));

    let schema = rights.site.name.as_str();
    let mut connection = PgConnection::connect(&rights.login(servers().database_url(), "trainer")).await.unwrap();
    let of_table = |table: &str| {
        ["UPDATE #? SET actor = 'a'", "DELETE FROM #?", "TRUNCATE #?"].map(|statement| statement.replace('?', table))
    };
    let forbidden: Vec<String> = ["labels", "models", "promotions"].into_iter().flat_map(of_table).collect();
    all_refused(&mut connection, schema, &forbidden).await;
    let postgres = Postgres::on(
        &Database::connect(&database::Settings {
            url: rights.login(servers().database_url(), "trainer").into(),
            ..servers().database_settings(schema)
        })
        .await
        .unwrap(),
    );
    let lease = match postgres.acquire("retrain", "a test", Duration::from_secs(60)).await.unwrap() {
        Acquired::Mine(lease) => lease,
        held => panic!("{held:?}"),
    };
    let run =
        Run { id: Uuid::from_u128(1), state: RunState::Running, snapshot: None, candidate: None, report: Value::Null };
    postgres.record(&run, &lease).await.unwrap();
    drop(postgres);
    rights.revoke().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eraser_with_nothing_but_its_rights_erases() {
    let rights = Rights::grant().await;
    let (site, schema) = (&rights.site, rights.site.name.as_str());
    let settings = rights.settings("worker");
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let key = site.put("a.bmp", images::bmp(256, 80)).await;
    let _worker = site.worker(&settings).await;
    site.submit([site::request("one", &key)]).await;
    site.until_recorded(1).await;
    let (receipt, _) = rights.run("eraser", ["erase", "--tenant", "default", "--submission", "one", "--json"]);
    let receipt: Value = serde_json::from_str(&receipt).unwrap();
    assert_eq!(receipt["deleted"]["verdicts"], 1, "{receipt}");

    let mut eraser = PgConnection::connect(&rights.login(servers().database_url(), "eraser")).await.unwrap();
    let mut forbidden = vec![
        "DELETE FROM #erased".to_string(),
        "DELETE FROM #erasures".into(),
        "UPDATE #labels SET actor = 'a'".into(),
    ];
    for table in ["outcomes", "verdicts", "failures"] {
        forbidden.push(format!("UPDATE #{table} SET tenant = 'a'"));
        forbidden.push(format!("TRUNCATE #{table}"));
    }
    all_refused(&mut eraser, schema, &forbidden).await;
    let mut worker = PgConnection::connect(&rights.login(servers().database_url(), "worker")).await.unwrap();
    let forbidden = ["DELETE FROM #erased", "INSERT INTO #erased VALUES (now(), '', NULL)", "SELECT * FROM #erasures"];
    all_refused(&mut worker, schema, &forbidden.map(String::from)).await;
    rights.revoke().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_must_not_do_at_the_broker_is_refused() {
    let rights = Rights::grant().await;
    let topology = Topology::new(&rights.site.broker);
    let (live, results, verdicts) =
        (topology.request_queue(RequestQueue::Live), topology.results(), topology.verdicts());
    // Who sets up may declare it all.
    rabbit::delete(&rights.site.broker).await;
    survey(&rights.broker("setup")).await.unwrap();

    let worker = Login::new(&rights.broker("worker")).await;
    let none = FieldTable::default;
    let declare = |name: &str| (name.to_string(), QueueDeclareOptions::durable());
    for (name, options) in [declare(&format!("{}.new", rights.site.name)), declare("elsewhere")] {
        let channel = worker.channel().await;
        refused("declaring", channel.queue_declare(name.as_str().into(), options, none()).await);
    }
    let channel = worker.channel().await;
    refused("deleting a queue", channel.queue_delete(live.as_str().into(), QueueDeleteOptions::default()).await);
    let channel = worker.channel().await;
    let options = ExchangeDeleteOptions::default();
    refused("deleting the exchange", channel.exchange_delete(verdicts.as_str().into(), options).await);
    let channel = worker.channel().await;
    let (queue, exchange) = (live.as_str().into(), verdicts.as_str().into());
    refused("binding", channel.queue_bind(queue, exchange, "#".into(), QueueBindOptions::default(), none()).await);
    let channel = worker.channel().await;
    refused("purging the results", channel.queue_purge(results.as_str().into(), QueuePurgeOptions::default()).await);
    refused("publishing elsewhere", worker.publish("amq.topic", "x").await);
    refused("reading the results", worker.consume(&results).await);

    let submitter = Login::new(&rights.broker("submitter")).await;
    refused("publishing an outcome", submitter.publish(&verdicts, "verdict.acme.real").await);
    let channel = submitter.channel().await;
    refused("reading a queue", channel.basic_get(live.as_str().into(), BasicGetOptions { no_ack: false }).await);
    let reader = Login::new(&rights.broker("reader")).await;
    refused("reading a queue", reader.consume(&live).await);
    refused("submitting", reader.publish("", &live).await);
    rights.revoke().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_has_queues_under_its_own_name_and_nothing_else() {
    let rights = Rights::grant().await;
    let topology = Topology::new(&rights.site.broker);
    let (verdicts, results) = (topology.verdicts(), topology.results());
    let consumer = Login::new(&rights.broker("consumer_acme")).await;
    let channel = consumer.channel().await;
    let (durable, none) = (QueueDeclareOptions::durable(), FieldTable::default);
    channel.queue_declare("acme.outcomes".into(), durable, none()).await.unwrap();
    for topic in ["verdict.acme.*", "failure.acme.*", "rejected.acme"] {
        let (exchange, options) = (verdicts.as_str().into(), QueueBindOptions::default());
        channel.queue_bind("acme.outcomes".into(), exchange, topic.into(), options, none()).await.unwrap();
    }
    consumer.consume("acme.outcomes").await.unwrap();
    channel.queue_delete("acme.outcomes".into(), QueueDeleteOptions::default()).await.unwrap();

    let channel = consumer.channel().await;
    refused("another's queue", channel.queue_declare("globex.outcomes".into(), durable, none()).await);
    refused("reading the results", consumer.consume(&results).await);
    refused("reading a queue", consumer.consume(&topology.request_queue(RequestQueue::Live)).await);
    refused("publishing an outcome", consumer.publish(&verdicts, "verdict.acme.real").await);
    refused("submitting", consumer.publish("", &topology.request_queue(RequestQueue::Live)).await);
    let channel = consumer.channel().await;
    let options = ExchangeDeleteOptions::default();
    refused("deleting the exchange", channel.exchange_delete(verdicts.as_str().into(), options).await);
    rights.revoke().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_must_not_do_in_the_database_is_refused() {
    let rights = Rights::grant().await;
    let schema = rights.site.name.as_str();
    let mut connection = PgConnection::connect(&rights.login(servers().database_url(), "worker")).await.unwrap();
    let owned = ["outcomes", "verdicts", "failures", "models", "promotions", "labels", "_sqlx_migrations"];
    let mut forbidden = vec!["CREATE TABLE #new (a int)".to_string(), format!("DROP SCHEMA {schema} CASCADE")];
    for table in owned {
        forbidden.push(format!("DELETE FROM #{table}"));
        forbidden.push(format!("TRUNCATE #{table}"));
        forbidden.push(format!("DROP TABLE #{table}"));
        forbidden.push(format!("ALTER TABLE #{table} ADD COLUMN a int"));
    }
    let others = [
        "UPDATE #verdicts SET decision = 'real'",
        "UPDATE #outcomes SET tenant = 'a'",
        "INSERT INTO #promotions (id, version, kind, actor) VALUES (1, 'a', 'promotion', 'a')",
        "SELECT * FROM #labels",
        "SELECT #make_partitions(now())",
        "SELECT #make_partition('verdicts', now())",
        "SELECT #end_move()",
        "UPDATE #ledger_layout SET partition_days = 1",
        "DELETE FROM #ledger_move",
        "INSERT INTO #_sqlx_migrations VALUES (9, 'x', now(), true, '', 0)",
    ];
    forbidden.extend(others.map(String::from));
    all_refused(&mut connection, schema, &forbidden).await;
    rights.revoke().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_must_not_do_in_the_object_store_is_refused() {
    let (name, theirs) = (unique("kept"), unique("private").replace('_', "-"));
    let (admin, reader) = (servers().s3(), reader_of_s3());
    admin.client().create_bucket().bucket(&theirs).send().await.unwrap();
    for bucket in [BUCKET, &theirs] {
        admin.client().put_object().bucket(bucket).key(&name).body(b"kept".to_vec().into()).send().await.unwrap();
    }
    let mut image = request(key("a", 0)).image;
    image.key.clone_from(&name);
    assert_eq!(within(60, reader.fetch(&image, 100)).await.unwrap().bytes.as_ref(), b"kept");

    let client = reader.client();
    let denied = |what: &str, code: Option<&str>| assert_eq!(code, Some("AccessDenied"), "{what}");
    use aws_sdk_s3::error::ProvideErrorMetadata;
    let body = || b"changed".to_vec().into();
    denied("write", client.put_object().bucket(BUCKET).key(&name).body(body()).send().await.unwrap_err().code());
    denied("delete", client.delete_object().bucket(BUCKET).key(&name).send().await.unwrap_err().code());
    denied(
        "make a bucket",
        client.create_bucket().bucket(unique("b").replace('_', "-")).send().await.unwrap_err().code(),
    );
    denied("delete a bucket", client.delete_bucket().bucket(BUCKET).send().await.unwrap_err().code());
    image.bucket.clone_from(&theirs);
    let error = within(60, reader.fetch(&image, 100)).await.unwrap_err();
    assert!(matches!(error, FetchError::AccessDenied { .. }), "{error}");
    assert!(within(60, reader.check(&theirs)).await.is_err());

    image.bucket = BUCKET.into();
    assert_eq!(within(60, reader.fetch(&image, 100)).await.unwrap().bytes.as_ref(), b"kept");
    for bucket in [BUCKET, &theirs] {
        admin.client().delete_object().bucket(bucket).key(&name).send().await.unwrap();
    }
    admin.client().delete_bucket().bucket(&theirs).send().await.unwrap();
}

/// A connection to try forbidden things by, each on a channel of its own, which it costs.
struct Login(Connection);

impl Login {
    async fn new(settings: &broker::Settings) -> Login {
        use secrecy::ExposeSecret;
        Login(Connection::connect(settings.url.expose_secret(), ConnectionProperties::default()).await.unwrap())
    }

    async fn channel(&self) -> Channel {
        self.0.create_channel().await.unwrap()
    }

    async fn publish(&self, exchange: &str, routing_key: &str) -> lapin::Result<()> {
        let channel = self.channel().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        channel.basic_publish(exchange.into(), routing_key.into(), options, b"x", properties).await?.await.map(drop)
    }

    async fn consume(&self, queue: &str) -> lapin::Result<lapin::Consumer> {
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        self.channel().await.basic_consume(queue.into(), "".into(), options, none).await
    }
}

fn refused<T>(what: &str, answer: lapin::Result<T>) {
    let error = answer.err().unwrap_or_else(|| panic!("{what} is allowed"));
    let code = match error.kind() {
        ErrorKind::ProtocolError(error) => error.get_id(),
        other => panic!("{what}: {other:?}"),
    };
    assert_eq!(code, ACCESS_REFUSED, "{what}: {error}");
}
