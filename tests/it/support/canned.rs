//! An HTTP server that answers with prepared bytes, right or wrong.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

pub enum Answer {
    /// These bytes, and then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, and then nothing more, with the connection left open.
    Hang(Vec<u8>),
    /// The first bytes, and then the second ones for as long as the client takes them.
    Endless(Vec<u8>, Vec<u8>),
}

pub struct Canned {
    pub address: SocketAddr,
    served: Arc<AtomicUsize>,
    _stop: DropGuard,
}

impl Canned {
    /// `answer` is told how many requests came before.
    pub async fn start(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Canned {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = Arc::new(AtomicUsize::new(0));
        let (stop, count, answer) = (CancellationToken::new(), served.clone(), Arc::new(answer));
        let stopped = stop.clone();
        tokio::spawn(async move {
            while let Some(Ok((client, _))) = stopped.run_until_cancelled(listener.accept()).await {
                let (count, answer, stopped) = (count.clone(), answer.clone(), stopped.clone());
                tokio::spawn(stopped.run_until_cancelled_owned(async move {
                    converse(client, || answer(count.fetch_add(1, Ordering::SeqCst))).await;
                }));
            }
        });
        Canned { address, served, _stop: stop.drop_guard() }
    }

    pub fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

async fn converse(mut client: TcpStream, answer: impl FnOnce() -> Answer) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match client.read_buf(&mut request).await {
            Ok(1..) => {}
            _ => return,
        }
    }
    match answer() {
        Answer::Bytes(bytes) => {
            let _ = client.write_all(&bytes).await;
            let _ = client.shutdown().await;
        }
        Answer::Hang(bytes) => {
            let _ = client.write_all(&bytes).await;
            std::future::pending::<()>().await;
        }
        Answer::Endless(first, more) => {
            let mut sent = client.write_all(&first).await;
            while sent.is_ok() {
                sent = client.write_all(&more).await;
            }
        }
    }
}

/// A whole answer of HTTP/1.1.
pub fn response(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}
