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

#[derive(Clone, Copy)]
struct State {
    flow: Flow,
    /// How often the flow was cut: a connection from before a cut is broken, even if its task runs only after the flow is open
    /// again.
    cuts: usize,
}

pub struct Proxy {
    pub address: SocketAddr,
    state: watch::Sender<State>,
    _stop: DropGuard,
}

impl Proxy {
    pub async fn before(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, watched) = watch::channel(State { flow: Flow::Open, cuts: 0 });
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(stopped.run_until_cancelled_owned(async move {
            while let Ok((client, _)) = listener.accept().await {
                let cuts = watched.borrow().cuts;
                tokio::spawn(carry(client, target, watched.clone(), cuts));
            }
        }));
        Proxy { address, state, _stop: stop.drop_guard() }
    }

    pub fn set(&self, flow: Flow) {
        self.state.send_modify(|state| {
            state.flow = flow;
            state.cuts += usize::from(flow == Flow::Cut);
        });
    }
}

/// Until an end hangs up, the flow is cut, or the proxy is dropped.
async fn carry(client: TcpStream, target: SocketAddr, state: watch::Receiver<State>, cuts: usize) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut cut = state.clone();
    tokio::select! {
        () = pump(from_client, to_server, None) => {}
        () = pump(from_server, to_client, Some(state)) => {}
        _ = cut.wait_for(|state| state.flow == Flow::Cut || state.cuts != cuts) => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: Option<watch::Receiver<State>>,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if let Some(state) = &mut state
            && state.wait_for(|state| state.flow == Flow::Open).await.is_err()
        {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
