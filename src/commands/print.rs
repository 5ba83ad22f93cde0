//! Answers on standard output: one way to print for all commands.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// Prints a line.
macro_rules! say {
    ($($words:tt)*) => { $crate::commands::print::line(format_args!($($words)*)) };
}
pub(super) use say;

/// A reader that wants no more, such as `head`, is no error: the command does its work and ends as it would have.
pub(super) fn line(words: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{words}");
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        tracing::error!(error = %error, "the answer can't be written to standard output");
    }
}
