//! parse → configuration → telemetry → command → exit code.

use std::process::ExitCode;

use clap::Parser;

use assay::commands::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
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
