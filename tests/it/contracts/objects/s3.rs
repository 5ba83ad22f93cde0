//! Answers that only a real server gives, or a faulty one.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use domain::ImageRef;
use objects::s3::S3;
use objects::{FetchError, Object, Objects, Settings, StoreError};
use secrecy::SecretString;
use tokio::net::TcpListener;

use crate::support::canned::{Answer, Canned, response};
use crate::support::servers::servers;
use crate::support::within;

const TRIES: u32 = 3;
const LIMIT: u64 = 1000;

fn store_at(address: SocketAddr) -> S3 {
    let settings = Settings {
        endpoint: format!("http://{address}"),
        ca_file: String::new(),
        region: "us-east-1".into(),
        path_style: true,
        allowed_buckets: Vec::new(),
        tenants: BTreeMap::new(),
        max_bytes: LIMIT,
        connect_timeout_s: 1,
        timeout_s: 3,
        tries: TRIES,
    };
    S3::with_credentials(&settings, "key", &SecretString::from("secret"))
}

fn image() -> ImageRef {
    ImageRef { bucket: "uploads".into(), key: "u/1.jpg".into(), ..ImageRef::default() }
}

/// Fetches from a server that answers so; gives the number of requests too.
async fn fetched(
    image: &ImageRef,
    answer: impl Fn(usize) -> Answer + Send + Sync + 'static,
) -> (Result<Object, FetchError>, usize) {
    let server = Canned::start(answer).await;
    let result = within(30, store_at(server.address).fetch(image, LIMIT)).await;
    (result, server.served())
}

fn ok(body: &[u8]) -> Answer {
    Answer::Bytes(response("200 OK", &[("ETag", "\"e1\"")], body))
}

fn refusal(status: &str, code: &str) -> Answer {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>because</Message></Error>");
    Answer::Bytes(response(status, &[("Content-Type", "application/xml")], body.as_bytes()))
}

/// Announces ten bytes and brings four.
const CUT_SHORT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour";

fn is_unavailable(result: &Result<Object, FetchError>) -> bool {
    matches!(result, Err(error @ FetchError::Unavailable { .. }) if error.is_transient())
}

#[tokio::test]
async fn a_body_cut_short_is_fetched_again() {
    let answer = |before| if before < 2 { Answer::Bytes(CUT_SHORT.into()) } else { ok(b"whole") };
    let (result, served) = fetched(&image(), answer).await;
    assert_eq!((result.unwrap().bytes.as_ref(), served), (&b"whole"[..], 3));
}

#[tokio::test]
async fn a_body_that_is_always_cut_short_is_never_taken_for_whole() {
    let (result, served) = fetched(&image(), |_| Answer::Bytes(CUT_SHORT.into())).await;
    assert!(is_unavailable(&result), "{result:?}");
    assert_eq!(served, TRIES as usize);
}

#[tokio::test]
async fn server_errors_are_tried_again() {
    let answer = |before| if before < 2 { refusal("500 Internal Server Error", "InternalError") } else { ok(b"whole") };
    let (result, served) = fetched(&image(), answer).await;
    assert_eq!((result.unwrap().bytes.as_ref(), served), (&b"whole"[..], 3));
}

#[tokio::test]
async fn a_server_that_stays_busy_is_unavailable_after_the_tries() {
    let (result, served) = fetched(&image(), |_| refusal("503 Slow Down", "SlowDown")).await;
    assert!(is_unavailable(&result), "{result:?}");
    assert!(result.unwrap_err().to_string().contains("SlowDown"));
    assert_eq!(served, TRIES as usize);
    let (result, _) = fetched(&image(), |_| refusal("429 Too Many Requests", "TooManyRequests")).await;
    assert!(is_unavailable(&result), "{result:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_one_try() {
    let answer = |before| if before == 0 { Answer::Hang(Vec::new()) } else { ok(b"whole") };
    let (result, served) = fetched(&image(), answer).await;
    assert_eq!((result.unwrap().bytes.as_ref(), served), (&b"whole"[..], 2));
}

#[tokio::test]
async fn a_server_that_hangs_is_unavailable() {
    for bytes in [&b""[..], CUT_SHORT] {
        let (result, _) = fetched(&image(), |_| Answer::Hang(bytes.into())).await;
        assert!(is_unavailable(&result), "{result:?}");
    }
}

#[tokio::test]
async fn an_announced_length_over_the_limit_is_not_read() {
    let headers = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n";
    let (result, served) = fetched(&image(), |_| Answer::Hang(headers.into())).await;
    let error = result.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { bytes: 1_000_000_000_000, limit: LIMIT, .. }), "{error:?}");
    assert_eq!(served, 1);
}

#[tokio::test]
async fn a_body_without_an_end_is_too_large() {
    let headers = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (result, _) = fetched(&image(), |_| Answer::Endless(headers.into(), b"4\r\nmore\r\n".into())).await;
    assert!(matches!(result, Err(FetchError::TooLarge { .. })), "{result:?}");
}

#[tokio::test]
async fn a_body_of_unannounced_length_is_taken_whole() {
    let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n3\r\nsix\r\n0\r\n\r\n";
    let (result, _) = fetched(&image(), |_| Answer::Bytes(whole.into())).await;
    assert_eq!(result.unwrap().bytes.as_ref(), b"foursix");
}

#[tokio::test]
async fn a_server_that_ignores_the_condition_is_found_out() {
    let asked = |etag: &str, sha256: Option<&str>| ImageRef {
        etag: Some(etag.into()),
        sha256: sha256.map(Into::into),
        ..image()
    };
    assert!(fetched(&asked("e1", None), |_| ok(b"x")).await.0.is_ok());
    for image in [asked("e2", None), asked("e1", Some(&"0".repeat(64)))] {
        let (result, served) = fetched(&image, |_| ok(b"x")).await;
        assert!(matches!(result, Err(FetchError::Mismatch { .. })), "{result:?}");
        assert_eq!(served, 1);
    }
}

#[tokio::test]
async fn refusals_tell_the_permanent_from_the_transient() {
    type Kind = fn(&FetchError) -> bool;
    let not_found: Kind = |error| matches!(error, FetchError::NotFound { .. });
    let denied: Kind = |error| matches!(error, FetchError::AccessDenied { .. });
    let refused: Kind = |error| matches!(error, FetchError::Refused { .. });
    let mismatch: Kind = |error| matches!(error, FetchError::Mismatch { .. });
    let versioned = ImageRef { version_id: Some("v1".into()), ..image() };
    let cases = [
        (image(), "404 Not Found", "NoSuchKey", not_found),
        (image(), "404 Not Found", "NoSuchBucket", not_found),
        (versioned.clone(), "404 Not Found", "NoSuchVersion", not_found),
        (versioned.clone(), "400 Bad Request", "InvalidArgument", not_found),
        (versioned, "405 Method Not Allowed", "MethodNotAllowed", not_found),
        (image(), "403 Forbidden", "AccessDenied", denied),
        (image(), "403 Forbidden", "InvalidObjectState", refused),
        (image(), "412 Precondition Failed", "PreconditionFailed", mismatch),
        // The worker's own key: no fault of the object.
        (image(), "403 Forbidden", "SignatureDoesNotMatch", FetchError::is_transient),
        (image(), "403 Forbidden", "InvalidAccessKeyId", FetchError::is_transient),
        (image(), "403 Forbidden", "RequestTimeTooSkewed", FetchError::is_transient),
        (image(), "400 Bad Request", "ExpiredToken", FetchError::is_transient),
    ];
    for (image, status, code, expected) in cases {
        let (result, _) = fetched(&image, move |_| refusal(status, code)).await;
        let error = result.unwrap_err();
        assert!(expected(&error), "{status} {code}: {error:?}");
    }
    for (status, expected) in [("404 Not Found", not_found), ("403 Forbidden", denied)] {
        let (result, _) = fetched(&image(), move |_| Answer::Bytes(response(status, &[], b"<html>no</html>"))).await;
        assert!(result.as_ref().is_err_and(expected), "{status}: {result:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let address = {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        closed.local_addr().unwrap()
    };
    let store = store_at(address);
    let result = within(30, store.fetch(&image(), LIMIT)).await;
    assert!(is_unavailable(&result), "{result:?}");
    let error = within(30, store.check("uploads")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_the_workers_trouble_not_the_objects() {
    let secret = SecretString::from(servers().setting("AWS_SECRET_ACCESS_KEY"));
    let settings = servers().objects_settings();
    let wrong = [
        S3::with_credentials(&settings, "nobody", &secret),
        S3::with_credentials(&settings, servers().setting("AWS_ACCESS_KEY_ID"), &SecretString::from("wrong")),
    ];
    for store in wrong {
        let result = within(30, store.fetch(&image(), LIMIT)).await;
        assert!(is_unavailable(&result), "{result:?}");
        let error = within(30, store.check("uploads")).await.unwrap_err();
        assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
    }
}
