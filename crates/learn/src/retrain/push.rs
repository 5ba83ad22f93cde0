//! How the job's last run ended, for whoever watches: pushed, since nobody could scrape a job that is over.

use std::time::Duration;

use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use time::OffsetDateTime;

use super::outcome::Outcome;

/// For connecting, asking and being answered.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error("{gateway:?} is not an address of the form http://host:port")]
    Address { gateway: String },
    #[error("the request can't be made: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("no answer: {}", chain(.0))]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    #[error("no answer within {timeout:?}")]
    TooSlow { timeout: Duration },
    #[error("it answered {status}")]
    Refused { status: StatusCode },
}

/// Sends it to a Prometheus Pushgateway (`http://host:port`), under the job `assay_retrain`. A gateway that does not answer
/// is worth a warning, and changes nothing.
pub async fn push(gateway: &str, outcome: Outcome) {
    if let Err(error) = post(gateway, exposition(outcome, OffsetDateTime::now_utc()), TIMEOUT).await {
        tracing::warn!(gateway, %error, "the outcome could not be pushed; check retrain.pushgateway");
    }
}

fn exposition(outcome: Outcome, now: OffsetDateTime) -> String {
    let mut text = String::from("# TYPE assay_retrain_last_outcome gauge\n");
    for known in Outcome::ALL {
        let (word, value) = (known.as_str(), u8::from(known == outcome));
        text += &format!("assay_retrain_last_outcome{{outcome=\"{word}\"}} {value}\n");
    }
    // A gateway keeps what was pushed before under other names: the last success outlives failures.
    if !matches!(outcome, Outcome::Failed | Outcome::Busy) {
        text += "# TYPE assay_retrain_last_success_timestamp_seconds gauge\n";
        text += &format!("assay_retrain_last_success_timestamp_seconds {}\n", now.unix_timestamp());
    }
    text
}

async fn post(gateway: &str, body: String, timeout: Duration) -> Result<(), PushError> {
    let gateway = gateway.trim_end_matches('/');
    let wrong = || PushError::Address { gateway: gateway.into() };
    let uri: Uri = format!("{gateway}/metrics/job/assay_retrain").parse().map_err(|_| wrong())?;
    if uri.scheme_str() != Some("http") || uri.host().is_none() {
        return Err(wrong());
    }
    let request = Request::post(uri).header(CONTENT_TYPE, "text/plain; version=0.0.4").body(body)?;
    let client = Client::builder(TokioExecutor::new()).build_http::<String>();
    match tokio::time::timeout(timeout, client.request(request)).await {
        Err(_) => Err(PushError::TooSlow { timeout }),
        Ok(answer) => match answer?.status() {
            status if status.is_success() => Ok(()),
            status => Err(PushError::Refused { status }),
        },
    }
}

/// An error with its causes: the first one says too little by itself.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// All of a request: its body is as long as its head says.
    async fn read_request(stream: &mut TcpStream) -> String {
        let mut text = String::new();
        loop {
            let mut part = vec![0; 4096];
            let read = stream.read(&mut part).await.unwrap();
            text += std::str::from_utf8(&part[..read]).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if read == 0 || length.is_some_and(|length| body.len().to_string() == length) {
                return text;
            }
        }
    }

    #[tokio::test]
    async fn what_is_pushed_arrives_and_a_refusal_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = format!("http://{}", listener.local_addr().unwrap());
        let serve = async {
            let mut received = Vec::new();
            for answer in ["200 OK", "400 Bad Request"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                received.push(read_request(&mut stream).await);
                let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            received
        };
        let send = async {
            let text = exposition(Outcome::Refused, OffsetDateTime::UNIX_EPOCH);
            (post(&gateway, text, TIMEOUT).await, post(&gateway, "x".into(), TIMEOUT).await)
        };
        let (received, (first, second)) = tokio::join!(serve, send);
        first.unwrap();
        assert!(second.unwrap_err().to_string().contains("400"));
        assert!(received[0].starts_with("POST /metrics/job/assay_retrain HTTP/1.1"), "{}", received[0]);
        assert!(received[0].contains("assay_retrain_last_outcome{outcome=\"refused\"} 1\n"), "{}", received[0]);
        assert!(received[0].contains("assay_retrain_last_success_timestamp_seconds 0\n"), "{}", received[0]);
    }

    #[tokio::test]
    async fn a_gateway_that_never_answers_and_an_address_that_is_none_are_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = format!("http://{}", listener.local_addr().unwrap());
        let slow = post(&gateway, "x".into(), Duration::from_millis(50)).await;
        assert!(matches!(slow, Err(PushError::TooSlow { .. })), "{slow:?}");
        drop(listener);
        let gone = post(&gateway, "x".into(), TIMEOUT).await.unwrap_err();
        assert!(matches!(gone, PushError::Unreachable(_)) && gone.to_string().contains("refused"), "{gone}");
        for gateway in ["https://gateway:9091", "gateway", ""] {
            let wrong = post(gateway, "x".into(), TIMEOUT).await.unwrap_err();
            assert!(matches!(wrong, PushError::Address { .. }), "{gateway}: {wrong}");
        }
    }

    #[test]
    fn a_failure_leaves_the_last_success_alone() {
        let text = exposition(Outcome::Failed, OffsetDateTime::UNIX_EPOCH);
        assert!(text.contains("{outcome=\"failed\"} 1") && text.contains("{outcome=\"promoted\"} 0"));
        assert!(!text.contains("last_success"));
    }
}
