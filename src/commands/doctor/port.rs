//! Whether a worker could serve its admin port.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::admin;
use crate::commands::End;

/// How long who holds the port may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(2);
/// As much of its answer as is read.
const MOST: u64 = 64 << 10;

pub(super) async fn check(settings: &admin::Settings) -> Result<String, End> {
    let listen = &settings.listen;
    if listen.is_empty() {
        return Ok("off: admin.listen is empty".into());
    }
    let error = match TcpListener::bind(listen).await {
        Ok(_) => return Ok(format!("{listen} is free")),
        Err(error) => error,
    };
    if error.kind() == ErrorKind::AddrInUse && is_a_worker(listen).await {
        return Ok(format!("a worker serves {listen}; another one on this machine needs an admin.listen of its own"));
    }
    Err(End::usage(format!(
        "admin.listen = {listen:?} can't be served: {error}; a worker would end at its start. Choose a free address such as \
         \"127.0.0.1:9465\", or \"\" for none"
    )))
}

async fn is_a_worker(address: &str) -> bool {
    tokio::time::timeout(PATIENCE, metrics(address))
        .await
        .is_ok_and(|answer| answer.is_ok_and(|text| text.contains("assay_ready")))
}

async fn metrics(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: assay\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check_at(listen: &str) -> Result<String, End> {
        check(&admin::Settings { listen: listen.into() }).await
    }

    #[tokio::test]
    async fn a_port_that_somebody_else_has_is_told_of() {
        assert!(check_at("").await.unwrap().contains("off"));
        assert!(check_at("127.0.0.1:0").await.unwrap().contains("free"));
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = other.local_addr().unwrap().to_string();
        // It hangs up on whoever asks.
        let served = tokio::spawn(async move { drop(other.accept().await) });
        let end = check_at(&address).await.unwrap_err();
        assert_eq!(end.code(), 2);
        assert!(end.message().unwrap().contains(&address) && end.message().unwrap().contains("admin.listen"));
        served.await.unwrap();
    }
}
