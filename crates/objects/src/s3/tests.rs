use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const LIMIT: u64 = 100_000;

fn image() -> ImageRef {
    ImageRef { bucket: "uploads".into(), key: "u/1.jpg".into(), ..ImageRef::default() }
}

/// A store whose every answer is this one.
async fn answering(answer: Vec<u8>) -> S3 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                if !matches!(client.read_buf(&mut request).await, Ok(1..)) {
                    break;
                }
            }
            let _ = client.write_all(&answer).await;
            let _ = client.shutdown().await;
        }
    });
    let settings = Settings {
        endpoint: format!("http://{address}"),
        ca_file: String::new(),
        region: "us-east-1".into(),
        path_style: true,
        allowed_buckets: vec!["uploads".into()],
        tenants: std::collections::BTreeMap::default(),
        max_bytes: LIMIT,
        connect_timeout_s: 5,
        timeout_s: 20,
        tries: 1,
    };
    S3::with_credentials(&settings, "key", &SecretString::from("secret"))
}

fn response(status: &str, headers: &[u8], body: &[u8]) -> Vec<u8> {
    let first = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    [first.as_bytes(), headers, b"\r\n", body].concat()
}

fn error(code: &str, message: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>").into_bytes()
}

async fn fetched(image: &ImageRef, answer: Vec<u8>) -> Result<Object, FetchError> {
    answering(answer).await.fetch(image, LIMIT).await
}

#[tokio::test]
async fn headers_that_an_uploader_chose_never_keep_an_object_from_being_read() {
    let chosen: [&[u8]; 8] = [
        b"Content-Disposition: attachment; filename=\"Fot\xf3.jpg\"",
        b"Cache-Control: \xe9\xe8",
        b"x-amz-meta-name: \xc3\x28\xff",
        b"Last-Modified: the day before yesterday",
        b"Expires: \xfcbermorgen",
        b"Content-Type: image/jp\xe9g",
        b"x-amz-tagging-count: many",
        b"Content-Language: \xff\r\nContent-Encoding: \xff",
    ];
    for header in chosen {
        let headers = [b"ETag: \"e1\"\r\n", header, b"\r\n"].concat();
        let object = fetched(&image(), response("200 OK", &headers, b"whole")).await;
        let object = object.unwrap_or_else(|error| panic!("{}: {error}", header.escape_ascii()));
        assert_eq!((object.bytes.as_ref(), object.etag.as_deref()), (&b"whole"[..], Some("e1")));
    }
}

#[tokio::test]
async fn permanent_refusals_are_permanent_and_say_the_mend() {
    let sse_c = "The object was stored using a form of Server Side Encryption.";
    for (status, code, message, fix) in [
        ("400 Bad Request", "InvalidRequest", sse_c, "SSE-C"),
        ("400 Bad Request", "KMS.DisabledException", "key is disabled.", "enable that key"),
        ("400 Bad Request", "KeyTooLongError", "Your key is too long", "no object of this name"),
        ("400 Bad Request", "InvalidArgument", "bad", "no object of this name"),
        ("400 Bad Request", "InvalidURI", "Couldn't parse the specified URI.", "no object of this name"),
        ("410 Gone", "Gone", "", "gone for good"),
        ("451 Unavailable For Legal Reasons", "Withheld", "", "legal reasons"),
        ("403 Forbidden", "InvalidObjectState", "not valid for the storage class", "restore"),
    ] {
        let refused = fetched(&image(), response(status, b"", &error(code, message))).await.unwrap_err();
        assert!(!refused.is_transient(), "{refused}");
        let said = refused.to_string();
        assert!(said.contains(fix) && said.contains(code) && !said.contains("grant s3:GetObject"), "{said}");
    }
}

#[tokio::test]
async fn a_bucket_in_another_region_is_named_with_its_region() {
    let malformed = "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-3'";
    let in_header = b"x-amz-bucket-region: eu-west-3\r\nLocation: http://elsewhere.example\r\n";
    for answer in [
        response("301 Moved Permanently", in_header, &error("PermanentRedirect", "must be addressed elsewhere")),
        response("301 Moved Permanently", in_header, b""),
        response("400 Bad Request", b"", &error("AuthorizationHeaderMalformed", malformed)),
    ] {
        let store = answering(answer).await;
        let unread = store.fetch(&image(), LIMIT).await.unwrap_err();
        assert!(unread.is_transient(), "an operator fixes it, for every object at once: {unread}");
        assert!(unread.to_string().contains("set objects.region = \"eu-west-3\""), "{unread}");
        let checked = store.check("uploads").await.unwrap_err();
        assert!(checked.to_string().contains("set objects.region = \"eu-west-3\""), "{checked}");
    }
}

#[tokio::test]
async fn gzip_is_undone_within_the_limit_and_other_encodings_are_named() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let packed = gzip(b"an image");
    let answer = |body: &[u8]| response("200 OK", b"Content-Encoding: aws-chunked,GZIP\r\n", body);
    let object = fetched(&image(), answer(&packed)).await.unwrap();
    assert_eq!((object.bytes.as_ref(), object.content_encoding), (&b"an image"[..], None));
    for sha256 in [hex::encode(Sha256::digest(b"an image")), hex::encode(Sha256::digest(&packed))] {
        let asked = ImageRef { sha256: Some(sha256), ..image() };
        assert!(fetched(&asked, answer(&packed)).await.is_ok());
    }
    let other = ImageRef { sha256: Some("0".repeat(64)), ..image() };
    assert!(matches!(fetched(&other, answer(&packed)).await, Err(FetchError::Mismatch { .. })));
    let bomb = fetched(&image(), answer(&gzip(&vec![0; 10 << 20]))).await;
    assert!(matches!(bomb, Err(FetchError::TooLarge { limit: LIMIT, .. })), "{bomb:?}");
    let brotli = fetched(&image(), response("200 OK", b"Content-Encoding: br\r\n", b"packed")).await.unwrap();
    assert_eq!((brotli.bytes.as_ref(), brotli.content_encoding.as_deref()), (&b"packed"[..], Some("br")));
}
