//! What administrators lay on the queues by policy is found, by RabbitMQ's management plugin itself.

use broker::Settings;
use broker::rabbit::{policies, survey};
use broker::topology::Topology;

use crate::support::chaos::{Chaos, chaos};
use crate::support::rabbit::{self, until};
use crate::support::site::Site;

/// After the ports of the set.
const OFFSET: u16 = 20;

/// Starts the plugin on this node, until it is started again; gives its address.
async fn management(server: &Chaos) -> String {
    let port = url::Url::parse(server.rabbitmq_url()).unwrap().port().unwrap() + OFFSET;
    let script = format!(
        "application:set_env(rabbitmq_management, tcp_config, [{{port, {port}}}, {{ip, \"127.0.0.1\"}}], [{{persistent, true}}]), \
         [code:add_pathz(Path) || Path <- filelib:wildcard(\"/usr/lib/rabbitmq/lib/*/plugins/*/ebin\")], \
         rabbit:start_apps([rabbitmq_management])."
    );
    server.rabbitmqctl(["eval", &script]).await;
    format!("http://127.0.0.1:{port}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_changes_a_queue_is_found_and_who_may_not_ask_is_told_how() {
    let server = chaos().await;
    let settings = Settings { management_url: management(&server).await, ..rabbit::settings(server.rabbitmq_url()) };
    // Declares the queues.
    survey(&settings).await.unwrap();
    until("the plugin knows the queues", || async { policies(&settings).await.is_ok() }).await;
    assert_eq!(policies(&settings).await.unwrap(), [""; 0]);

    let queues = Topology::new(&settings).queues();
    let pattern = format!("^{}", settings.prefix);
    let laid = r#"{"message-ttl": 60000, "queue-leader-locator": "balanced"}"#;
    server.rabbitmqctl(["set_policy", "short", &pattern, laid]).await;
    until("each queue but that of the outcomes has a remark", || async {
        policies(&settings).await.unwrap().len() == queues.len() - 1
    })
    .await;
    let found = policies(&settings).await.unwrap();
    for remark in &found {
        assert!(remark.contains("message-ttl = 60000") && remark.contains("\"short\""), "{remark}");
    }
    assert!(found.iter().any(|remark| remark.contains(&format!("{}.images", settings.prefix))));
    server.rabbitmqctl(["clear_policy", "short"]).await;

    // An AMQP user without the tag.
    server.rabbitmqctl(["add_user", "plain", "word"]).await;
    server.rabbitmqctl(["set_permissions", "plain", ".*", ".*", ".*"]).await;
    let url = server.rabbitmq_url().replace("assay:assay@", "plain:word@");
    let plain = Settings { url: url.into(), ..settings.clone() };
    let why = policies(&plain).await.unwrap_err().to_string();
    assert!(why.contains("set_user_tags") && !why.contains("word"), "{why}");
    server.rabbitmqctl(["delete_user", "plain"]).await;
    rabbit::delete(&settings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_plugin_doctor_says_so_and_finds_the_rest() {
    let site = Site::open().await;
    let doctor =
        site.command().arg("doctor").env("ASSAY__BROKER__MANAGEMENT_URL", "http://127.0.0.1:1").output().unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.status.success(), "{said}");
    assert!(said.contains("MIND: policies") && said.contains("broker.management_url"), "{said}");
    site.close().await;
}
