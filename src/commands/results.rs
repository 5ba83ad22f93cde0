//! `assay results`: prints outcomes as they are published.

use std::io::Write;
use std::time::Duration;

use clap::Parser;

use super::End;
use super::print::say;
use super::table::Table;
use crate::config::Config;
use crate::shutdown::interrupted;
use broker::BrokerError;
use broker::rabbit::{RawDelivery, Reader};
use domain::Outcome;

/// Between two attempts to connect again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);

/// Print verdicts and failures from the results queue, and take them out of it.
///
/// Ends when none has come for the time of --timeout; with 1 if --count was not reached by then. What has been
/// printed is taken out of the queue: a consumer of your own needs a queue of its own, bound to the exchange.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay results                      what is there, as a table
  assay results --follow             until Ctrl-C
  assay results --json --count 100 --timeout 60 | jq .decision")]
pub(super) struct Args {
    /// JSON lines: the documents as they were published.
    #[arg(long)]
    json: bool,
    /// End after so many.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Seconds to wait for the next one.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    timeout: f64,
    /// Wait for ever, and connect again when the broker was away.
    #[arg(long, conflicts_with = "timeout")]
    follow: bool,
}

pub(super) async fn run(args: &Args, config: &Config) -> Result<(), End> {
    let timeout = Duration::try_from_secs_f64(args.timeout)
        .map_err(|_| End::usage(format!("--timeout {} is no number of seconds", args.timeout)))?;
    let mut reader = Reader::of_results(&config.broker).await?;
    let mut printer = Printer::new(args.json);
    let mut interrupted = std::pin::pin!(interrupted());
    while args.count.is_none_or(|count| printer.printed < count) {
        let next = async {
            if args.follow {
                return Some(reader.next().await);
            }
            tokio::time::timeout(timeout, reader.next()).await.ok()
        };
        let delivery = tokio::select! {
            () = &mut interrupted => break,
            next = next => match next {
                Some(Ok(delivery)) => delivery,
                Some(Err(error)) if args.follow && error.is_transient() => {
                    tracing::warn!(%error, "reading again");
                    reader = open_again(config).await?;
                    continue;
                }
                Some(Err(error)) => return Err(error.into()),
                None => break,
            },
        };
        match printer.print(&delivery) {
            Ok(()) => {}
            // Nobody reads on; this one stays in the queue.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(End::work(error)),
        }
        match delivery.acknowledge().await {
            Ok(()) => {}
            // Printed, but it will be delivered again.
            Err(error) if args.follow => tracing::debug!(%error, "not taken out"),
            Err(error) => return Err(error.into()),
        }
    }
    reader.close().await;
    printer.end(args.count)
}

async fn open_again(config: &Config) -> Result<Reader, BrokerError> {
    loop {
        match Reader::of_results(&config.broker).await {
            Err(error) if error.is_transient() => tokio::time::sleep(RECONNECT_PAUSE).await,
            opened => return opened,
        }
    }
}

struct Printer {
    json: bool,
    table: Table,
    printed: u64,
}

impl Printer {
    fn new(json: bool) -> Printer {
        Printer { json, table: Table::new(), printed: 0 }
    }

    fn print(&mut self, delivery: &RawDelivery) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        let body = &delivery.message.body;
        if self.json {
            out.write_all(body)?;
            writeln!(out)?;
        } else {
            if self.printed == 0 {
                writeln!(out, "{}", self.table.header())?;
            }
            match serde_json::from_slice::<Outcome>(body) {
                Ok(outcome) => writeln!(out, "{}", self.table.row(&outcome.key().submission_id, &outcome))?,
                Err(error) => {
                    let id = delivery.message.properties.message_id.as_deref().unwrap_or("?");
                    writeln!(out, "{id}: no outcome that this version can read: {error}")?;
                }
            }
        }
        out.flush()?;
        self.printed += 1;
        Ok(())
    }

    fn end(&self, wanted: Option<u64>) -> Result<(), End> {
        if !self.json {
            let mut last = match self.printed {
                0 => "no outcomes".to_string(),
                1 => "1 outcome".to_string(),
                many => format!("{many} outcomes"),
            };
            if let Some(note) = self.table.footnote() {
                last = format!("{note}\n{last}");
            }
            say!("{last}");
        }
        match wanted {
            Some(wanted) if self.printed < wanted => {
                Err(End::work(format!("{} outcomes came, not {wanted}, in the time of --timeout", self.printed)))
            }
            _ => Ok(()),
        }
    }
}
