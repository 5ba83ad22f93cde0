//! A proxy before a server that can hold back or cut connections.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Open,
    /// Requests get through, responses don't.
    Mute,
    /// Every connection is broken, and new ones are as soon as they are made.
    Cut,
}

pub struct Proxy {
    pub address: SocketAddr,
    flow: watch::Sender<Flow>,
    _stop: DropGuard,
}

impl Proxy {
    pub async fn before(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (flow, watched) = watch::channel(Flow::Open);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(stopped.run_until_cancelled_owned(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target, watched.clone()));
            }
        }));
        Proxy { address, flow, _stop: stop.drop_guard() }
    }

    pub fn set(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }
}

/// Until an end hangs up, the flow is cut, or the proxy is dropped.
async fn carry(client: TcpStream, target: SocketAddr, flow: watch::Receiver<Flow>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut cut = flow.clone();
    tokio::select! {
        () = pump(from_client, to_server, None) => {}
        () = pump(from_server, to_client, Some(flow)) => {}
        _ = cut.wait_for(|flow| *flow == Flow::Cut) => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut flow: Option<watch::Receiver<Flow>>,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if let Some(flow) = &mut flow
            && flow.wait_for(|flow| *flow == Flow::Open).await.is_err()
        {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
