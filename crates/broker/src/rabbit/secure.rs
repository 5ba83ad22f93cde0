//! Opening a connection, by TLS where the URL says so.

use std::io;

use lapin::tcp::{AMQPUriTcpExt, RustlsConnector, RustlsConnectorConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties, runtime};

/// Connects, believing the authorities of `ca_file` and no others, or the system's where it is "".
pub(super) async fn connect(
    uri: AMQPUri,
    ca_file: &str,
    properties: ConnectionProperties,
) -> lapin::Result<Connection> {
    if ca_file.is_empty() || uri.scheme == AMQPScheme::AMQP {
        return Connection::connect_uri(uri, properties).await;
    }
    // lapin's own way adds authorities to the system's, and fails where the system has none.
    let connector = connector(ca_file)?;
    Connection::connector(
        uri,
        runtime::default_runtime()?,
        async move |uri, runtime| {
            let plain = AMQPUri { scheme: AMQPScheme::AMQP, ..uri.clone() };
            let stream = plain.connect_async(&runtime).await?;
            Ok(stream.into_rustls(&connector, &uri.authority.host).await?)
        },
        properties,
    )
    .await
}

/// Made for each connection: a certificate that was renewed is then read again.
fn connector(ca_file: &str) -> lapin::Result<RustlsConnector> {
    let authorities = tls::authorities(ca_file).map_err(io::Error::other)?;
    let config = RustlsConnectorConfig::default().with_parsable_certificates(authorities);
    Ok(config.connector_with_no_client_auth()?)
}
