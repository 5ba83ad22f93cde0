//! A proxy that says who is asking. What it says is believed from its address and with its secret, and from nobody else.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::error::AccessError;
use crate::identity::{Identity, LONGEST, shown};
use crate::secret;
use crate::settings::{self, read_secret};

/// Of all groups together, bytes.
const MOST_GROUPS: usize = 16 * 1024;

pub(crate) struct Proxy {
    from: Vec<IpNet>,
    secret: String,
    secret_header: HeaderName,
    user_header: HeaderName,
    groups_header: Option<HeaderName>,
}

impl Proxy {
    /// `None` where the settings name none.
    pub(crate) fn new(settings: &settings::Proxy) -> Result<Option<Proxy>, AccessError> {
        if !settings.is_there() {
            return Ok(None);
        }
        let header = |name: &str| {
            HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| AccessError::Settings(format!("access.proxy names {name:?}, which is no header")))
        };
        let secret = read_secret("access.proxy.secret_file", &settings.secret_file).map_err(AccessError::Settings)?;
        let groups_header = match settings.groups_header.as_str() {
            "" => None,
            name => Some(header(name)?),
        };
        Ok(Some(Proxy {
            from: settings.from.clone(),
            secret,
            secret_header: header(&settings.secret_header)?,
            user_header: header(&settings.user_header)?,
            groups_header,
        }))
    }

    /// Who is asking, by the headers; `None` if they say nothing of it. Whoever sends them and is no proxy is refused.
    pub(crate) fn identity(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Option<Identity>, AccessError> {
        let groups = self.groups_header.as_ref().filter(|header| headers.contains_key(*header));
        let Some(header) = Some(&self.user_header).filter(|header| headers.contains_key(*header)).or(groups) else {
            return Ok(None);
        };
        let peer = peer.to_canonical();
        if !self.from.iter().any(|network| network.contains(&peer)) {
            return Err(AccessError::UnknownProxy { header: header.to_string(), peer });
        }
        let mut secrets = headers.get_all(&self.secret_header).iter();
        let right = secrets.next().is_some_and(|sent| secret::same(sent.as_bytes(), self.secret.as_bytes()));
        if !right || secrets.next().is_some() {
            let secret_header = self.secret_header.to_string();
            return Err(AccessError::ProxySecret { header: header.to_string(), secret_header });
        }
        // A proxy may name the header of groups always, and the one of a user for whoever is known to it.
        let Some(user) = one(headers, &self.user_header, LONGEST)? else { return Ok(None) };
        let listed = match &self.groups_header {
            Some(header) => one(headers, header, MOST_GROUPS)?.unwrap_or_default(),
            None => "",
        };
        let groups = listed.split(',').map(str::trim).filter(|group| !group.is_empty()).map(String::from).collect();
        Ok(Some(Identity { person: format!("proxy:{user}"), name: shown(Some(user), user), groups }))
    }
}

/// The value of a header that comes once at most: of two, one would be the client's own.
fn one<'a>(headers: &'a HeaderMap, header: &HeaderName, most: usize) -> Result<Option<&'a str>, AccessError> {
    let wrong = |problem| AccessError::ProxyHeader { header: header.to_string(), problem };
    let mut values = headers.get_all(header).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(wrong("came twice"));
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| wrong("is not encoded in UTF-8"))?.trim();
    if text.len() > most || text.chars().any(char::is_control) {
        return Err(wrong("is too long, or holds control characters"));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn proxy() -> Proxy {
        let header = HeaderName::from_static;
        Proxy {
            from: vec!["10.0.0.0/8".parse().unwrap()],
            secret: SECRET.into(),
            secret_header: header("x-secret"),
            user_header: header("x-user"),
            groups_header: Some(header("x-groups")),
        }
    }

    fn asked(peer: &str, sent: &[(&'static str, &str)]) -> Result<Option<Identity>, AccessError> {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        proxy().identity(&sent.iter().map(pair).collect(), peer.parse().unwrap())
    }

    #[test]
    fn the_proxy_is_believed() {
        let sent = [("x-user", "ann"), ("x-groups", "moderators, , leads"), ("x-secret", SECRET)];
        for peer in ["10.1.2.3", "::ffff:10.1.2.3"] {
            let found = asked(peer, &sent).unwrap().unwrap();
            assert_eq!((found.person.as_str(), found.name.as_str()), ("proxy:ann", "ann"));
            assert_eq!(found.groups, ["leads".to_string(), "moderators".into()].into());
        }
        assert_eq!(asked("10.1.2.3", &sent[1..]).unwrap(), None);
    }

    #[test]
    fn without_its_headers_a_request_is_nobodys() {
        assert_eq!(asked("192.0.2.1", &[]).unwrap(), None);
        assert_eq!(asked("10.1.2.3", &[("x-secret", SECRET)]).unwrap(), None);
    }

    #[test]
    fn a_forged_header_from_an_unknown_address_is_refused_with_words() {
        for sent in [&[("x-user", "ann"), ("x-secret", SECRET)][..], &[("x-groups", "admins")], &[("x-user", "")]] {
            let error = asked("192.0.2.1", sent).unwrap_err();
            assert_eq!(error.status(), http::StatusCode::FORBIDDEN);
            assert!(error.to_string().contains("192.0.2.1") && error.to_string().contains("access.proxy.from"));
        }
    }

    #[test]
    fn a_wrong_secret_is_refused_with_words() {
        for secrets in [&[][..], &["x"], &["0123456789abcde"], &["0123456789abcdef0"], &[SECRET, SECRET], &["", SECRET]]
        {
            let mut sent = vec![("x-user", "ann")];
            sent.extend(secrets.iter().map(|secret| ("x-secret", *secret)));
            let error = asked("10.1.2.3", &sent).unwrap_err();
            assert_eq!(error.status(), http::StatusCode::UNAUTHORIZED);
            assert!(error.to_string().contains("x-secret") && !error.to_string().contains(SECRET), "{error}");
        }
    }

    #[test]
    fn a_header_that_the_client_added_is_no_second_opinion() {
        for more in [("x-user", "root"), ("x-groups", "admins")] {
            let sent = [("x-user", "ann"), ("x-groups", "staff"), ("x-secret", SECRET), more];
            assert!(matches!(asked("10.1.2.3", &sent), Err(AccessError::ProxyHeader { .. })), "{more:?}");
        }
        let long = "a".repeat(LONGEST + 1);
        assert!(asked("10.1.2.3", &[("x-user", &long), ("x-secret", SECRET)]).is_err());
    }
}
