//! Where the images to enqueue are listed: a bucket, a manifest, a list of keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Args;
use crate::commands::End;
use crate::config::Config;
use broker::wire::{self, Message, Properties};
use domain::Request;
use objects::s3::S3;
use objects::{Listed, Objects};

/// Entries read ahead of what is submitted.
const AHEAD: usize = 256;

/// A position in a source: everything up to and including it is enqueued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// The key in a listing.
    Key(String),
    /// The line in a file, from 1.
    Line(u64),
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Entry::Key(key) => write!(f, "{key}"),
            Entry::Line(line) => write!(f, "line {line}"),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Source {
    Prefix { bucket: String, prefix: String },
    Manifest(PathBuf),
    Keys { file: PathBuf, bucket: String },
}

/// An entry, and the request that it stands for or what is wrong with it.
pub(super) type Found = (Entry, Result<Request, String>);

/// Ends with whether the source was read to its end.
pub(super) type Reading = JoinHandle<Result<bool, End>>;

impl Source {
    pub(super) fn of(args: &Args) -> Result<Source, End> {
        match (&args.prefix, &args.manifest, &args.keys, &args.bucket) {
            (Some(url), ..) => {
                let path = url.strip_prefix("s3://").filter(|path| !path.starts_with('/') && !path.is_empty());
                let path =
                    path.ok_or_else(|| End::usage(format!("--prefix {url:?} must be like s3://bucket/prefix")))?;
                let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
                Ok(Source::Prefix { bucket: bucket.into(), prefix: prefix.into() })
            }
            (None, Some(file), ..) => Ok(Source::Manifest(file.clone())),
            (None, None, Some(file), Some(bucket)) => Ok(Source::Keys { file: file.clone(), bucket: bucket.clone() }),
            _ => Err(End::usage("name a source: --prefix, --manifest, or --keys with --bucket")),
        }
    }

    /// The name of the source in the saved position.
    pub(super) fn name(&self) -> String {
        match self {
            Source::Prefix { bucket, prefix } => format!("s3://{bucket}/{prefix}"),
            Source::Manifest(file) => format!("manifest {}", file.display()),
            Source::Keys { file, bucket } => format!("keys {} of {bucket}", file.display()),
        }
    }

    /// Reads the entries after `position`, until the end or a stop.
    pub(super) fn read(
        self,
        args: &Args,
        config: &Config,
        position: Option<Entry>,
        stop: CancellationToken,
    ) -> (mpsc::Receiver<Found>, Reading) {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let reader = Reader {
            builder: RequestBuilder { args: args.clone(), tenants: config.broker.tenants.clone() },
            sender,
            stop,
        };
        let objects = config.objects.clone();
        let reading = tokio::spawn(async move {
            match self {
                Source::Prefix { bucket, prefix } => {
                    let after = match position {
                        Some(Entry::Key(key)) => Some(key),
                        _ => None,
                    };
                    let s3 = S3::connect(&objects).await;
                    reader.list(&s3, bucket, &prefix, after).await
                }
                Source::Manifest(file) => {
                    reader
                        .lines(open(&file).await?, skipped(position.as_ref()), |builder, line| builder.of_json(line))
                        .await
                }
                Source::Keys { file, bucket } => {
                    let key = |builder: &RequestBuilder, line: &str| builder.of_object(&bucket, line, None);
                    reader.lines(open(&file).await?, skipped(position.as_ref()), key).await
                }
            }
        });
        (receiver, reading)
    }
}

fn skipped(position: Option<&Entry>) -> u64 {
    match position {
        Some(Entry::Line(line)) => *line,
        _ => 0,
    }
}

async fn open(file: &Path) -> Result<Box<dyn AsyncBufRead + Send + Unpin>, End> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(tokio::io::stdin())));
    }
    match tokio::fs::File::open(file).await {
        Ok(opened) => Ok(Box::new(BufReader::new(opened))),
        Err(error) => Err(End::usage(format!("{} can't be read: {error}", file.display()))),
    }
}

struct Reader {
    builder: RequestBuilder,
    sender: mpsc::Sender<Found>,
    stop: CancellationToken,
}

impl Reader {
    async fn list(self, s3: &S3, bucket: String, prefix: &str, after: Option<String>) -> Result<bool, End> {
        let (listing, listed) = mpsc::channel::<Listed>(AHEAD);
        // Moved in, so that its end drops the receiver, which ends a listing early.
        let forwarding = async {
            let mut listed = listed;
            while let Some(object) = listed.recv().await {
                // Consoles make folders visible by empty objects whose keys end in a slash.
                if object.key.ends_with('/') && object.bytes == 0 {
                    continue;
                }
                let request = self.builder.of_object(&bucket, &object.key, object.etag.as_deref());
                if self.stop.is_cancelled() || self.sender.send((Entry::Key(object.key), request)).await.is_err() {
                    return false;
                }
            }
            true
        };
        let (ended, whole) = tokio::join!(s3.list(&bucket, prefix, after.as_deref(), listing), forwarding);
        ended?;
        Ok(whole && !self.stop.is_cancelled())
    }

    async fn lines(
        self,
        file: Box<dyn AsyncBufRead + Send + Unpin>,
        skip: u64,
        request: impl Fn(&RequestBuilder, &str) -> Result<Request, String>,
    ) -> Result<bool, End> {
        let mut lines = file.lines();
        let mut number = 0;
        loop {
            let line = tokio::select! {
                () = self.stop.cancelled() => return Ok(false),
                line = lines.next_line() => line.map_err(|error| End::work(format!("line {}: {error}", number + 1)))?,
            };
            let Some(line) = line else { return Ok(true) };
            number += 1;
            if number <= skip || line.trim().is_empty() {
                continue;
            }
            let found = (Entry::Line(number), request(&self.builder, line.trim_end_matches('\r')));
            if self.sender.send(found).await.is_err() {
                return Ok(false);
            }
        }
    }
}

/// Builds requests by the arguments and the configuration.
struct RequestBuilder {
    args: Args,
    tenants: BTreeMap<String, String>,
}

impl RequestBuilder {
    fn of_object(&self, bucket: &str, key: &str, etag: Option<&str>) -> Result<Request, String> {
        self.of_document(Map::from_iter([
            ("bucket".to_string(), json!(bucket)),
            ("key".to_string(), json!(key)),
            ("etag".to_string(), json!(etag)),
        ]))
    }

    fn of_json(&self, line: &str) -> Result<Request, String> {
        match serde_json::from_str(line) {
            Ok(Value::Object(document)) => self.of_document(document),
            Ok(_) => Err("is no JSON object".into()),
            Err(error) => Err(format!("is no JSON: {error}")),
        }
    }

    /// A whole request, or an image reference that is made one.
    fn of_document(&self, mut document: Map<String, Value>) -> Result<Request, String> {
        if !document.contains_key("submission_id") {
            let text = |document: &Map<String, Value>, field: &str| {
                document.get(field).and_then(Value::as_str).map(str::to_string)
            };
            let image = match document.remove("image") {
                Some(Value::Object(image)) => image,
                Some(_) => return Err("`image` must be an object".into()),
                None => {
                    let fields = ["bucket", "key", "version_id", "etag", "sha256"];
                    fields.into_iter().filter_map(|field| Some((field.to_string(), document.remove(field)?))).collect()
                }
            };
            let part = |field| text(&image, field).unwrap_or_default();
            let id = wire::submission_id_of(&part("bucket"), &part("key"), &part("version_id"), &part("etag"));
            document.insert("submission_id".into(), id.into());
            document.insert("image".into(), image.into());
        }
        if let Some(tenant) = &self.args.tenant
            && document.get("tenant").is_none_or(Value::is_null)
        {
            document.insert("tenant".into(), json!(tenant));
        }
        let message =
            Message { body: Value::Object(document).to_string().into_bytes(), properties: Properties::default() };
        let requests = wire::read(&message, false, &self.tenants).map_err(|error| error.to_string())?;
        let request = requests.into_iter().next().ok_or("asks for nothing")?;
        let request = self.args.change(request);
        request.validate().map_err(|error| error.to_string())?;
        Ok(request)
    }
}
