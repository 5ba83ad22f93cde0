//! The binaries, as somebody at a shell meets them. (Also: because of a test beside them, `cargo test` builds the binaries, which
//! the tests of the whole program start.)

use std::process::Command;

#[test]
fn started_by_hand_it_says_who_starts_it() {
    for program in [env!("CARGO_BIN_EXE_assay-decoder"), env!("CARGO_BIN_EXE_assay-decoder-heif")] {
        let output = Command::new(program).output().expect("it can be started");
        assert_eq!(output.status.code(), Some(2));
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.contains("a decoder is started by assay"), "{words}");
    }
}
