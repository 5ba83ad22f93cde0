//! Texts that look like e-mail addresses, which a statement must not contain (article 24(5): no personal data).

use std::borrow::Cow;

/// What stands in place of one.
const REMOVED: &str = "[address removed]";

/// The at sign, as such, in its wide and small forms, and as it is written in URLs.
const AT_SIGNS: [&str; 4] = ["@", "\u{ff20}", "\u{fe6b}", "%40"];

/// Whether a text has something that looks like an e-mail address, or a name of an account that begins with an at sign.
pub(crate) fn has_address(text: &str) -> bool {
    AT_SIGNS.iter().any(|sign| text.contains(sign))
}

/// The text without such: each word that has an at sign is replaced, and where the at sign stands at an end of its word
/// (`name @ example.com`) the neighbour on that side as well. White space stays as it is.
pub(crate) fn without_addresses(text: &str) -> Cow<'_, str> {
    if !has_address(text) {
        return Cow::Borrowed(text);
    }
    let pieces = pieces(text);
    // Words stand at every second place, beginning with the first.
    let doomed = |at: usize| {
        let neighbour = |at: Option<usize>| at.and_then(|at| pieces.get(at)).copied().unwrap_or_default();
        has_address(pieces[at])
            || AT_SIGNS.iter().any(|sign| neighbour(at.checked_sub(2)).ends_with(sign))
            || AT_SIGNS.iter().any(|sign| neighbour(at.checked_add(2)).starts_with(sign))
    };
    let kept = pieces.iter().enumerate().map(|(at, piece)| {
        let word = at % 2 == 0 && !piece.is_empty();
        if word && doomed(at) { REMOVED } else { piece }
    });
    Cow::Owned(kept.collect())
}

/// The text cut into words (at even places, empty where it begins or ends with white space) and the white space between them.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut rest, mut word) = (Vec::new(), text, true);
    while !rest.is_empty() {
        let end = rest.find(|letter: char| letter.is_whitespace() == word).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        (rest, word) = (after, !word);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_with_an_at_sign_are_replaced_and_nothing_else() {
        let without = |text| without_addresses(text).into_owned();
        assert_eq!(without("ask (jo@example.com),\n then wait"), "ask [address removed]\n then wait");
        assert_eq!(without("jo＠example.com mailto:jo%40example.com"), "[address removed] [address removed]");
        assert_eq!(without(" jo @ example.com or"), " [address removed] [address removed] [address removed] or");
        assert_eq!(
            without("jo@ example.com, jo @example.com"),
            "[address removed] [address removed] [address removed] [address removed]"
        );
        assert_eq!(without("no such thing "), "no such thing ");
    }

    proptest! {
        #[test]
        fn no_at_sign_is_left(text in "([a-z.]{0,3}[@＠﹫ \n%40]{0,3}){0,8}") {
            prop_assert!(!has_address(&without_addresses(&text)));
        }
    }
}
