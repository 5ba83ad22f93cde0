use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::roles::Role;
use crate::vote::ReviewGround;

fn vote(reviewer: &str, answer: Answer, blind: bool) -> Vote {
    Vote {
        reviewer: reviewer.into(),
        role: Role::Reviewer,
        answer,
        ground: (answer != Answer::CannotTell).then_some(ReviewGround::ByEye),
        blind,
        generator: None,
        comment: None,
    }
}

#[test]
fn kappa_is_that_of_the_textbook_and_its_variance_that_of_small_changes() {
    // The example of Fleiss, Cohen and Everitt 1969: 200 items in three categories.
    let table = Table([[106.0, 10.0, 4.0], [22.0, 28.0, 10.0], [2.0, 12.0, 6.0]]);
    let found = table.measure().unwrap();
    assert!((found.observed - 0.70).abs() < 1e-9 && (found.by_chance - 0.475).abs() < 1e-9, "{found:?}");
    assert!((found.kappa - 0.429).abs() < 5e-4, "{found:?}");
    // The variance of a function of a multinomial table: that of its slopes.
    let slope = |place: usize| {
        let mut more = table;
        more.0[place / 3][place % 3] += 1e-4;
        (more.measure().unwrap().kappa - found.kappa) / 1e-4 * 200.0
    };
    let part = |place: usize| table.0[place / 3][place % 3] / 200.0;
    let mean: f64 = (0..9).map(|place| part(place) * slope(place)).sum();
    let variance: f64 = (0..9).map(|place| part(place) * (slope(place) - mean).powi(2)).sum();
    assert!((found.variance / variance - 1.0).abs() < 1e-3, "{} {variance}", found.variance);
    let deviation = (variance / 200.0).sqrt();
    let [low, high] = table.kappa().interval.unwrap();
    let plain = [found.kappa - 1.96 * deviation, found.kappa + 1.96 * deviation];
    assert!((low - plain[0]).abs() < 0.02 && (high - plain[1]).abs() < 0.02, "{low} {high} {plain:?}");
}

#[test]
fn who_gives_one_answer_only_agrees_by_chance() {
    let found = Table([[12.0, 0.0, 0.0], [0.0; 3], [0.0; 3]]);
    assert_eq!(found.kappa(), Estimate { items: 12, ..Estimate::default() });
    assert_eq!(found.same().value, Some(1.0));
    assert_eq!(Table::default().kappa(), Estimate::default());
    assert_eq!(Table::default().same(), Estimate::default());
    // The other way about: always the opposite.
    let opposite = Table([[0.0, 5.0, 0.0], [5.0, 0.0, 0.0], [0.0; 3]]).kappa();
    assert_eq!(opposite.value, Some(-1.0));
    let [low, high] = opposite.interval.unwrap();
    assert!(low >= -1.0 && high > -0.9 && high < 0.5, "{low} {high}");
}

#[test]
fn a_handful_that_all_agree_is_no_certainty() {
    let found = Table([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0; 3]]).kappa();
    let [low, high] = found.interval.unwrap();
    assert_eq!((found.value, found.items, high), (Some(1.0), 8, 1.0));
    assert!(low < 0.6, "{low}");
    assert!((wilson(0.25, 40.0)[0] - figures::wilson_interval(10, 40, 0.95).unwrap()[0]).abs() < 1e-9);
}

#[test]
fn only_votes_that_did_not_see_the_other_are_compared() {
    use Answer::{CannotTell, Real, Synthetic};
    let items = [
        vec![vote("bob", Real, false), vote("ann", Real, true)],
        vec![vote("ann", Synthetic, true), vote("bob", Real, true), vote("eve", Real, false)],
        vec![vote("ann", CannotTell, true), vote("bob", Real, false)],
        vec![vote("ann", Real, true)],
    ];
    let found = agreement(items.iter().map(Vec::as_slice));
    assert_eq!(found.len(), 1, "eve saw the others, and bob once: {found:?}");
    assert_eq!(found[0].reviewers, ["ann", "bob"]);
    assert_eq!((found[0].same.value, found[0].same.items), (Some(0.5), 2));
    assert_eq!(found[0].kappa.value, Some(0.0));
}

/// The chance of each pair of answers, where each is right with a probability about images of which a part is synthetic, and
/// can't tell of one in ten.
fn chances(synthetic: f64, right: [f64; 2]) -> Table {
    let answer = |right: f64, truth: usize, said: usize| match said {
        2 => 0.1,
        said if said == truth => 0.9 * right,
        _ => 0.9 * (1.0 - right),
    };
    let mut table = Table::default();
    for (row, column) in (0..9).map(|place| (place / 3, place % 3)) {
        let of = |truth| answer(right[0], truth, row) * answer(right[1], truth, column);
        table.0[row][column] = (1.0 - synthetic) * of(0) + synthetic * of(1);
    }
    table
}

#[test]
fn the_interval_holds_the_true_kappa_in_93_to_97_of_100_trials() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(11);
    let (mut held, mut tried) = (0_u32, 0_u32);
    for items in [10, 25, 60, 200] {
        for synthetic in [0.05, 0.2, 0.5] {
            for right in [[0.62, 0.62], [0.8, 0.9], [0.97, 0.97]] {
                let chances = chances(synthetic, right);
                let truth = chances.measure().unwrap().kappa;
                let (mut here, mut of) = (0_u32, 0_u32);
                for _ in 0..300 {
                    let mut table = Table::default();
                    for _ in 0..items {
                        let mut drawn: f64 = random.random();
                        let place = (0..9).find(|place| {
                            drawn -= chances.0[place / 3][place % 3];
                            drawn <= 0.0
                        });
                        let place = place.unwrap_or(8);
                        table.0[place / 3][place % 3] += 1.0;
                    }
                    let Some([low, high]) = table.kappa().interval else { continue };
                    of += 1;
                    here += u32::from((low..=high).contains(&truth));
                }
                assert!(f64::from(here) > 0.82 * f64::from(of), "{items} {synthetic} {right:?}: {here} of {of}");
                (held, tried) = (held + here, tried + of);
            }
        }
    }
    let share = f64::from(held) / f64::from(tried);
    assert!((0.93..=0.97).contains(&share), "{share}");
}
