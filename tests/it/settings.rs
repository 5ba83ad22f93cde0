//! Settings with line ends, as secrets and files of variables have them.

use std::process::{Command, Output, Stdio};

use crate::support::servers::servers;
use crate::support::site::Site;

fn doctor(command: &mut Command) -> (Output, String) {
    let output = command.arg("doctor").stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout.clone(), output.stderr.clone()].concat();
    (output, String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn line_ends_after_keys_and_urls_are_left_out() {
    let site = Site::open().await;
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let urls = ["ASSAY__BROKER__URL", "ASSAY__DATABASE__URL", "ASSAY__OBJECTS__ENDPOINT"];
    for end in ["\n", "\r\n"] {
        let settings = keys.iter().chain(&urls).map(|name| (*name, format!("{}{end}", servers().setting(name))));
        let (output, said) = doctor(site.command().envs(settings));
        assert!(output.status.success() && said.contains("bucket uploads"), "{said}");
        assert!(!said.contains("WRONG") && !said.contains("panicked"), "{said}");
    }
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_end_within_a_setting_is_refused_by_name_in_every_command() {
    let site = Site::open().await;
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "ASSAY__DATABASE__URL"] {
        for command in ["doctor", "worker", "migrate", "status"] {
            let value = format!("hush\n{}", servers().database_url());
            let output = site.command().arg(command).env(name, value).stdin(Stdio::null()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{command}: {said}");
            assert!(said.contains(name) && !said.contains("hush"), "{command}: {said}");
        }
    }
    site.close().await;
}
