//! What submitters send: no address in it is ever called, and no byte of an image goes anywhere but to the decoder.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use broker::rabbit::{Rabbit, Reader};
use broker::{Broker, Publication};
use domain::Context;
use objects::Objects;
use objects::s3::S3;
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::Row;
use tokio::net::TcpListener;

use crate::support::canned::{Answer, Canned, response};
use crate::support::images;
use crate::support::outcomes::{failure, key, request as request_of};
use crate::support::rabbit::{self, Bystander, soon};
use crate::support::servers::{servers, unique};
use crate::support::site::{BUCKET, Site, request};
use crate::support::within;

/// An address that nothing may ever connect to.
struct Trap {
    address: String,
    calls: Arc<AtomicUsize>,
}

impl Trap {
    async fn new() -> Trap {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, calls) = (listener.local_addr().unwrap().to_string(), Arc::new(AtomicUsize::new(0)));
        let count = calls.clone();
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Trap { address, calls }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// References by which somebody could hope to be called, or to reach what isn't theirs.
fn references(at: &str) -> Vec<(String, String)> {
    let urls = ["http://@/x.jpg", "https://@/x.jpg", "//@/x.jpg", r"\\@\x.jpg", "s3://@/x", "file:///etc/passwd"];
    let buckets = [
        "@",
        "uploads@@",
        "user:word@@/uploads",
        "uploads/..",
        "uploads/",
        "/uploads",
        "uploads?x=",
        "uploads#",
        "..",
        "uploads%2f..",
        "%2e%2e",
        "uploads\r\nHost: @",
        "uploads.@",
        " uploads",
        "Uploads",
    ];
    let keys = [
        "../assay-probe/x",
        "a/../../assay-probe/x",
        "..",
        ".",
        "./x",
        "/",
        "//",
        "a//b",
        "/x",
        "?endpoint=http://@/",
        "#http://@/",
        "%2e%2e/%2e%2e/etc/passwd",
        "%2F%2F@/",
        "@@/x",
        "x\r\nHost: @\r\n\r\n",
        r"..\x",
        "x?versionId=1",
        "x%00",
        "☃",
        "a b",
        "a+b",
        "%",
        "%zz",
    ];
    let here = |text: &str| text.replace('@', at);
    let mut references = Vec::new();
    references.extend(urls.iter().chain(&buckets).map(|bucket| (here(bucket), "x.jpg".into())));
    references.extend(urls.iter().chain(&keys).map(|key| (BUCKET.into(), here(key))));
    references
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_in_a_message_is_ever_called() {
    let trap = Trap::new().await;
    let (at, url) = (trap.address.as_str(), format!("http://{}/", trap.address));
    let site = Site::open().await;
    let mut messages: Vec<Value> = Vec::new();
    for (number, (bucket, key)) in references(at).into_iter().enumerate() {
        let image = json!({"bucket": bucket, "key": key});
        messages.push(json!({"submission_id": format!("native-{number}"), "image": image}));
        messages.push(json!({"Records": [{
            "eventName": "ObjectCreated:Put", "eventSource": url, "awsRegion": format!("@{at}"),
            "responseElements": {"x-minio-origin-endpoint": url},
            "s3": {"bucket": {"name": bucket, "arn": url}, "object": {"key": key, "sequencer": number.to_string()}},
        }]}));
    }
    // Fields that nobody asked for, at every place that is read.
    let mut image = json!({"bucket": BUCKET, "key": "nowhere.jpg"});
    let mut native = json!({"submission_id": "fields"});
    for field in ["endpoint", "endpoint_url", "url", "uri", "host", "region", "callback", "reply_to", "proxy", "s3"] {
        image[field] = url.as_str().into();
        native[field] = url.as_str().into();
    }
    native["image"] = image.clone();
    native["metadata"] = json!({"url": url, "endpoint": {"url": url}});
    messages.push(native.clone());
    native["submission_id"] = "event".into();
    messages.push(json!({
        "specversion": "1.0", "id": "1", "type": "t", "source": url, "dataschema": url, "subject": url, "data": native
    }));
    // Addresses in the place of what is compared.
    for field in ["etag", "version_id"] {
        let mut image = json!({"bucket": BUCKET, "key": "nowhere.jpg"});
        image[field] = url.as_str().into();
        messages.push(json!({"submission_id": field, "image": image}));
    }
    let sent = messages.len();
    site.submit(messages).await;
    // And keys that only look bad: they are names of objects like any other.
    let odd = ["100%.bmp", "a?b=c#d.bmp", "%2e%2e%2f.bmp", "a+b &=;.bmp", "☃.bmp"];
    for name in odd {
        let key = site.put(name, images::bmp(256, 80)).await;
        site.submit([request(name, &key)]).await;
    }
    let settings = [("ASSAY__OBJECTS__TRIES", "1"), ("ASSAY__OBJECTS__TENANTS", "confined=uploads/confined/")];
    let mut worker = site.worker(&settings).await;
    let all = async {
        while site.recorded().await + site.depth("dead").await < sent + odd.len() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("an end for each message", all).await;
    let judged = site.query(&format!("SELECT submission_id AS id FROM {}.verdicts ORDER BY 1", site.name)).await;
    let judged: Vec<String> = judged.iter().map(|row| row.get("id")).collect();
    let mut wanted = odd.to_vec();
    wanted.sort_unstable();
    assert_eq!(judged, wanted, "the others end as failures or dead letters");
    worker.terminate();
    assert!(worker.ended(Duration::from_secs(25)).await.success(), "{}", worker.log());
    assert_eq!(trap.calls(), 0);
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_reaches_only_its_own_prefix() {
    let site = Site::open().await;
    let (own, near) =
        (site.put("acme/1.bmp", images::bmp(256, 80)).await, site.put("acme2/1.bmp", images::bmp(256, 80)).await);
    let tenants = format!("acme=uploads/{}/acme/", site.name);
    let asked = [("own", "acme", &own), ("near", "acme", &near), ("unlisted", "globex", &near)];
    for (id, tenant, key) in asked {
        let mut document = request(id, key);
        document["tenant"] = tenant.into();
        site.submit([document]).await;
    }
    let _worker = site.worker(&[("ASSAY__OBJECTS__TENANTS", &tenants)]).await;
    site.until_recorded(3).await;
    let rows = format!(
        "SELECT submission_id AS id, 'verdict' AS code, '' AS detail FROM {0}.verdicts UNION ALL \
         SELECT submission_id, code, document->>'detail' FROM {0}.failures ORDER BY 1",
        site.name
    );
    let rows = site.query(&rows).await;
    let ends: Vec<(String, String)> = rows.iter().map(|row| (row.get("id"), row.get("code"))).collect();
    let end = |id: &str, code: &str| (id.to_string(), code.to_string());
    assert_eq!(ends, [end("near", "bucket_not_allowed"), end("own", "verdict"), end("unlisted", "verdict")]);
    assert!(rows[0].get::<String, _>("detail").contains("objects.tenants"));
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_goes_to_a_queue_of_assays_own() {
    let beside = Bystander::new(rabbit::settings(servers().rabbitmq_url())).await;
    let broker = Rabbit::connect(&beside.settings).await.unwrap();
    let outcome = failure(key("a", 0));
    let topology = &beside.topology;
    let own = topology.queues();
    for queue in &own {
        let context = Context { reply_to: Some(queue.clone()), ..Context::default() };
        broker.publish(Publication { outcome: &outcome, context: &context }).await.unwrap();
    }
    broker.close().await;
    assert_eq!(beside.take_results(own.len()).await.len(), own.len(), "each was published once");
    // Nothing is left anywhere.
    beside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_store_that_points_elsewhere_is_not_followed() {
    let trap = Trap::new().await;
    let url = format!("http://{}/uploads/u/1.jpg", trap.address);
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let (location, endpoint) = (url.clone(), trap.address.clone());
        let server = Canned::start(move |_| {
            let body = format!("<Error><Code>PermanentRedirect</Code><Endpoint>{endpoint}</Endpoint></Error>");
            let headers = [("Location", location.as_str()), ("x-amz-bucket-region", "elsewhere")];
            Answer::Bytes(response(status, &headers, body.as_bytes()))
        })
        .await;
        let endpoint = format!("http://{}", server.address);
        let settings = objects::Settings { endpoint, tries: 1, ..servers().objects_settings() };
        let store = S3::with_credentials(&settings, "key", &SecretString::from("secret"));
        assert!(within(60, store.fetch(&request_of(key("a", 0)).image, 100)).await.is_err(), "{status}");
        assert!(server.served() > 0);
    }
    assert_eq!(trap.calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bytes_of_an_image_are_logged_recorded_or_put_among_the_dead() {
    let mark = unique("IMAGEBYTES");
    let site = Site::open().await;
    // The pixels of a bitmap are its bytes.
    let mut bitmap = images::bmp(256, 80);
    let middle = bitmap.len() / 2;
    bitmap[middle..middle + mark.len()].copy_from_slice(mark.as_bytes());
    let mut png = images::png(300, 300, png::ColorType::Rgb, png::BitDepth::Eight);
    let middle = png.len() / 2;
    png[middle..middle + mark.len()].copy_from_slice(mark.as_bytes());
    // Comments, and whatever a decoder could quote.
    let jpeg = [&[0xff, 0xd8, 0xff, 0xfe, 0, 2 + mark.len() as u8], mark.as_bytes(), &[0xff, 0xd9]].concat();
    let gif = [b"GIF89a\x01\x00\x01\x00\x00\x00\x00!\xfe", &[mark.len() as u8][..], mark.as_bytes(), b"\x00;"].concat();
    let tiff = [b"II*\x00\x08\x00\x00\x00", mark.as_bytes()].concat();
    let cases = [
        ("whole.bmp", bitmap.clone()),
        ("cut.bmp", bitmap[..bitmap.len() - 9].to_vec()),
        ("damaged.png", png),
        ("comment.jpg", jpeg),
        ("comment.gif", gif),
        ("damaged.tiff", tiff),
        ("text", mark.clone().into_bytes()),
    ];
    let count = cases.len();
    for (name, bytes) in cases {
        let key = site.put(name, bytes).await;
        let mut document = request(name, &key);
        // The same submission once more with another image ends among the dead, after its image was fetched or not.
        site.submit([document.clone()]).await;
        document["image"]["sha256"] = "0".repeat(64).into();
        document["submission_id"] = format!("{name} as another").into();
        site.submit([document]).await;
    }
    site.submit_raw([b"{".to_vec()]).await;
    let settings = [("ASSAY__LOG__LEVEL", "trace,lapin=trace")];
    let mut worker = site.worker(&settings).await;
    site.until_recorded(2 * count).await;
    let mut dead = Reader::of_dead(&site.broker).await.unwrap();
    let letter = soon("a dead letter", dead.next()).await.unwrap();
    letter.acknowledge().await.unwrap();
    dead.close().await;
    worker.terminate();
    assert!(worker.ended(Duration::from_secs(25)).await.success());

    let mut said = vec![("log", worker.log()), ("dead letter", format!("{:?}", letter.message))];
    for table in ["outcomes", "verdicts", "failures"] {
        let rows = site
            .query(&format!("SELECT coalesce(string_agg(t::text, ''), '') AS rows FROM {}.{table} t", site.name))
            .await;
        said.push((table, rows[0].get("rows")));
    }
    for (what, text) in &said {
        assert!(!text.is_empty(), "{what}");
        crate::secrets::never_says(what, text, &mark);
        crate::secrets::never_says(what, text, &hex::encode(&mark));
    }
    let judged = site.query(&format!("SELECT count(*) AS rows FROM {}.verdicts", site.name)).await;
    assert_eq!(judged[0].get::<i64, _>("rows"), 1, "the whole one is judged, the others fail");
    assert!(said[0].1.contains("TRACE"));
    site.close().await;
}
