use domain::Decision;
use time::OffsetDateTime;

use super::*;
use crate::audit::Drawn;
use crate::numbers::sample::AuditReview;

/// So many items of one stated probability, of which so many are synthetic.
fn some(synthetic: f32, items: usize, of_them: usize, inclusion: f64) -> Vec<AuditItem> {
    let stratum = match synthetic {
        score if score < 0.35 => Decision::Real,
        score if score < 0.65 => Decision::Uncertain,
        _ => Decision::Synthetic,
    };
    let item = |number| AuditItem {
        model_version: "1".into(),
        decided_at: OffsetDateTime::UNIX_EPOCH,
        drawn: Drawn { stratum, inclusion, rank: 0.5 },
        synthetic,
        review: AuditReview::Answered(if number < of_them { Answer::Synthetic } else { Answer::Real }),
    };
    (0..items).map(item).collect()
}

fn numbers(items: &[Vec<AuditItem>]) -> CalibrationNumbers {
    let items = items.concat();
    CalibrationNumbers::of(&Sample::of(&items.iter().collect::<Vec<_>>()))
}

#[test]
fn bins_have_the_weights_of_the_verdicts_and_the_error_is_that_of_the_figures() {
    let found = numbers(&[some(0.05, 90, 0, 0.001), some(0.95, 50, 30, 0.005)]);
    assert_eq!(found.bins.len(), CALIBRATION_BINS);
    assert!((found.bins[0].share - 0.9).abs() < 1e-9 && (found.bins[9].share - 0.1).abs() < 1e-9);
    assert!((found.bins[9].stated.unwrap() - 0.95).abs() < 1e-6);
    assert!((found.bins[9].synthetic.value.unwrap() - 0.6).abs() < 1e-9);
    assert_eq!((found.bins[5].stated, found.bins[5].synthetic), (None, Estimate::default()));
    assert!((found.error_as_counted.unwrap() - (0.9 * 0.05 + 0.1 * 0.35)).abs() < 1e-6);
    assert!((found.bins[3].from - 0.3).abs() < 1e-12 && (found.bins[9].to - 1.0).abs() < 1e-12);
    assert_eq!([0.0, 0.099, 0.101, 1.0].map(bin_of), [0, 0, 1, 9]);
}

#[test]
fn a_bin_across_a_threshold_weighs_each_decision_by_its_own_share() {
    // 0.31 is called real and 0.39 uncertain, which is drawn ten times as often.
    let found = numbers(&[some(0.31, 10, 5, 0.001), some(0.39, 100, 0, 0.01)]);
    assert!((found.bins[3].synthetic.value.unwrap() - 0.25).abs() < 1e-9, "{:?}", found.bins[3]);
    assert!((found.bins[3].stated.unwrap() - 0.35).abs() < 1e-6);
}

#[test]
fn what_chance_explains_is_no_error_and_what_it_does_not_is_one() {
    let fits = numbers(&[some(0.05, 100, 5, 0.01), some(0.5, 100, 53, 0.01), some(0.95, 100, 94, 0.01)]);
    let [low, high] = fits.error.interval.unwrap();
    assert_eq!((fits.error.value, low), (Some(0.0), 0.0));
    assert!(high > 0.01 && high < 0.1, "{high}: a good fit does not prove that there is no error");
    assert!(fits.error_as_counted < fits.error_by_chance);
    let wrong = numbers(&[some(0.05, 100, 30, 0.01), some(0.5, 100, 50, 0.01), some(0.95, 100, 60, 0.01)]);
    let [low, high] = wrong.error.interval.unwrap();
    let (value, counted) = (wrong.error.value.unwrap(), wrong.error_as_counted.unwrap());
    assert!(0.1 < low && low < value && value < high && high < 0.3, "{wrong:?}");
    assert!(value < counted && wrong.error_by_chance.unwrap() < 0.05);
}

#[test]
fn without_answers_or_probabilities_there_is_no_error() {
    assert_eq!(numbers(&[]).error, Estimate::default());
    let none = numbers(&[some(f32::NAN, 5, 1, 0.1)]);
    assert_eq!((none.error_as_counted, none.bins[0].synthetic), (None, Estimate::default()));
    let one = numbers(&[some(1.0, 1, 1, 1.0)]);
    let [low, high] = one.error.interval.unwrap();
    assert!(one.error.value == Some(0.0) && low == 0.0 && high >= low, "{one:?}");
}

#[test]
fn the_absolute_value_of_a_normal_variable_is_that_of_the_textbook() {
    let (mean, variance) = folded_normal(0.0, 2.0);
    assert!((mean - 2.0 * (2.0 / std::f64::consts::PI).sqrt()).abs() < 1e-12);
    assert!((variance - 4.0 * (1.0 - 2.0 / std::f64::consts::PI)).abs() < 1e-12);
    let (mean, variance) = folded_normal(8.0, 1.0);
    assert!((mean - 8.0).abs() < 1e-9 && (variance - 1.0).abs() < 1e-9, "far from 0 it is the variable itself");
    assert_eq!(folded_normal(-3.0, 0.0), (3.0, 0.0));
    assert!((normal(-1.959_964) - 0.025).abs() < 1e-6 && (normal(1.0) - 0.841_345).abs() < 1e-6);
}

#[test]
fn near_the_least_that_is_possible_what_is_likely_is_one_sided() {
    // At the bound all that is unlikely lies above; far from it, half on each side.
    let [fewest, most] = likely(0.0);
    assert!(fewest == f64::NEG_INFINITY && (most - 1.645).abs() < 1e-3, "{most}");
    let [fewest, most] = likely(5.0);
    assert!((fewest + 1.96).abs() < 1e-3 && (most - 1.96).abs() < 1e-3, "{fewest} {most}");
    for above in [0.01, 0.3, 1.0, 1.9, 2.0, 3.0] {
        let [fewest, most] = likely(above);
        assert!((normal(most) - normal(fewest) - 0.95).abs() < 1e-9, "{above}");
        assert!(fewest <= -most + 1e-9 && (1.644..1.961).contains(&most), "{above}: {fewest} {most}");
    }
}
