//! Where somebody goes once they are signed in: to a page of the console, wherever a forged link would have them go.

use url::Url;

use crate::error::AccessError;

const MOST: usize = 2048;

/// The path, if it is one of ours; `/` for none.
pub(crate) fn checked(next: &str) -> Result<&str, AccessError> {
    if next.is_empty() {
        return Ok("/");
    }
    // Browsers take `\` for `/`, and leave out tabs and line ends wherever they stand.
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && next.len() <= MOST
        && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let here = Url::parse("https://console.invalid/").expect("a literal");
    let stays = here.join(next).is_ok_and(|there| there.origin() == here.origin());
    if ours && stays { Ok(next) } else { Err(AccessError::Next) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_ours_is_gone_to() {
        assert_eq!(checked("").unwrap(), "/");
        for good in ["/", "/items/1?a=b&c=%2F%2Fx", "/search?q=a#x", "/@evil.example"] {
            assert_eq!(checked(good).unwrap(), good);
        }
        for bad in [
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "https://evil.example/",
            "https:/evil.example",
            "javascript:alert(1)",
            "items/1",
            " /",
            "/a b",
            "/\u{e9}",
            "/\r\nSet-Cookie: a=b",
        ] {
            assert!(matches!(checked(bad), Err(AccessError::Next)), "{bad:?}");
        }
        assert!(checked(&format!("/{}", "a".repeat(MOST))).is_err());
    }
}
