//! The signature of a model: one of minisign beside its manifest, which in turn names the digest of the weights.

use std::path::Path;

use minisign_verify::{PublicKey, Signature};

use crate::{Cause, LoadError};

/// As `minisign -S -m manifest.json` names it.
pub(super) const FILE: &str = "manifest.json.minisig";

/// Whether a model is signed, in words.
pub(super) fn describe(folder: &Path, public_key: &str) -> &'static str {
    match (folder.join(FILE).exists(), public_key.is_empty()) {
        (true, false) => "good, by detector.public_key",
        (true, true) => "not checked: detector.public_key is empty",
        (false, _) => "none",
    }
}

/// Checks the signature of a manifest's bytes. An empty key asks for none.
pub(super) fn check(folder: &Path, manifest: &[u8], public_key: &str) -> Result<(), LoadError> {
    if public_key.is_empty() {
        return Ok(());
    }
    let path = folder.join(FILE);
    let failed = |cause: Cause| LoadError::Signature { path: path.clone(), cause };
    let key = PublicKey::from_base64(public_key)
        .map_err(|error| failed(format!("detector.public_key is no key of minisign ({error})").into()))?;
    let text = std::fs::read_to_string(&path).map_err(|error| failed(error.into()))?;
    let signature = Signature::decode(&text).map_err(|error| failed(error.into()))?;
    // Minisign's older signatures, without a hash before, are not taken.
    key.verify(manifest, &signature, false).map_err(|error| failed(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made for these tests from two keys that are in no other use; the text that they sign is `a manifest`.
    const KEY: &str = "RWQHBwcHBwcHB+pKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs";
    const GOOD: &str = "untrusted comment: signature from a test's key
RUQHBwcHBwcHB9zh4tmc4Q/tmXvrteV+HIKb1DgZAMd7llPwGOSZERgVm5FpFhFi+7QEkn8Xj5XGqwbYLvXHIzzrrXuWRwq1TAk=
trusted comment: for tests
J/u8w9r+lQkcg0dErUL0BhCHMd5QHUMeRUppe1SQl457lQSoU83cRI1O/BN/uIZZomvd5KgeLxdVU7hSsb/eBw==
";
    const BY_ANOTHER: &str = "untrusted comment: signature from a test's key
RUQICAgICAgICI3/yJqRpbCtENRmVuJFnIWjUv2ACT+u9J5zuiB3n6k1S07DK8Ku6okaUOt+08zi49jjoRMvffm4ksKGX28pKgo=
trusted comment: for tests
4kxf/fGW6DWQlkyhZHycenBBb+xnwgVqj/K63LoGSQ4W3255/fX7Prbdr7tt3zGz8mUuVkdKYrAFwl+zsRJ5Ag==
";

    #[test]
    fn only_a_signature_by_the_key_over_the_same_bytes_is_good() {
        let folder = std::env::temp_dir().join(format!("assay-signature-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        let refused = |manifest: &[u8], key: &str| check(&folder, manifest, key).unwrap_err().to_string();
        assert!(check(&folder, b"a manifest", "").is_ok(), "no signature is asked for");
        assert!(refused(b"a manifest", KEY).contains(FILE), "there is none");
        std::fs::write(folder.join(FILE), GOOD).unwrap();
        check(&folder, b"a manifest", KEY).unwrap();
        assert_eq!(describe(&folder, KEY), "good, by detector.public_key");
        assert!(refused(b"a manifest!", KEY).contains("signature"));
        assert!(refused(b"a manifest", "nonsense").contains("detector.public_key"));
        for wrong in [BY_ANOTHER, &GOOD.replace("for tests", "for fests"), "", "no signature"] {
            std::fs::write(folder.join(FILE), wrong).unwrap();
            refused(b"a manifest", KEY);
        }
        // The signature is checked before the manifest is even parsed.
        std::fs::write(folder.join("manifest.json"), "{").unwrap();
        let error = super::super::Manifest::read(&folder, KEY).unwrap_err();
        assert!(matches!(error, LoadError::Signature { .. }), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
