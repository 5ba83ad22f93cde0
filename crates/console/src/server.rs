//! The server of the console.
//!
//! [`routes`] is the one table of what can be asked and by whom; [`desk`] lets each request in by it, and hands
//! it on. What may be done to an item is asked again in the database, by every statement that writes.

mod access_words;
mod account;
mod acts;
mod address;
mod appeals;
mod asked;
mod audit;
mod contexts;
mod desk;
mod filing;
mod forms;
mod history;
mod images;
mod items;
mod links;
mod looking;
mod numbers;
mod outward;
mod queue;
mod refusal;
mod routes;
mod search;
mod settings;
mod sign_in;
mod state;
mod votes;

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use address::BindError;
pub use desk::router;
pub use routes::{Line, Needs, lines};
pub use settings::{Look, Settings};
pub use state::Server;

/// Listens at `console.listen`. What is returned serves until `stop`, and then ends what it has begun.
pub async fn bind(
    server: Server,
    stop: CancellationToken,
) -> Result<(SocketAddr, impl Future<Output = io::Result<()>>), BindError> {
    let address = server.settings.listen.clone();
    let failed = |cause| BindError::Listen { address: address.clone(), cause };
    let listener = TcpListener::bind(&address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let router = router(server, bound)?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = async move { axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await };
    Ok((bound, serving))
}
