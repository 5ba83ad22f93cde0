//! Nothing of a person, a submission or an object gets into a statement.

use domain::{OutcomeId, Verdict};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use statements::{Facts, Review, Statement, puid};
use uuid::Uuid;

use super::samples::{DEFAULT, restricted, verdict};

fn line(verdict: &Verdict, review: Option<Review>) -> String {
    Statement::of(&Facts { verdict, review }, &DEFAULT).unwrap().to_line()
}

/// Texts that try to get out: addresses, markup, templates, JSON, and words that statements have anyway.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,12}[@＠][a-z]{1,12}\\.(com|example)",
        "\\{\\{ ?(decision|metadata|verdict)[.a-z]{0,8} ?\\}\\}",
        "[\"'{}:,<>&%\\[\\]\\\\]{1,20}",
        "(synthetic|image|policy|null)",
        "[\\PC\\n\\r\\u{2028}]{1,80}",
    ]
}

/// What a submitter or a platform wrote, and what identifies the object.
fn with_secrets(base: &Verdict, secrets: &[String]) -> Verdict {
    let mut verdict = base.clone();
    let secret = |at: usize| secrets[at % secrets.len()].clone();
    verdict.submission_id = secret(0);
    verdict.tenant = secret(1);
    verdict.image.bucket = secret(2);
    verdict.image.key = secret(3);
    verdict.image.version_id = Some(secret(4));
    verdict.image.etag = Some(secret(5));
    verdict.worker.device = secret(6);
    verdict.worker.version = secret(7);
    verdict.metadata =
        Map::from_iter([(secret(8), json!({ "deep": [secret(9)] })), (secret(10), Value::from(secret(11)))]);
    verdict
}

proptest! {
    #[test]
    fn a_statement_does_not_depend_on_what_it_must_not_tell(
        (base, review) in restricted(),
        secrets in prop::collection::vec(hostile(), 12),
    ) {
        prop_assert_eq!(line(&with_secrets(&base, &secrets), review), line(&base, review));
    }

    #[test]
    fn no_secret_is_in_the_line((base, review) in restricted(), secret in "[a-z]{8}") {
        // Long enough not to be there by accident, and marked as no other text is.
        let secrets = (0..12).map(|at| format!("zq{at}{secret}jo{at}@example.com")).collect::<Vec<_>>();
        let mut verdict = with_secrets(&base, &secrets);
        verdict.verdict_id = OutcomeId::of(&verdict.key());
        let line = line(&verdict, review);
        for secret in &secrets {
            prop_assert!(!line.contains(secret.as_str()) && !line.contains(&secret[..10]), "{}", line);
        }
        prop_assert!(!line.contains(&verdict.verdict_id.to_string()), "{}", line);
        prop_assert!(!line.contains(&verdict.image.sha256), "{}", line);
    }

    #[test]
    fn addresses_in_what_operators_wrote_are_taken_out(
        (base, review) in restricted(),
        name in "[a-z.]{3,12}zq",
        sign in "(@|＠|%40| @ |@ | @)",
    ) {
        let address = format!("{name}{sign}zq-host.example");
        let mut verdict = base;
        let policy = verdict.policy.as_mut().unwrap();
        policy.because = Some(format!("Ask <{address}> or mailto:{address}, please"));
        verdict.model.version = address.clone();
        if let Some(guess) = &mut verdict.generator {
            guess.label = address.clone();
        }
        let line = line(&verdict, review);
        prop_assert!(!line.contains(&name) && !line.contains("zq-host") && line.contains("or"), "{}", line);
    }

    #[test]
    fn a_puid_follows_from_the_outcome_and_the_bytes(first in any::<u128>(), second in any::<u128>(), bytes in "[0-9a-f]{64}") {
        let mut verdict = verdict();
        verdict.verdict_id = OutcomeId(Uuid::from_u128(first));
        let one = puid(&verdict);
        prop_assert_eq!(&one, &puid(&verdict));
        prop_assert!(one.len() == 64 && one.bytes().all(|digit| digit.is_ascii_hexdigit()));
        verdict.verdict_id = OutcomeId(Uuid::from_u128(second));
        prop_assert_eq!(one == puid(&verdict), first == second);
        verdict.verdict_id = OutcomeId(Uuid::from_u128(first));
        let other_bytes = bytes != verdict.image.sha256;
        verdict.image.sha256 = bytes;
        prop_assert_eq!(one != puid(&verdict), other_bytes);
    }
}

#[test]
fn a_puid_is_the_digest_that_the_documents_promise() {
    // By sha256sum over `assay.statement.puid.v1`, a zero byte, the 16 bytes of the id, and the digest's 64 digits.
    assert_eq!(puid(&verdict()), "1b516267f15be86dbc21be9e0e9065ab73d4374f1ce113aa107e4086c2cf65ac");
}
