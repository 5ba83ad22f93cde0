//! `assay enqueue`: puts requests on the queue, in bulk.

mod progress;
mod source;

use std::path::PathBuf;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use clap::{ArgGroup, Parser};
use futures_util::{StreamExt, stream};
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::End;
use crate::config::Config;
use crate::shutdown::interrupted;
use broker::rabbit::RabbitSubmitter;
use broker::topology::Topology;
use broker::{BrokerError, RequestQueue, Submitter, wire};
use domain::{OutcomeId, Purpose, Request};
use progress::{Progress, State};
use source::{Entry, Source};

/// How long a submission is retried while the broker can't be reached.
const RETRY_FOR: Duration = Duration::from_secs(60);

/// Put images on the queue: a bucket prefix, a manifest or a list of keys.
///
/// Submission ids follow from bucket, key and etag, so enqueueing the same again makes no second verdict.
#[derive(Clone, Debug, Parser)]
#[command(group(ArgGroup::new("source").required(true).args(["prefix", "manifest", "keys"])), after_help = "Examples:
  assay enqueue --prefix s3://uploads/2026/ --bulk --rate 200
  assay enqueue --prefix s3://uploads/2026/ --bulk --resume      go on after an interruption
  assay enqueue --manifest requests.jsonl --tenant acme          lines like {\"bucket\": …, \"key\": …} or whole requests
  cut -f1 list.tsv | assay enqueue --keys - --bucket uploads

Ends with 1 if any line was refused, or if it was interrupted.")]
pub(super) struct Args {
    /// Every object under a prefix.
    #[arg(long, value_name = "s3://BUCKET/PREFIX")]
    prefix: Option<String>,
    /// A file of JSON lines: requests, or just bucket and key.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// A file of keys, one a line; - for standard input.
    #[arg(long, value_name = "FILE", requires = "bucket")]
    keys: Option<PathBuf>,
    /// The bucket of the keys.
    #[arg(long, requires = "keys")]
    bucket: Option<String>,
    /// Whose submissions they are, where a line does not say; else by broker.tenants.
    #[arg(long)]
    tenant: Option<String>,
    /// To the bulk queue, as backfill: live uploads go first.
    #[arg(long)]
    bulk: bool,
    /// Ask for a new verdict on what has been judged: the next generation.
    #[arg(long, value_name = "N", default_value_t = 0)]
    generation: u32,
    /// At most so many a second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Go on where the last run stopped, by what it wrote to FILE (or to a file named after the source).
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "")]
    resume: Option<PathBuf>,
    /// A summary in JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    let source = Source::of(args)?;
    let request_queue = if args.bulk { RequestQueue::Bulk } else { RequestQueue::Live };
    let mut state = State::begin(args, &source)?;
    let submitter = RabbitSubmitter::connect(&config.broker).await?;
    let stop = CancellationToken::new();
    stop_on_signals(&stop);
    let mut progress = Progress::new(args.json, Topology::new(&config.broker).request_queue(request_queue));

    let (entries, reading) = source.read(args, config, state.position(), stop.clone());
    let paced = pace(entries, args.rate, stop.clone());
    let submit = |(entry, request): (Entry, Result<Request, String>)| {
        let submitter = &submitter;
        async move {
            let end = match request {
                Ok(request) => submit(submitter, request_queue, &request).await.map(|()| None),
                Err(problem) => Ok(Some(problem)),
            };
            (entry, end)
        }
    };
    let mut failed = None;
    {
        // In order, so that everything up to the saved position is confirmed.
        let mut ends = std::pin::pin!(paced.map(submit).buffered(RabbitSubmitter::MAX_IN_FLIGHT));
        while let Some((entry, end)) = ends.next().await {
            match end {
                Ok(None) => progress.enqueued(),
                Ok(Some(problem)) => progress.refused(&entry, &problem),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            state.reached(entry)?;
        }
        // With the stream goes what the source is waiting to hand on.
    }
    stop.cancel();
    let listed = reading.await.map_err(End::work)?;
    submitter.close().await;
    progress.end();
    if let Some(error) = failed {
        state.save()?;
        tracing::error!("{}", state.how_to_go_on());
        return Err(error.into());
    }
    match listed {
        Ok(true) => state.forget(),
        Ok(false) => {
            state.save()?;
            return Err(End::work(format!("interrupted; {}", state.how_to_go_on())));
        }
        Err(end) => {
            state.save()?;
            return Err(end);
        }
    }
    progress.summary()
}

async fn submit(submitter: &dyn Submitter, request_queue: RequestQueue, request: &Request) -> Result<(), BrokerError> {
    let message = wire::request(request, OffsetDateTime::now_utc());
    let pauses = ExponentialBuilder::default()
        .with_max_delay(Duration::from_secs(5))
        .with_total_delay(Some(RETRY_FOR))
        .without_max_times()
        .with_jitter();
    (|| submitter.submit(request_queue, &message)).retry(pauses).when(BrokerError::is_transient).await
}

impl Args {
    /// What the arguments change in every request.
    fn change(&self, mut request: Request) -> Request {
        if self.bulk && request.purpose == Purpose::Live {
            request.purpose = Purpose::Backfill;
        }
        if self.generation > 0 {
            request.key.generation = self.generation;
        }
        request.context.message_id = Some(OutcomeId::of(&request.key).to_string());
        request
    }
}

/// Lets entries through at the rate asked for; none after a stop.
fn pace<T>(
    entries: tokio::sync::mpsc::Receiver<T>,
    rate: Option<u32>,
    stop: CancellationToken,
) -> impl futures_util::Stream<Item = T> {
    let step = rate.map(|rate| Duration::from_secs(1) / rate);
    stream::unfold((entries, stop, Instant::now()), move |(mut entries, stop, due)| async move {
        let entry = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            entry = entries.recv() => entry?,
        };
        let mut next = due;
        if let Some(step) = step {
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep_until(due) => {}
            }
            // No making up for time that was spent waiting for something else.
            next = due.max(Instant::now() - step) + step;
        }
        Some((entry, (entries, stop, next)))
    })
}

fn stop_on_signals(stop: &CancellationToken) {
    let stop = stop.clone();
    tokio::spawn(async move {
        interrupted().await;
        stop.cancel();
    });
}
