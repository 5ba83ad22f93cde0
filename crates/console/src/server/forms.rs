//! What a browser sends: fields of forms and of addresses, read strictly.

use std::str::FromStr;

use uuid::Uuid;

use super::refusal::Refusal;

/// How many fields a form or an address may have. The largest is a list of leases.
const MOST_FIELDS: usize = 64;

/// Fields by name, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Of `application/x-www-form-urlencoded`, or of a query.
    pub(super) fn read(encoded: &[u8]) -> Result<Fields, Refusal> {
        let mut fields = Vec::new();
        for part in encoded.split(|&byte| byte == b'&').filter(|part| !part.is_empty()) {
            if fields.len() == MOST_FIELDS {
                return Err(Refusal::bad_request(format!("it has more than {MOST_FIELDS} fields")));
            }
            let (name, value) = match part.iter().position(|&byte| byte == b'=') {
                Some(at) => (&part[..at], &part[at + 1..]),
                None => (part, &part[part.len()..]),
            };
            fields.push((text(name)?, text(value)?));
        }
        Ok(Fields(fields))
    }

    /// The first one of this name, without white space around it; `None` if there is none or it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(Into::into)
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A box that is ticked.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.get(name) == Some("on")
    }

    /// An id that the page brings along: nobody types it.
    pub(super) fn id(&self, name: &str) -> Result<Uuid, Refusal> {
        let value = self.get(name).ok_or_else(|| Refusal::bad_request(format!("the field `{name}` is missing")))?;
        Uuid::try_parse(value).map_err(|_| Refusal::bad_request(format!("the field `{name}` is no id")))
    }

    /// Every id of this name.
    pub(super) fn ids(&self, name: &str) -> Result<Vec<Uuid>, Refusal> {
        let read = |value: &str| {
            Uuid::try_parse(value).map_err(|_| Refusal::bad_request(format!("the field `{name}` is no id")))
        };
        self.all(name).map(read).collect()
    }

    /// One of the words that the page has for it.
    pub(super) fn word<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let read = |value: &str| {
            value.parse().map_err(|_| Refusal::bad_request(format!("the field `{name}` has a word that is not known")))
        };
        self.get(name).map(read).transpose()
    }
}

fn text(encoded: &[u8]) -> Result<String, Refusal> {
    let spaced: Vec<u8> = encoded.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    let decoded = percent_encoding::percent_decode(&spaced).collect::<Vec<u8>>();
    let text = String::from_utf8(decoded).map_err(|_| Refusal::bad_request("it is no text in UTF-8"))?;
    if text.contains('\0') {
        return Err(Refusal::bad_request("it contains a NUL character, which can’t be stored: take it out"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_browsers_write_them() {
        let fields = Fields::read(b"q=a%2Bb+c%C3%A9&lease=&on=on&x&lease=2&q=later").unwrap();
        assert_eq!(fields.get("q"), Some("a+b cé"));
        assert_eq!((fields.get("lease"), fields.get("x"), fields.get("none")), (None, None, None));
        assert_eq!(fields.all("lease").collect::<Vec<_>>(), ["", "2"]);
        assert!(fields.is_on("on") && !fields.is_on("q"));
    }

    #[test]
    fn what_is_no_text_no_id_or_too_much_is_refused() {
        assert!(Fields::read(b"q=%ff").is_err() && Fields::read(b"q=%00").is_err());
        assert!(Fields::read("a=1&".repeat(65).as_bytes()).is_err());
        let fields = Fields::read(b"lease=7&vote=0eb6a72c-8aa9-4941-8f74-000000000001").unwrap();
        assert!(fields.id("lease").is_err() && fields.id("missing").is_err() && fields.ids("lease").is_err());
        assert!(fields.id("vote").is_ok());
    }
}
