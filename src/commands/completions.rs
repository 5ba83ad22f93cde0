//! `assay completions`: what a shell needs to complete commands and flags.

use clap::{Command, Parser};
use clap_complete::Shell;

use super::End;
use super::print::say;

/// Print the completions of a shell.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  source <(assay completions bash)                                               for this shell
  assay completions bash > ~/.local/share/bash-completion/completions/assay      for every one
  assay completions zsh > \"${fpath[1]}/_assay\"
  assay completions fish > ~/.config/fish/completions/assay.fish")]
pub(super) struct Args {
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &Args, mut command: Command) -> Result<(), End> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "assay", &mut text);
    say!("{}", String::from_utf8_lossy(&text).trim_end());
    Ok(())
}
