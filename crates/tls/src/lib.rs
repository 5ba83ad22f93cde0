//! TLS: which authorities to trust, and why a server was not trusted. The handshakes are done by the libraries.

use std::error::Error;
use std::io;
use std::net::IpAddr;

use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The certificates in a file of PEM: at least one.
pub fn authorities(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(format!("{path:?} holds no certificate in PEM")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("{path:?} can't be read: {error}")),
    }
}

/// What is wrong with a setting that names a file of authorities; "" stands for the system's own.
pub fn check_authorities(key: &str, path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Ok(());
    }
    let fix = "name the PEM file of the authority that signed the server's certificate";
    authorities(path).map(drop).map_err(|problem| format!("{key}: {problem}; {fix}"))
}

/// Why a connection failed, if TLS is the reason: what is wrong, and how to fix it.
/// `roots` names the setting by which authorities are made known.
pub fn failure(error: &(dyn Error + 'static), roots: &str) -> Option<String> {
    let mut causes = Some(error);
    while let Some(error) = causes {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(explain(error, roots));
        }
        // An I/O error hides what it was made of from `source`.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        causes = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn explain(error: &rustls::Error, roots: &str) -> String {
    use rustls::Error::{InvalidCertificate, InvalidMessage};
    match error {
        // By another key of an authority of that name: its signature is then bad.
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => format!(
            "its certificate is by an authority that is not known here; name the file with the authority's certificate \
             in {roots}"
        ),
        InvalidCertificate(CertificateError::NotValidForNameContext { expected, presented }) => format!(
            "its certificate is for {}, not for {}; write that name into the URL, or give the server a certificate for \
             this one",
            presented.join(", "),
            expected.to_str()
        ),
        InvalidCertificate(CertificateError::ExpiredContext { .. } | CertificateError::Expired) => {
            format!("{error}; renew the server's certificate, or set this machine's clock")
        }
        InvalidMessage(_) => format!("what answers there speaks no TLS ({error}); check the scheme and the port"),
        _ => format!("{error}; it was reached by TLS, and one side refused the other"),
    }
}

/// Whether what is sent to a host stays on this machine.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_below_other_errors() {
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let nested = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, unknown()));
        for error in [&unknown() as &(dyn Error + 'static), &nested] {
            let said = failure(error, "broker.ca_file").unwrap();
            assert!(said.contains("authority") && said.contains("broker.ca_file"), "{said}");
        }
        assert_eq!(failure(&io::Error::from(io::ErrorKind::ConnectionRefused), "x"), None);
    }

    #[test]
    fn a_file_without_a_certificate_is_refused_by_name() {
        assert!(check_authorities("objects.ca_file", "").is_ok());
        for path in ["/no/such/file.pem", "Cargo.toml"] {
            let problem = check_authorities("objects.ca_file", path).unwrap_err();
            assert!(problem.contains("objects.ca_file") && problem.contains(path), "{problem}");
        }
    }

    #[test]
    fn loopback_is_known_by_all_its_names() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example.com", "10.0.0.1", "rabbit", "::2", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
