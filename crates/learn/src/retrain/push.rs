//! How the job's last run ended, for whoever watches: pushed, since nobody could scrape a job that is over.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

/// For connecting, asking and being answered.
const PATIENCE: Duration = Duration::from_secs(10);

/// Words for `outcome`, of which one is 1 and the others 0.
pub const OUTCOMES: [&str; 7] = ["promoted", "refused", "registered", "passed", "nothing_new", "busy", "failed"];

/// Sends it to a Prometheus Pushgateway (`http://host:port`), under the job `assay_retrain`. A gateway that does not answer
/// is worth a warning, and changes nothing.
pub async fn push(gateway: &str, outcome: &str) {
    let text = exposition(outcome, OffsetDateTime::now_utc());
    let problem = match tokio::time::timeout(PATIENCE, post(gateway, &text)).await {
        Ok(Ok(())) => return,
        Ok(Err(problem)) => problem,
        Err(_) => format!("no answer within {PATIENCE:?}"),
    };
    tracing::warn!(gateway, problem, "the outcome could not be pushed; check retrain.pushgateway");
}

fn exposition(outcome: &str, now: OffsetDateTime) -> String {
    let mut text = String::from("# TYPE assay_retrain_last_outcome gauge\n");
    for known in OUTCOMES {
        text += &format!("assay_retrain_last_outcome{{outcome=\"{known}\"}} {}\n", u8::from(known == outcome));
    }
    // A gateway keeps what was pushed before under other names: the last success outlives failures.
    if outcome != "failed" && outcome != "busy" {
        text += "# TYPE assay_retrain_last_success_timestamp_seconds gauge\n";
        text += &format!("assay_retrain_last_success_timestamp_seconds {}\n", now.unix_timestamp());
    }
    text
}

async fn post(gateway: &str, body: &str) -> Result<(), String> {
    let url = Url::parse(gateway).map_err(|error| error.to_string())?;
    let host = url.host_str().filter(|_| url.scheme() == "http").ok_or("an http:// address is wanted")?;
    let port = url.port_or_known_default().unwrap_or(80);
    let mut stream = TcpStream::connect((host, port)).await.map_err(|error| error.to_string())?;
    let path = url.path().trim_end_matches('/');
    let request = format!(
        "POST {path}/metrics/job/assay_retrain HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: text/plain; version=0.0.4\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or_default();
    let good = status.split(' ').nth(1).is_some_and(|code| code.starts_with('2'));
    if good { Ok(()) } else { Err(format!("it answered {status:?}")) }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_is_pushed_arrives_and_a_refusal_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = format!("http://{}", listener.local_addr().unwrap());
        let serve = async {
            let mut heard = Vec::new();
            for answer in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
                heard.push(String::from_utf8_lossy(&request[..read]).into_owned());
            }
            heard
        };
        let send = async {
            (post(&gateway, &exposition("refused", OffsetDateTime::UNIX_EPOCH)).await, post(&gateway, "x").await)
        };
        let (heard, (first, second)) = tokio::join!(serve, send);
        assert_eq!(first, Ok(()));
        assert!(second.unwrap_err().contains("400"));
        assert!(heard[0].starts_with("POST /metrics/job/assay_retrain HTTP/1.1"), "{}", heard[0]);
        assert!(heard[0].contains("assay_retrain_last_outcome{outcome=\"refused\"} 1\n"), "{}", heard[0]);
        assert!(heard[0].contains("assay_retrain_last_success_timestamp_seconds 0\n"), "{}", heard[0]);
    }

    #[test]
    fn a_failure_leaves_the_last_success_alone() {
        let text = exposition("failed", OffsetDateTime::UNIX_EPOCH);
        assert!(text.contains("{outcome=\"failed\"} 1") && text.contains("{outcome=\"promoted\"} 0"));
        assert!(!text.contains("last_success"));
    }
}
