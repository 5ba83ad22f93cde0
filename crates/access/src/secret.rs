//! Secrets that are given out, and what is kept of them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::error::AccessError;

/// Secrets of tokens begin so: whoever finds one, in a log or a repository, knows what it opens.
const TOKEN: &str = "assay_";
/// 256 bits, in letters of an address.
const LETTERS: usize = 43;

/// A new secret that can't be guessed.
pub(crate) fn make() -> Result<String, AccessError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(AccessError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

pub(crate) fn make_token() -> Result<String, AccessError> {
    Ok(format!("{TOKEN}{}", make()?))
}

/// Whether it has the form of one of ours; all else need not be looked up.
pub(crate) fn is_secret(text: &str) -> bool {
    text.len() == LETTERS && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

pub(crate) fn is_token(text: &str) -> bool {
    text.strip_prefix(TOKEN).is_some_and(is_secret)
}

/// What is kept, and looked up. Secrets are long and random, so that it need not be slow.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// By their digests: how long it takes says nothing about where two secrets differ.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    Sha256::digest(one) == Sha256::digest(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_their_form_and_never_come_twice() {
        let (one, other) = (make().unwrap(), make().unwrap());
        assert!(is_secret(&one) && is_secret(&other) && one != other);
        let token = make_token().unwrap();
        assert!(is_token(&token) && !is_secret(&token) && !is_token(&one), "{token}");
        for bad in ["", "assay_", "assay_short", &format!("{token}x"), &format!("{one}\u{e9}")] {
            assert!(!is_token(bad) && !is_secret(bad), "{bad}");
        }
    }

    #[test]
    fn only_the_same_secret_is_the_same() {
        assert!(same(b"word", b"word"));
        assert!(!same(b"word", b"wor") && !same(b"word", b"wore") && !same(b"", b"word"));
    }
}
