//! Users and roles as docs/least-rights.md makes them, by its very statements.

use std::process::{Command, Stdio};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor};

use super::servers::{servers, unique};
use super::site::Site;

const DOCUMENT: &str = include_str!("../../../docs/least-rights.md");

const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// The one block of this language that holds a word.
pub fn block(language: &str, word: &str) -> &'static str {
    let blocks = DOCUMENT.split("```").skip(1).step_by(2);
    let mut found = blocks.filter_map(|block| block.strip_prefix(language)).filter(|block| block.contains(word));
    let block = found.next().unwrap_or_else(|| panic!("no {language} block with {word}"));
    assert!(found.next().is_none(), "two {language} blocks with {word}");
    block
}

/// Users and roles of one site, under names of its own.
pub struct Rights {
    pub site: Site,
    pub password: String,
}

impl Rights {
    pub async fn grant() -> Rights {
        // In the order of the document: the vhost and its users, the tables and queues, the grants.
        let (name, password) = (unique("site"), unique("hush"));
        let users = block("sh", "add_user").replace(r"assay\.", &format!(r"{name}\."));
        let users =
            users.replace("add_vhost assay", &format!("add_vhost {name}")).replace("-p assay ", &format!("-p {name} "));
        let users = users.replace("assay_", &format!("{name}_")).replace("PASSWORD", &password);
        let own = url::Url::parse(servers().rabbitmq_url()).unwrap();
        let own = format!("rabbitmqctl set_permissions -p {name} {} '.*' '.*' '.*'", own.username());
        rabbitmqctl(&format!("{users}\n{own}"));
        let rights = Rights { site: Site::in_vhost(&name).await, password };
        let grants = block("sql", "GRANT")
            .replace("SCHEMA assay", &format!("SCHEMA {name}"))
            .replace("FUNCTION assay.", &format!("FUNCTION {name}."));
        let grants = grants.replace(" assay.", &format!(" {name}.")).replace("assay_worker", &rights.user("worker"));
        let grants =
            grants.replace("assay_trainer", &rights.user("trainer")).replace("assay_viewer", &rights.user("viewer"));
        let grants = grants.replace("assay_eraser", &rights.user("eraser"));
        let grants = grants.replace("assay_campaigner", &rights.user("campaigner"));
        let grants = grants.replace("assay_policy", &rights.user("policy"));
        let grants = grants.replace("assay_console", &rights.user("console"));
        rights.as_superuser(&grants.replace("'PASSWORD'", &format!("'{}'", rights.password))).await;
        rights
    }

    pub fn user(&self, what: &str) -> String {
        format!("{}_{what}", self.site.name)
    }

    /// The URL with another login, of the broker's in the vhost of the site.
    pub fn login(&self, url: &str, user: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        url.set_username(&self.user(user)).unwrap();
        url.set_password(Some(&self.password)).unwrap();
        if url.scheme().starts_with("amqp") {
            url.set_path(&self.site.name);
        }
        url.to_string()
    }

    pub fn broker(&self, user: &str) -> broker::Settings {
        broker::Settings { url: self.login(servers().rabbitmq_url(), user).into(), ..self.site.broker.clone() }
    }

    /// What a worker, or a command, with the rights of `user` is told of the servers: all of it by TLS.
    pub fn settings(&self, user: &str) -> Vec<(&'static str, String)> {
        let other = |key: &'static str| (key, servers().other(key).to_string());
        vec![
            ("ASSAY__BROKER__URL", self.login(servers().other("ASSAY__BROKER__URL"), user)),
            ("ASSAY__BROKER__TOPOLOGY", "verify".into()),
            ("ASSAY__DATABASE__URL", self.login(servers().other("ASSAY__DATABASE__URL"), user)),
            other("ASSAY__BROKER__CA_FILE"),
            other("ASSAY__OBJECTS__ENDPOINT"),
            other("ASSAY__OBJECTS__CA_FILE"),
            other("AWS_ACCESS_KEY_ID"),
            other("AWS_SECRET_ACCESS_KEY"),
            // All that is ever said, to look for secrets in it.
            ("ASSAY__LOG__LEVEL", "trace,lapin=trace".into()),
            // For `assay review`: every verdict is drawn, one vote is enough, and counts at once.
            ("ASSAY__REVIEW__AUDIT_SHARE", "1".into()),
            ("ASSAY__REVIEW__DOUBLE_SHARE", "0".into()),
            ("ASSAY__REVIEW__UNDO_S", "0".into()),
        ]
    }

    /// Runs a command to its end; gives what it printed and what it logged.
    pub fn run<const N: usize>(&self, user: &str, arguments: [&str; N]) -> (String, String) {
        let mut command = self.site.command();
        let output = command.args(arguments).envs(self.settings(user)).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (out, log) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success(), "{arguments:?}: {out}{log}");
        (out, log)
    }

    pub async fn as_superuser(&self, sql: &str) {
        let mut url = url::Url::parse(servers().database_url()).unwrap();
        url.set_username("postgres").unwrap();
        let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
        // One test after the other: grants on the database itself are all one row of PostgreSQL's.
        let sql = format!("SELECT pg_advisory_lock(9471);\n{sql}");
        connection.execute(AssertSqlSafe(sql)).await.unwrap();
    }

    pub async fn revoke(self) {
        let users = [
            "setup",
            "worker",
            "console",
            "submitter",
            "reader",
            "consumer_acme",
            "operator",
            "trainer",
            "eraser",
            "campaigner",
            "scaler",
        ];
        let mut commands = vec![format!("rabbitmqctl delete_vhost {}", self.site.name)];
        commands.extend(users.map(|user| format!("rabbitmqctl delete_user {}", self.user(user))));
        for role in
            ["worker", "trainer", "viewer", "eraser", "campaigner", "policy", "console"].map(|user| self.user(user))
        {
            self.as_superuser(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
        }
        self.site.close().await;
        rabbitmqctl(&commands.join("\n"));
    }
}

/// Each of these statements, in which `#` stands for the schema, lacks a right.
pub async fn all_refused(connection: &mut PgConnection, schema: &str, statements: &[String]) {
    for statement in statements {
        let statement = statement.replace('#', &format!("{schema}."));
        let error = connection.execute(AssertSqlSafe(statement.clone())).await.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        assert_eq!(code, INSUFFICIENT_PRIVILEGE, "{statement}: {error}");
    }
}

fn rabbitmqctl(script: &str) {
    let function = "rabbitmqctl() { python3 deploy/local/servers.py ctl --dir .local/test \"$@\"; }";
    let output = Command::new("sh")
        .args(["-ec", &format!("{function}\n{script}")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}
