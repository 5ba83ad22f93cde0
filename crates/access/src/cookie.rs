//! The cookies of the console: one for a session, one for a sign-in that is going on.

use http::HeaderMap;
use http::header::COOKIE;

/// `secure`: on an https address, where the name's prefix has browsers refuse the cookie of anybody else who could set one. Plain http
/// is for loopback alone, where browsers don't agree on whether they take such cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cookies {
    pub(crate) secure: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookie {
    Session,
    SignIn,
}

impl Cookies {
    fn name(self, cookie: Cookie) -> &'static str {
        match (cookie, self.secure) {
            (Cookie::Session, true) => "__Host-assay",
            (Cookie::SignIn, true) => "__Host-assay-sign-in",
            (Cookie::Session, false) => "assay",
            (Cookie::SignIn, false) => "assay-sign-in",
        }
    }

    /// The value of `Set-Cookie`. `Lax`, since whoever comes back from the issuer, or by a link, comes from another site.
    pub(crate) fn set(self, cookie: Cookie, secret: &str, seconds: u64) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{}={secret}; Path=/; Max-Age={seconds}{secure}; HttpOnly; SameSite=Lax", self.name(cookie))
    }

    /// The value of `Set-Cookie` that removes it.
    pub(crate) fn clear(self, cookie: Cookie) -> String {
        self.set(cookie, "", 0)
    }

    /// What the browser sent; none if it sent several, of which one is not ours.
    pub(crate) fn get(self, cookie: Cookie, headers: &HeaderMap) -> Option<String> {
        let name = self.name(cookie);
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
        let value = values.next()?;
        values.next().is_none().then(|| value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, http::HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn a_cookie_is_for_this_host_and_for_no_script() {
        let secure = Cookies { secure: true };
        assert_eq!(
            secure.set(Cookie::Session, "s", 60),
            "__Host-assay=s; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax"
        );
        assert!(secure.clear(Cookie::Session).starts_with("__Host-assay=; Path=/; Max-Age=0;"));
        assert!(!Cookies { secure: false }.set(Cookie::Session, "s", 60).contains("Secure"));
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let cookies = Cookies { secure: true };
        let sent = headers(&["a=b; __Host-assay=one", "__Host-assay-sign-in=two; assay=three"]);
        assert_eq!(cookies.get(Cookie::Session, &sent).as_deref(), Some("one"));
        assert_eq!(cookies.get(Cookie::SignIn, &sent).as_deref(), Some("two"));
        assert_eq!(cookies.get(Cookie::Session, &headers(&["assay=three", "x"])), None);
        assert_eq!(cookies.get(Cookie::Session, &headers(&["__Host-assay=1; __Host-assay=2"])), None);
    }
}
