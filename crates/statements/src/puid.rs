//! The platform's own identifier of a statement.

use domain::Verdict;
use sha2::{Digest, Sha256};

/// What separates these digests from others of the same parts; as the UUIDs it is in front of, of a fixed length.
const PURPOSE: &[u8] = b"assay.statement.puid.v1\0";

/// The `puid` of a verdict's statement: 64 hexadecimal digits that follow from the verdict alone, the same on every run, and
/// unlike those of every other verdict, because an outcome's id goes into it. A platform that keeps its verdicts can find the
/// one that is meant.
///
/// The outcome's id itself would tell too much: it is a hash of tenant, submission id and generation without a secret, so whoever
/// reads the public database could try submission ids (numbers in addresses, names of accounts) until one fits. With the digest of
/// the judged bytes in it a guess can be tried only by those who have the very image.
pub fn puid(verdict: &Verdict) -> String {
    let mut digest = Sha256::new();
    digest.update(PURPOSE);
    digest.update(verdict.verdict_id.0.as_bytes());
    digest.update(verdict.image.sha256.as_bytes());
    hex::encode(digest.finalize())
}
