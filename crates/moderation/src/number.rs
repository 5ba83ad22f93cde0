//! A number of a policy, compared with the numbers of `metadata` by what their digits say.

use serde::{Serialize, Serializer};

/// A decimal number, exactly: neither it nor what it is compared with is ever rounded to a float.
///
/// `metadata` is handed through as it was written, with any number of digits, and comes from a message or from a row: comparing
/// the digits gives the same answer for both, and `1`, `1.0` and `10e-1` are one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    /// Without zeros at either end; empty for zero. The value is 0.DIGITS × 10^exponent.
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Of a number as JSON writes it; a leading `+` may be there as well. `None` if the text is none, or its exponent is beyond
    /// 64 bits.
    pub(crate) fn of(text: &str) -> Option<Decimal> {
        let parts = Parts::of(text)?;
        let digits = parts.significant().map(char::from).collect();
        Some(Decimal { negative: parts.negative, digits, exponent: parts.exponent })
    }

    /// Whether a number as JSON writes it is this one.
    pub(crate) fn equals(&self, text: &str) -> bool {
        Parts::of(text).is_some_and(|parts| {
            parts.negative == self.negative
                && parts.exponent == self.exponent
                && parts.significant().eq(self.digits.bytes())
        })
    }
}

impl Serialize for Decimal {
    /// As text: digits without zeros at the ends, times a power of ten: `-15e-1`; zero is `0`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.digits.is_empty() {
            return serializer.serialize_str("0");
        }
        let (sign, digits) = (if self.negative { "-" } else { "" }, &self.digits);
        // The exponent of a whole number of digits; i128 since that may lie beyond 64 bits.
        let exponent = i128::from(self.exponent) - digits.len() as i128;
        serializer.collect_str(&format_args!("{sign}{digits}e{exponent}"))
    }
}

/// A number's text, taken apart but not copied.
struct Parts<'t> {
    /// False for zero.
    negative: bool,
    whole: &'t str,
    fraction: &'t str,
    /// Zeros before the first other digit.
    leading: usize,
    /// Digits from there to the last that is no zero.
    length: usize,
    /// Of 0.DIGITS; 0 for zero.
    exponent: i64,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Option<Parts<'t>> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, power) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
            None => (unsigned, None),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut digits = whole.bytes().chain(fraction.bytes());
        if !digits.clone().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let Some(leading) = digits.position(|digit| digit != b'0') else {
            return Some(Parts { negative: false, whole, fraction, leading: 0, length: 0, exponent: 0 });
        };
        let trailing = fraction.bytes().rev().chain(whole.bytes().rev()).take_while(|digit| *digit == b'0').count();
        let power: i64 = power.map_or(Ok(0), str::parse).ok()?;
        let exponent = power.checked_add(whole.len() as i64)?.checked_sub(leading as i64)?;
        let length = whole.len() + fraction.len() - leading - trailing;
        Some(Parts { negative, whole, fraction, leading, length, exponent })
    }

    fn significant(&self) -> impl Iterator<Item = u8> + '_ {
        self.whole.bytes().chain(self.fraction.bytes()).skip(self.leading).take(self.length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn equal(left: &str, right: &str) -> bool {
        Decimal::of(left).unwrap().equals(right)
    }

    #[test]
    fn numbers_are_equal_by_value_however_they_are_written() {
        for [left, right] in [
            ["1", "1.0"],
            ["1", "10e-1"],
            ["100", "1E+2"],
            ["-0.0", "0"],
            ["0", "0e99999999999999999999"],
            ["0.10", "1e-1"],
            ["+7", "7"],
            ["1e400", "10e399"],
        ] {
            assert!(equal(left, right) && equal(right, left), "{left} {right}");
        }
        for [left, right] in [
            ["1", "-1"],
            ["0.1", "0.1000000000000000055511151231257827"],
            ["9007199254740993", "9007199254740992"],
            ["1", "10"],
            ["101", "11"],
            ["1", "1e99999999999999999999"],
        ] {
            assert!(!equal(left, right), "{left} {right}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "-", ".", "nan", "inf", "1x", "e5", "1e", "1e99999999999999999999", "0x10", "--1"] {
            assert_eq!(Decimal::of(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_has_one_text() {
        let text = |number: &str| serde_json::to_string(&Decimal::of(number).unwrap()).unwrap();
        assert_eq!(text("-1.50"), r#""-15e-1""#);
        assert_eq!([text("100"), text("1e2")], [r#""1e2""#; 2]);
        assert_eq!(text("-0"), r#""0""#);
    }

    proptest! {
        #[test]
        fn digits_and_powers_of_ten_agree_with_whole_numbers(
            left in -2000_i64..2000, right in -2000_i64..2000, shift in 0_u32..4,
        ) {
            // LEFT shifted to the right of its point, and as much back by the exponent.
            let shifted = format!("{left}{}e-{shift}", "0".repeat(shift as usize));
            prop_assert_eq!(equal(&right.to_string(), &shifted), left == right);
            let padded = format!("{left}.000");
            prop_assert!(equal(&padded, &shifted));
        }
    }
}
