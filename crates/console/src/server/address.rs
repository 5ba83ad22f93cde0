//! Under which names the console is reached, and by none else.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use url::Url;

/// Why the console does not listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("console.listen {address:?} can't be served: {cause}; choose a free address such as \"127.0.0.1:9466\"")]
    Listen {
        address: String,
        #[source]
        cause: std::io::Error,
    },
    #[error(
        "console.listen is {0}, and with `--user` whoever reaches the console may do everything: listen on loopback, such as \
         \"127.0.0.1:9466\", or leave `--user` out and let people sign in"
    )]
    TrialBeyondLoopback(SocketAddr),
    #[error("console.public_url = {0:?} must be https://host or http://host:port, without a path")]
    PublicUrl(String),
}

/// The names under which requests are answered. Others are refused: a page of somebody else's may have its own name lead here.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// As browsers write it in `Origin`.
    pub(super) origin: String,
    public: String,
    bound: SocketAddr,
}

impl Names {
    pub(super) fn new(public_url: &str, bound: SocketAddr) -> Result<Names, BindError> {
        let given = match public_url {
            "" => format!("http://{bound}"),
            url => url.to_string(),
        };
        let wrong = || BindError::PublicUrl(given.clone());
        let url = Url::parse(&given).map_err(|_| wrong())?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !plain || url.host_str().is_none() {
            return Err(wrong());
        }
        let origin = url.origin().ascii_serialization();
        let public = origin.split_once("://").map(|(_, authority)| authority.to_string()).unwrap_or_default();
        Ok(Names { origin, public, bound })
    }

    /// Whether this is a `Host` of ours: the public one, the address that is listened at, or loopback under whatever port leads here.
    pub(super) fn has(&self, host: &str) -> bool {
        if host.eq_ignore_ascii_case(&self.public) || host.parse() == Ok(self.bound) {
            return true;
        }
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if host.contains('@') {
            return false;
        }
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(public_url: &str) -> Names {
        Names::new(public_url, "127.0.0.1:9466".parse().unwrap()).unwrap()
    }

    #[test]
    fn the_public_name_and_loopback_are_ours_and_no_other() {
        let names = names("https://review.example.com");
        for ours in
            ["review.example.com", "REVIEW.example.com", "127.0.0.1:9466", "localhost:80", "[::1]:9466", "127.0.0.2"]
        {
            assert!(names.has(ours), "{ours}");
        }
        for other in [
            "evil.example",
            "review.example.com.evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "",
            "x@localhost",
            "a b",
        ] {
            assert!(!names.has(other), "{other}");
        }
        assert_eq!(names.origin, "https://review.example.com");
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        for wrong in ["review.example.com", "ftp://x", "https://x/console", "https://a:b@x", "https://x/?a"] {
            assert!(Names::new(wrong, "127.0.0.1:1".parse().unwrap()).is_err(), "{wrong}");
        }
        assert_eq!(names("").origin, "http://127.0.0.1:9466");
    }
}
