//! TLS to the real servers: the right authority, another one, and another name than the certificate's.

use std::path::{Path, PathBuf};
use std::process::Command;

use broker::BrokerError;
use broker::rabbit::survey;
use ledger::LedgerError;
use ledger::postgres::Postgres;
use objects::s3::S3;
use objects::{FetchError, Objects, StoreError};
use secrecy::SecretString;

use crate::support::outcomes::{key, request};
use crate::support::rabbit;
use crate::support::servers::{servers, unique};
use crate::support::within;

const BUCKET: &str = "uploads";
/// Another name of the same place, which is not in the certificate.
const OTHER_NAME: &str = "127.0.0.1";

/// An authority that signed nothing here.
struct Stranger(PathBuf);

impl Stranger {
    fn new() -> Stranger {
        let folder = std::env::temp_dir().join(unique("stranger"));
        std::fs::create_dir(&folder).unwrap();
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            // The name of the right one, so that only its key tells them apart.
            .args(["-subj", "/CN=Assay local servers", "-keyout", "key.pem", "-out", "ca.pem"])
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Stranger(folder)
    }

    fn file(&self) -> String {
        self.0.join("ca.pem").to_str().unwrap().into()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn broker(host: &str, ca_file: &str) -> broker::Settings {
    let url = servers().other("ASSAY__BROKER__URL").replace("localhost", host);
    broker::Settings { ca_file: ca_file.into(), ..rabbit::settings(&url) }
}

fn ledger(host: &str, ca_file: &str) -> database::Settings {
    let url = servers().other("ASSAY__DATABASE__URL").replace("localhost", host);
    let url = url.replace(servers().other("ASSAY__BROKER__CA_FILE"), ca_file);
    database::Settings { url: SecretString::from(url), ..servers().database_settings("public") }
}

fn store(host: &str, ca_file: &str) -> S3 {
    let endpoint = servers().other("ASSAY__OBJECTS__ENDPOINT").replace("localhost", host);
    let settings = objects::Settings { endpoint, ca_file: ca_file.into(), ..servers().objects_settings() };
    let secret = SecretString::from(servers().setting("AWS_SECRET_ACCESS_KEY"));
    S3::with_credentials(&settings, servers().setting("AWS_ACCESS_KEY_ID"), &secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_with_a_certificate_by_the_named_authority_are_trusted() {
    let ca = servers().other("ASSAY__BROKER__CA_FILE");
    let settings = broker("localhost", ca);
    within(60, survey(&settings)).await.unwrap();
    rabbit::delete_at(&settings, servers().rabbitmq_url()).await;
    within(60, Postgres::connect(&ledger("localhost", ca))).await.unwrap();
    within(60, store("localhost", ca).check(BUCKET)).await.unwrap();
}

/// Each error says what was wrong and names the setting that fixes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_by_another_authority_is_refused() {
    let stranger = Stranger::new();
    for roots in [stranger.file().as_str(), ""] {
        let error = within(60, survey(&broker("localhost", roots))).await.unwrap_err();
        assert!(matches!(error, BrokerError::Untrusted { .. }) && !error.is_transient(), "{error}");
        names(&error, &["authority", "broker.ca_file", "localhost"]);
        let error = within(60, store("localhost", roots).check(BUCKET)).await.unwrap_err();
        assert!(matches!(error, StoreError::Untrusted { .. }), "{error}");
        names(&error, &["authority", "objects.ca_file", "localhost"]);
    }
    let error = within(60, Postgres::connect(&ledger("localhost", &stranger.file()))).await.err().unwrap();
    assert!(matches!(error, LedgerError::Untrusted { .. }), "{error}");
    names(&error, &["authority", "sslrootcert", "localhost"]);
    // For the worker it's trouble that is not its own: no submission pays for it.
    let image = request(key("a", 0)).image;
    let error = within(60, store("localhost", &stranger.file()).fetch(&image, 1000)).await.unwrap_err();
    assert!(matches!(error, FetchError::Unavailable { .. }), "{error}");
    names(&error, &["authority", "objects.ca_file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_refused() {
    let ca = servers().other("ASSAY__BROKER__CA_FILE");
    let error = within(60, survey(&broker(OTHER_NAME, ca))).await.unwrap_err();
    assert!(matches!(error, BrokerError::Untrusted { .. }), "{error}");
    names(&error, &["localhost", OTHER_NAME, "that name"]);
    let error = within(60, Postgres::connect(&ledger(OTHER_NAME, ca))).await.err().unwrap();
    assert!(matches!(error, LedgerError::Untrusted { .. }), "{error}");
    names(&error, &["localhost", OTHER_NAME, "that name"]);
    let error = within(60, store(OTHER_NAME, ca).check(BUCKET)).await.unwrap_err();
    assert!(matches!(error, StoreError::Untrusted { .. }), "{error}");
    names(&error, &["localhost", OTHER_NAME, "that name"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_and_a_file_without_certificates_are_named() {
    let ca = servers().other("ASSAY__BROKER__CA_FILE");
    let mut settings = broker("localhost", ca);
    settings.url = servers().rabbitmq_url().replace("amqp://", "amqps://").into();
    let error = within(60, survey(&settings)).await.unwrap_err();
    names(&error, &["TLS", "port"]);
    for file in ["/no/such/ca.pem", Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml").to_str().unwrap()] {
        let error = within(60, Postgres::connect(&ledger("localhost", file))).await.err().unwrap();
        assert!(matches!(error, LedgerError::Untrusted { .. }), "{error}");
        names(&error, &["sslrootcert", file]);
        assert!(broker("localhost", file).validate().unwrap_err().contains("broker.ca_file"));
        // Gone since the settings were read: no server is trusted.
        let error = within(60, survey(&broker("localhost", file))).await.unwrap_err();
        names(&error, &[file]);
        assert!(within(60, store("localhost", file).check(BUCKET)).await.is_err());
    }
}

fn names(error: &impl ToString, words: &[&str]) {
    let said = error.to_string();
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}
