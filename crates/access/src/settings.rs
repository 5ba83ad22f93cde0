//! What `[access]` of the configuration says of who may do what.

use std::path::Path;

use ipnet::IpNet;
use review::Role;
use serde::Deserialize;
use url::Url;

/// Where the issuer sends people back to, behind the console's public address.
const CALLBACK: &str = "/login/callback";
/// A longer session is none.
const MOST_HOURS: u32 = 7 * 24;
const MOST_DAYS: u32 = 366;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// A session ends after this time, however busy it is.
    pub session_hours: u32,
    /// It ends if nothing came for this long.
    pub idle_minutes: u32,
    /// For which a personal token may be made.
    pub tokens_max_days: u32,
    pub oidc: Oidc,
    pub proxy: Proxy,
    pub roles: Vec<RoleRule>,
}

/// `[access.oidc]`: where people sign in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Oidc {
    /// Exactly as the issuer writes itself; "" for none.
    pub issuer: String,
    pub client_id: String,
    /// "" for a client without a secret.
    pub client_secret_file: String,
    /// The console's public address and `/login/callback`.
    pub redirect_url: String,
    pub groups_claim: String,
    pub scopes: Vec<String>,
    /// The authorities that the issuer's certificate is by, in PEM; "" for the system's.
    pub ca_file: String,
}

/// `[access.proxy]`: a proxy that says who is asking.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Proxy {
    /// The addresses of the proxies; empty for none.
    pub from: Vec<IpNet>,
    pub secret_file: String,
    pub secret_header: String,
    pub user_header: String,
    /// "" for none.
    pub groups_header: String,
}

/// `[[access.roles]]`: what a group, or one person, may do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRule {
    pub group: Option<String>,
    /// "issuer subject" or `proxy:USER`.
    pub person: Option<String>,
    pub role: Role,
    /// `["*"]` for all of them.
    pub tenants: Vec<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            session_hours: 12,
            idle_minutes: 60,
            tokens_max_days: 90,
            oidc: Oidc::default(),
            proxy: Proxy::default(),
            roles: Vec::new(),
        }
    }
}

impl Default for Oidc {
    fn default() -> Oidc {
        Oidc {
            issuer: String::new(),
            client_id: String::new(),
            client_secret_file: String::new(),
            redirect_url: String::new(),
            groups_claim: "groups".into(),
            scopes: vec!["profile".into()],
            ca_file: String::new(),
        }
    }
}

impl Settings {
    /// What the types do not hold; the error names the key and the mend.
    pub fn validate(&self) -> Result<(), String> {
        within("access.session_hours", self.session_hours, 1, MOST_HOURS)?;
        within("access.idle_minutes", self.idle_minutes, 5, MOST_HOURS * 60)?;
        within("access.tokens_max_days", self.tokens_max_days, 1, MOST_DAYS)?;
        self.oidc.validate()?;
        self.proxy.validate()?;
        self.roles.iter().enumerate().try_for_each(|(place, rule)| rule.validate(place + 1))
    }
}

impl Oidc {
    /// Whether people sign in by it.
    pub fn is_there(&self) -> bool {
        !self.issuer.is_empty()
    }

    fn validate(&self) -> Result<(), String> {
        if !self.is_there() {
            return Ok(());
        }
        if !is_protected(&self.issuer) {
            return Err(format!(
                "access.oidc.issuer = {:?} must be an https:// address, exactly as the issuer writes it (http:// on loopback alone)",
                self.issuer
            ));
        }
        if self.client_id.is_empty() {
            return Err("access.oidc.client_id is empty: register the console with the issuer, and write here what it is called there"
                .into());
        }
        let back = Url::parse(&self.redirect_url).ok();
        let right = back.is_some_and(|url| url.path() == CALLBACK && url.query().is_none() && url.fragment().is_none());
        if !right || !is_protected(&self.redirect_url) {
            return Err(format!(
                "access.oidc.redirect_url = {:?} must be the console's public https:// address and `{CALLBACK}` (http:// on loopback \
                 alone)",
                self.redirect_url
            ));
        }
        if self.groups_claim.is_empty() {
            return Err(
                "access.oidc.groups_claim is empty: name the claim that holds a person's groups, such as \"groups\""
                    .into(),
            );
        }
        let word = |scope: &String| {
            !scope.is_empty() && scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        };
        if let Some(scope) = self.scopes.iter().find(|scope| !word(scope)) {
            return Err(format!("access.oidc.scopes has {scope:?}, which is no word: write one scope in each place"));
        }
        is_readable("access.oidc.client_secret_file", &self.client_secret_file)?;
        tls::check_authorities("access.oidc.ca_file", &self.ca_file)
    }
}

impl Proxy {
    /// Whether there is one that is believed.
    pub fn is_there(&self) -> bool {
        !self.from.is_empty()
    }

    fn validate(&self) -> Result<(), String> {
        if !self.is_there() {
            let named = [&self.secret_file, &self.secret_header, &self.user_header, &self.groups_header];
            return match named.iter().all(|value| value.is_empty()) {
                true => Ok(()),
                false => Err(
                    "access.proxy.from is empty, and other keys of access.proxy are not: name the proxies' addresses, \
                              such as [\"10.0.0.0/8\"], or remove the others"
                        .into(),
                ),
            };
        }
        if let Some(all) = self.from.iter().find(|network| network.prefix_len() == 0) {
            return Err(format!(
                "access.proxy.from has {all}, which is everybody: name the addresses of the proxies alone"
            ));
        }
        for (key, value, may_be_empty) in [
            ("user_header", &self.user_header, false),
            ("secret_header", &self.secret_header, false),
            ("groups_header", &self.groups_header, true),
        ] {
            let known = ["cookie", "authorization", "host", "origin"].contains(&value.to_ascii_lowercase().as_str());
            let right = http::HeaderName::from_bytes(value.as_bytes()).is_ok() && !known;
            let left_out = may_be_empty && value.is_empty();
            if !(right || left_out) {
                return Err(format!(
                    "access.proxy.{key} = {value:?} must be the name of a header of its own, such as \"X-Assay-User\""
                ));
            }
        }
        let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        let headers = (&self.user_header, &self.secret_header, &self.groups_header);
        if same(headers.0, headers.1) || same(headers.0, headers.2) || same(headers.1, headers.2) {
            return Err(
                "access.proxy names one header twice: user_header, groups_header and secret_header must differ".into(),
            );
        }
        if self.secret_file.is_empty() {
            return Err("access.proxy.secret_file is empty: name a file with a secret of at least 16 bytes, which the proxy sends too"
                .into());
        }
        let secret = read_secret("access.proxy.secret_file", &self.secret_file)?;
        match secret.len() {
            16.. => Ok(()),
            few => Err(format!(
                "access.proxy.secret_file holds {few} bytes: write at least 16, such as `openssl rand -hex 32` gives"
            )),
        }
    }
}

impl RoleRule {
    fn validate(&self, place: usize) -> Result<(), String> {
        let named = [&self.group, &self.person].into_iter().flatten().collect::<Vec<_>>();
        let key = format!("access.roles (number {place})");
        if named.len() != 1 || named[0].is_empty() {
            return Err(format!("{key} must name a `group` or a `person`, one of the two"));
        }
        if self.tenants.is_empty() {
            return Err(format!("{key} is for no tenant: write tenants = [\"acme\"], or [\"*\"] for all of them"));
        }
        if self.tenants.iter().any(|tenant| tenant == "*") && self.tenants.len() > 1 {
            return Err(format!("{key} is for all tenants and names some: write tenants = [\"*\"] alone"));
        }
        let word = |tenant: &String| {
            !tenant.is_empty() && tenant.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        match self.tenants.iter().find(|tenant| !word(tenant) && *tenant != "*") {
            None => Ok(()),
            Some(tenant) => {
                Err(format!("{key} has {tenant:?}, which is no tenant: tenants are letters, digits, `_` and `-`"))
            }
        }
    }
}

/// What a file holds, without the line end that editors add.
pub(crate) fn read_secret(key: &str, file: &str) -> Result<String, String> {
    let read = std::fs::read_to_string(Path::new(file));
    let text = read
        .map_err(|error| format!("{key} = {file:?} can't be read: {error}; name a file that this process may read"))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || secret.contains(['\r', '\n', '\0']) {
        return Err(format!("{key} = {file:?} must hold one line, the secret"));
    }
    Ok(secret.into())
}

fn is_readable(key: &str, file: &str) -> Result<(), String> {
    if file.is_empty() { Ok(()) } else { read_secret(key, file).map(drop) }
}

/// Whether nobody on the way reads what is sent there.
pub(crate) fn is_protected(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let loopback = url.host_str().is_some_and(tls::is_loopback);
    let plain = url.username().is_empty() && url.password().is_none();
    plain && (url.scheme() == "https" && url.has_host() || url.scheme() == "http" && loopback)
}

fn within(key: &str, value: u32, least: u32, most: u32) -> Result<(), String> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(format!("{key} = {value} must be from {least} to {most}"))
    }
}

#[cfg(test)]
mod tests;
