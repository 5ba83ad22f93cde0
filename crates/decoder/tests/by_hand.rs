//! The binary, as somebody at a shell meets it. (Also: because of a test beside it, `cargo test` builds the binary, which the
//! tests of the whole program start.)

use std::process::Command;

#[test]
fn started_by_hand_it_says_who_starts_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_assay-decoder")).output().expect("it can be started");
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("assay-decoder is started by assay"), "{words}");
}
