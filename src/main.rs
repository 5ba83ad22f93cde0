//! parse → configuration → telemetry → command → exit code.

use std::process::ExitCode;

use assay::commands::Cli;

/// What `--version` prints. The commit is what the Makefile says it builds; it is read here, so that another one compiles this file
/// again and no other.
fn version() -> &'static str {
    let version = env!("CARGO_PKG_VERSION");
    match option_env!("ASSAY_COMMIT") {
        None | Some("") => version,
        Some(commit) => Box::leak(format!("{version} ({commit})").into_boxed_str()),
    }
}

fn main() -> ExitCode {
    let cli = Cli::of_process(version());
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(end) => {
            if let Some(message) = end.message() {
                eprintln!("assay: {message}");
            }
            ExitCode::from(end.code())
        }
    }
}
