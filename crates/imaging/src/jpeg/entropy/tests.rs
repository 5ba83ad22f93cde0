//! Reading Huffman codes: against what was written, and against reading symbol after symbol.

use proptest::prelude::*;

use super::super::writer::{DIFFERENCE_COUNTS, DIFFERENCE_SYMBOLS, Writer, put_difference};
use super::*;

/// One code of each length up to 16, symbols from 0x11 on; the end of a block has three bits.
fn lopsided() -> (Code, Vec<(u32, u32, u8)>) {
    let symbols = [0x01, 0x11, 0x00, 0xf0, 0x02, 0x23, 0x05, 0x0a, 0x31, 0x04, 0x12, 0x07, 0x1a, 0xea, 0x0f, 0x41];
    let codes = (1..=16).map(|length| (length, (1 << length) - 2, symbols[length as usize - 1])).collect();
    (Code::new(&[1; 16], &symbols).unwrap(), codes)
}

fn written(pieces: &[(u32, u32)]) -> Vec<u8> {
    let mut writer = Writer::behind(Vec::new());
    for &(length, value) in pieces {
        writer.put(length, value);
    }
    writer.finish()
}

proptest! {
    #[test]
    fn differences_come_back_as_they_were_written(differences in prop::collection::vec(-32767i32..=32767, 1..300)) {
        let mut writer = Writer::behind(Vec::new());
        for &difference in &differences {
            put_difference(&mut writer, difference).unwrap();
        }
        let bytes = writer.finish();
        let code = Code::new(&DIFFERENCE_COUNTS, &DIFFERENCE_SYMBOLS).unwrap();
        let mut bits = Bits::new(&bytes);
        for &difference in &differences {
            prop_assert_eq!(code.difference(&mut bits), Some(difference));
        }
        prop_assert!(!bits.has_overrun());
    }

    /// Against reading symbol after symbol.
    #[test]
    fn a_walk_ends_where_the_symbols_end(choices in prop::collection::vec((0usize..16, any::<u32>()), 1..400)) {
        let (code, codes) = lopsided();
        let runs = Runs::new(code);
        // Whole blocks, of whatever symbols fit.
        let (mut pieces, mut ends, mut done, mut position) = (Vec::new(), Vec::new(), 1, 0);
        for (choice, value) in choices {
            let (length, code, symbol) = codes[choice];
            let run = Run::of_symbol(length, symbol);
            let coefficients = run.before_end().unwrap_or(run.coefficients.into());
            if done + coefficients > 64 {
                continue;
            }
            let category = u32::from(symbol & 15);
            pieces.extend([(length, code), (category, value & ((1 << category) - 1))]);
            position += length + category;
            done += coefficients;
            if run.before_end().is_some() || done == 64 {
                ends.push(position);
                done = 1;
            }
        }
        let bytes = written(&pieces);
        let (mut bits, mut walked, mut copy) = (Bits::new(&bytes), 0, Writer::behind(Vec::new()));
        for end in ends {
            runs.walk(&mut bits, |length, value| {
                walked += length;
                copy.put(length, value);
            }).unwrap();
            prop_assert_eq!(walked, end);
        }
        let copy = copy.finish();
        let whole = (walked / 8) as usize;
        prop_assert_eq!(&copy[..whole.min(copy.len())], &bytes[..whole.min(copy.len())]);
    }
}

#[test]
fn codes_that_do_not_fit_make_no_code() {
    let mut counts = [0; 16];
    counts[0] = 2;
    assert!(Code::new(&counts, &[1, 2]).is_none(), "the second would be all ones");
    counts[0] = 1;
    assert!(Code::new(&counts, &[]).is_none(), "a symbol is missing");
    assert!(Code::new(&counts, &[1]).is_some());
}

#[test]
fn a_block_with_too_many_coefficients_or_an_unknown_code_is_none() {
    let runs = Runs::new(lopsided().0);
    // 0xf0 (1110) four times is sixty-four coefficients behind the first.
    assert!(runs.walk(&mut Bits::new(&written(&[(16, 0xeeee)])), |_, _| {}).is_none());
    assert!(runs.walk(&mut Bits::new(&[0xff, 0, 0xff, 0, 0xff, 0]), |_, _| {}).is_none());
}

#[test]
fn reading_behind_the_end_is_noticed() {
    let code = Code::new(&DIFFERENCE_COUNTS, &DIFFERENCE_SYMBOLS).unwrap();
    // 00001 1, 00001 0, and four bits.
    let mut bits = Bits::new(&[0b0000_1100, 0b0010_0000, 0xff, 0xd9]);
    assert_eq!(code.difference(&mut bits), Some(1));
    assert_eq!(code.difference(&mut bits), Some(-1));
    assert!(!bits.has_overrun());
    code.difference(&mut bits);
    assert!(bits.has_overrun());
}

#[test]
fn a_restart_marker_is_taken_in_its_place_alone() {
    let code = Code::new(&DIFFERENCE_COUNTS, &DIFFERENCE_SYMBOLS).unwrap();
    // 00001 1 and 00001 0, filled up with ones.
    let data = [0b0000_1111, 0xff, 0xd3, 0b0000_1011, 0xff, 0xd4];
    let mut bits = Bits::new(&data);
    assert!(bits.restart(3).is_none(), "a byte comes before it");
    let mut bits = Bits::new(&data);
    assert_eq!(code.difference(&mut bits), Some(1));
    assert!(bits.restart(4).is_none(), "another number");
    bits.restart(3).unwrap();
    assert_eq!(code.difference(&mut bits), Some(-1));
    bits.restart(4).unwrap();
    assert!(bits.restart(5).is_none(), "nothing is left");
}
