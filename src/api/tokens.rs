//! Who may look up whose submissions: bearer tokens, each bound to a tenant.

use std::collections::HashMap;
use std::path::Path;

use sha2::{Digest, Sha256};

/// In place of a tenant: a token for all of them.
const ALL: &str = "*";
/// Characters of a token: 128 bits in hexadecimal.
const SHORTEST: usize = 32;

/// What a token is for. Kept by its digest alone, so that comparing takes the same time whatever is wrong with it.
#[derive(Debug)]
pub struct Tokens(HashMap<[u8; 32], String>);

/// What a request may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// No token, or one that is none of ours.
    Unknown,
    /// A token of another tenant.
    Other,
    Granted,
}

impl Tokens {
    /// Reads a file of lines `TENANT TOKEN`; `*` is a token for every tenant, `#` begins a remark.
    pub fn read(path: &Path) -> Result<Tokens, String> {
        let place = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            format!("api.tokens_file {place} can't be read: {error}; it has a line `TENANT TOKEN` for each token")
        })?;
        let tokens =
            Tokens::parse(&text).map_err(|(line, wrong)| format!("api.tokens_file {place}, line {line}: {wrong}"))?;
        if tokens.0.is_empty() {
            return Err(format!(
                "api.tokens_file {place} has no token: write a line `TENANT TOKEN`, or `* TOKEN` for all tenants"
            ));
        }
        Ok(tokens)
    }

    /// The error never shows what stands in the line.
    fn parse(text: &str) -> Result<Tokens, (usize, String)> {
        let mut tokens = HashMap::new();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |words: String| (number + 1, words);
            let (tenant, token) = line
                .split_once(char::is_whitespace)
                .ok_or_else(|| wrong("a tenant and a token are wanted, with a space between them".into()))?;
            let token = token.trim();
            if tenant != ALL {
                domain::request::validate_tenant(tenant).map_err(|error| wrong(error.to_string()))?;
            }
            if token.len() < SHORTEST || !token.chars().all(|letter| letter.is_ascii_graphic()) {
                return Err(wrong(format!(
                    "a token has at least {SHORTEST} letters, digits or signs and no space; `openssl rand -hex 32` makes one"
                )));
            }
            if tokens.insert(digest(token), tenant.to_string()).is_some() {
                return Err(wrong("the same token stands there twice; each tenant has its own".into()));
            }
        }
        Ok(Tokens(tokens))
    }

    /// What the header `Authorization` of a request allows with this tenant.
    pub fn access(&self, authorization: Option<&str>, tenant: &str) -> Access {
        let token = authorization.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        match token.and_then(|token| self.0.get(&digest(token))) {
            None => Access::Unknown,
            Some(bound) if bound == ALL || bound == tenant => Access::Granted,
            Some(_) => Access::Other,
        }
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_its_tenant_and_no_other() {
        let (acme, all) = ("a".repeat(32), "b".repeat(40));
        let tokens = Tokens::parse(&format!("\u{feff}# for the forum\nacme  {acme}\r\n\n* {all}\n")).unwrap();
        let bearer = |token: &str| format!("Bearer {token}");
        for (header, tenant, wanted) in [
            (Some(bearer(&acme)), "acme", Access::Granted),
            (Some(format!("bearer {acme}")), "acme", Access::Granted),
            (Some(bearer(&acme)), "globex", Access::Other),
            (Some(bearer(&all)), "globex", Access::Granted),
            (Some(bearer(&"c".repeat(32))), "acme", Access::Unknown),
            (Some(format!("Basic {acme}")), "acme", Access::Unknown),
            (Some(acme.clone()), "acme", Access::Unknown),
            (None, "acme", Access::Unknown),
        ] {
            assert_eq!(tokens.access(header.as_deref(), tenant), wanted, "{header:?} {tenant}");
        }
    }

    #[test]
    fn a_line_that_is_wrong_is_named_and_not_shown() {
        let token = "s".repeat(32);
        for (text, line, words) in [
            ("# first\nacme short".to_string(), 2, "openssl rand"),
            (format!("ac:me {token}"), 1, "tenant"),
            (token.clone(), 1, "a tenant and a token"),
            (format!("a {token}\nb {token}"), 2, "twice"),
        ] {
            let (number, said) = Tokens::parse(&text).unwrap_err();
            assert!(number == line && said.contains(words) && !said.contains(&token), "{number}: {said}");
        }
    }
}
