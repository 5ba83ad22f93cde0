//! Over a socket: a console that listens, stops when it is told to, and can be looked at.

use access::Mode;
use console::{BindError, Settings, bind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::support::{World, in_usual_world, in_world, usual};

#[test]
fn a_console_listens_and_ends_when_it_is_told_to() {
    in_usual_world(|world: World| async move {
        let settings = Settings { listen: "127.0.0.1:0".into(), ..Settings::default() };
        let stop = CancellationToken::new();
        let (address, serving) = bind(world.server(Mode::Configured, settings).await, stop.clone()).await.unwrap();
        let serving = tokio::spawn(serving);
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET /login HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("Assay console"), "{answer}");
        stop.cancel();
        serving.await.unwrap().unwrap();
    });
}

#[test]
fn a_trial_does_not_listen_beyond_loopback() {
    in_usual_world(|world: World| async move {
        let settings = Settings { listen: "0.0.0.0:0".into(), ..Settings::default() };
        let server = world.server(Mode::Trial { name: "Ann".into() }, settings.clone()).await;
        let refused = bind(server, CancellationToken::new()).await.err();
        assert!(matches!(refused, Some(BindError::TrialBeyondLoopback(_))), "{refused:?}");
        assert!(bind(world.server(Mode::Configured, settings).await, CancellationToken::new()).await.is_ok());
    });
}

/// For `check/run.py --base`: 220 items, at the address in `ASSAY_TEST_LISTEN`, until the standard input ends.
#[test]
#[ignore = "serves until its standard input ends"]
fn a_console_to_look_at() {
    let listen = std::env::var("ASSAY_TEST_LISTEN").unwrap_or_else(|_| "127.0.0.1:9466".into());
    in_world(Mode::Trial { name: "Ann".into() }, usual(), |world: World| async move {
        let names: Vec<String> = (0..220).map(|number| format!("post-{number:04}")).collect();
        world.items("acme", &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let settings = Settings { listen, ..Settings::default() };
        let server = world.server(Mode::Trial { name: "Ann".into() }, settings).await;
        let stop = CancellationToken::new();
        let (address, serving) = bind(server, stop.clone()).await.unwrap();
        let serving = tokio::spawn(serving);
        eprintln!("http://{address}");
        let mut all = Vec::new();
        tokio::io::stdin().read_to_end(&mut all).await.unwrap();
        stop.cancel();
        serving.await.unwrap().unwrap();
    });
}
