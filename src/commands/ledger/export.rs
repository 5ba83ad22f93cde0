//! A partition as files in the object store, before it is dropped.
//!
//! Parts are gzipped JSON lines, a row each. `manifest.json`, which lists them, comes last: without it an export was not finished,
//! and is made anew. Each try has a folder of its own, so that none overwrites what another one has written.

use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tokio::sync::mpsc;

use crate::commands::End;
use ledger::maintenance::Partition;
use ledger::postgres::Postgres;
use objects::Objects;

/// Bytes of rows in a part, before they are packed: some 12 MB of file.
const PART: usize = 128 << 20;
/// What the folder of a try is called.
const FOLDER: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");
/// Rows on their way from the database.
const ON_THEIR_WAY: usize = 256;

/// Where exports go.
pub(super) struct Destination<'a> {
    pub objects: &'a dyn Objects,
    pub bucket: &'a str,
    /// Without a slash at its end.
    pub prefix: &'a str,
    pub schema: &'a str,
}

/// What was written.
pub(super) struct Exported {
    pub rows: u64,
    /// The address of the manifest.
    pub manifest: String,
}

impl Destination<'_> {
    /// Writes all rows of a partition.
    pub(super) async fn write(&self, ledger: &Postgres, partition: &Partition) -> Result<Exported, End> {
        let begun = OffsetDateTime::now_utc().format(FOLDER).map_err(End::work)?;
        let folder = format!("{}/{}/{}/{begun}", self.prefix, self.schema, partition.name);
        let (sender, mut rows) = mpsc::channel(ON_THEIR_WAY);
        let reading = async {
            // Moved, so that the last row is known to be the last.
            let sender = sender;
            ledger.export(partition, &sender).await.map_err(End::from)
        };
        let writing = async {
            let (mut parts, mut all) = (Vec::new(), 0);
            while let Some(first) = rows.recv().await {
                let name = format!("{:05}.jsonl.gz", parts.len());
                let part = Part::new();
                let (count, sha256) = part.fill(first, &mut rows).await?;
                self.objects.upload(self.bucket, &format!("{folder}/{name}"), &part.path).await?;
                all += count;
                parts.push(json!({"name": name, "rows": count, "sha256": sha256}));
            }
            // Nobody waits for more where writing has failed.
            drop(rows);
            Ok::<_, End>((parts, all))
        };
        let (read, written) = tokio::join!(reading, writing);
        let (parts, rows) = written?;
        read?;
        let manifest = json!({
            "table": partition.kind.table(), "partition": partition.name, "lower": partition.lower.to_string(),
            "upper": partition.upper.to_string(), "rows": rows, "parts": parts,
        });
        let (file, key) = (Part::new(), format!("{folder}/manifest.json"));
        std::fs::write(&file.path, manifest.to_string()).map_err(|error| file.unwritable(&error))?;
        self.objects.upload(self.bucket, &key, &file.path).await?;
        Ok(Exported { rows, manifest: format!("s3://{}/{key}", self.bucket) })
    }
}

/// A file on its way to the object store; it is deleted with this.
struct Part {
    path: PathBuf,
}

impl Part {
    fn new() -> Part {
        Part { path: std::env::temp_dir().join(format!("assay-export-{}", uuid::Uuid::new_v4().simple())) }
    }

    /// Writes rows until there are enough of them, or no more; gives how many, and the digest of the file.
    async fn fill(&self, first: String, rows: &mut mpsc::Receiver<String>) -> Result<(u64, String), End> {
        let file = std::fs::File::create(&self.path).map_err(|error| self.unwritable(&error))?;
        let mut packed = GzEncoder::new(std::io::BufWriter::new(file), Compression::default());
        let (mut count, mut bytes, mut next) = (0, 0, Some(first));
        while let Some(row) = next {
            packed
                .write_all(row.as_bytes())
                .and_then(|()| packed.write_all(b"\n"))
                .map_err(|error| self.unwritable(&error))?;
            count += 1;
            bytes += row.len() + 1;
            next = if bytes < PART { rows.recv().await } else { None };
        }
        let written = packed.finish().and_then(|mut file| file.flush());
        written.map_err(|error| self.unwritable(&error))?;
        let sha256 = objects::digest(&self.path).map_err(|error| self.unwritable(&error))?;
        Ok((count, sha256))
    }

    fn unwritable(&self, error: &std::io::Error) -> End {
        let path = self.path.display();
        End::work(format!("{path} can't be written: {error}; make room there, or set TMPDIR to another folder"))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
