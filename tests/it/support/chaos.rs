//! A set of servers that tests may kill, starve and start again: apart from all others, one test at a time.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use super::servers::{read_env, script};

/// The first of their ports, unless ASSAY_CHAOS_BASE_PORT names another.
const BASE_PORT: &str = "21900";

pub struct Chaos {
    settings: Arc<HashMap<String, String>>,
    _turn: MutexGuard<'static, ()>,
}

/// The servers, healthy, and nobody else's until the value is dropped.
pub async fn chaos() -> Chaos {
    static TURN: Mutex<()> = Mutex::const_new(());
    let turn = TURN.lock().await;
    run(["up"]).await;
    let settings = read_env(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".local/chaos/env"));
    Chaos { settings: Arc::new(settings), _turn: turn }
}

impl Chaos {
    pub fn rabbitmq_url(&self) -> &str {
        &self.settings["ASSAY__BROKER__URL"]
    }

    /// `kill -9`.
    pub async fn kill(&self, server: &str) {
        run(["kill", server]).await;
    }

    pub async fn start(&self, server: &str) {
        run(["start", server]).await;
    }

    /// What RabbitMQ's own tool answers.
    pub async fn rabbitmqctl<const N: usize>(&self, arguments: [&str; N]) -> String {
        run(std::iter::once("ctl").chain(arguments)).await
    }
}

async fn run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> String {
    let arguments: Vec<String> = arguments.into_iter().map(str::to_string).collect();
    let finished = tokio::task::spawn_blocking(move || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let base_port = std::env::var("ASSAY_CHAOS_BASE_PORT").unwrap_or_else(|_| BASE_PORT.into());
        let (command, rest) = arguments.split_first().expect("a command");
        let mut script = script(root);
        script.arg(command).args(["--base-port", &base_port, "--dir"]).arg(root.join(".local/chaos")).args(rest);
        let output = script.output().expect("python3 is there");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    finished.await.unwrap()
}
