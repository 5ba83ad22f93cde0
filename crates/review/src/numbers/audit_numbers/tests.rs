use time::OffsetDateTime;
use time::macros::datetime;

use super::*;
use crate::audit::Drawn;
use crate::numbers::sample::AuditReview;

const TIME: OffsetDateTime = datetime!(2026-02-11 12:00 UTC);

fn item(decision: Decision, inclusion: f64, review: AuditReview) -> AuditItem {
    let synthetic = match decision {
        Decision::Real => 0.05,
        Decision::Uncertain => 0.5,
        Decision::Synthetic => 0.95,
    };
    let drawn = Drawn { stratum: decision, inclusion, rank: 0.5 };
    AuditItem { model_version: "1".into(), decided_at: TIME, drawn, synthetic, review }
}

fn some(count: usize, decision: Decision, inclusion: f64, answer: Answer) -> Vec<AuditItem> {
    vec![item(decision, inclusion, AuditReview::Answered(answer)); count]
}

fn numbers(items: &[Vec<AuditItem>]) -> AuditNumbers {
    let mut found = audit_numbers(&items.concat());
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn near(found: Estimate, wanted: f64) {
    let (value, [low, high]) = (found.value.unwrap(), found.interval.unwrap());
    assert!((value - wanted).abs() < 1e-9 && low < wanted && wanted < high, "{found:?} {wanted}");
}

/// Synthetic ones are drawn ten times as often as others.
fn example() -> Vec<Vec<AuditItem>> {
    vec![
        some(90, Decision::Real, 0.001, Answer::Real),
        some(2, Decision::Real, 0.001, Answer::Synthetic),
        some(4, Decision::Uncertain, 0.001, Answer::Real),
        some(3, Decision::Uncertain, 0.001, Answer::Synthetic),
        some(1, Decision::Uncertain, 0.001, Answer::CannotTell),
        some(10, Decision::Synthetic, 0.01, Answer::Real),
        some(40, Decision::Synthetic, 0.01, Answer::Synthetic),
    ]
}

#[test]
fn each_answer_counts_for_as_many_verdicts_as_it_stands_for() {
    let found = numbers(&example());
    near(found.precision, 40.0 / 50.0);
    // In thousands of verdicts: 1 called synthetic of 94 + 1 real ones.
    near(found.false_alarms, 1.0 / 95.0);
    near(found.misses, 2.0 / (2.0 + 3.0 + 4.0));
    near(found.synthetic_among_called_real, 2.0 / 92.0);
    near(found.cannot_tell, 1.0 / (92.0 + 8.0 + 5.0));
    assert_eq!((found.precision.items, found.false_alarms.items, found.cannot_tell.items), (50, 104, 150));
    assert_eq!((found.model_version.as_str(), found.week), ("1", IsoWeek::of(TIME)));
}

#[test]
fn what_is_not_reviewed_is_counted_and_those_reviewed_stand_for_it() {
    let all = numbers(&example());
    // Of the synthetic ones only one in five has been reviewed.
    let mut items = example();
    items[5] = some(2, Decision::Synthetic, 0.01, Answer::Real);
    items[6] = some(8, Decision::Synthetic, 0.01, Answer::Synthetic);
    items.push(vec![item(Decision::Synthetic, 0.01, AuditReview::NotReviewed); 25]);
    items.push(vec![item(Decision::Synthetic, 0.01, AuditReview::Waiting); 15]);
    let found = numbers(&items);
    assert_eq!((found.strata[2].not_reviewed, found.strata[2].waiting), (25, 15));
    assert_eq!((found.strata[2].drawn, found.strata[2].answered()), (50, 10));
    assert!((found.strata[2].verdicts - 5000.0).abs() < 1e-6 && (found.strata[0].verdicts - 92_000.0).abs() < 1e-6);
    near(found.false_alarms, all.false_alarms.value.unwrap());
    near(found.misses, all.misses.value.unwrap());
    let width = |estimate: Estimate| estimate.interval.map(|[low, high]| high - low).unwrap();
    assert!(width(found.precision) > 1.5 * width(all.precision), "fewer answers say less");
}

#[test]
fn a_stratum_without_any_answer_leaves_the_figures_that_need_it_open() {
    let mut items = example();
    items[5] = vec![item(Decision::Synthetic, 0.01, AuditReview::NotReviewed); 50];
    items[6].clear();
    let found = numbers(&items);
    for open in [found.precision, found.false_alarms, found.misses, found.cannot_tell] {
        assert_eq!((open.value, open.interval), (None, None));
    }
    near(found.synthetic_among_called_real, 2.0 / 92.0);
    assert_eq!(found.calibration, CalibrationNumbers::default());
    // Where nothing at all was drawn of it, what it would make up is unknown, and the rest is as if there were none.
    let items = &example()[..5];
    let found = numbers(items);
    assert_eq!((found.precision.value, found.false_alarms.value), (None, None));
    near(found.misses, 2.0 / 5.0);
}

#[test]
fn strata_drawn_at_several_shares_are_weighted_each_by_its_own() {
    let items = [
        some(8, Decision::Synthetic, 0.001, Answer::Synthetic),
        some(2, Decision::Synthetic, 0.001, Answer::Real),
        some(90, Decision::Synthetic, 0.01, Answer::Synthetic),
        some(10, Decision::Synthetic, 0.01, Answer::Real),
    ];
    near(numbers(&items).precision, 17.0 / 20.0);
}

#[test]
fn numbers_are_by_model_and_week_and_without_items_there_are_none() {
    assert_eq!(audit_numbers(&[]), []);
    let of = |version: &str, decided_at| AuditItem {
        model_version: version.into(),
        decided_at,
        ..item(Decision::Real, 0.001, AuditReview::Waiting)
    };
    let (week, next) = (datetime!(2026-02-15 23:59 UTC), datetime!(2026-02-16 00:00 UTC));
    let found = audit_numbers(&[of("2", next), of("2", week), of("1", next), of("2", TIME)]);
    let groups: Vec<(String, String, u64)> =
        found.iter().map(|n| (n.model_version.clone(), n.week.to_string(), n.strata[0].waiting)).collect();
    let wanted = [("1", "2026-W08", 1), ("2", "2026-W07", 2), ("2", "2026-W08", 1)];
    assert_eq!(groups, wanted.map(|(version, week, count)| (version.into(), week.into(), count)));
    assert_eq!(found[0].cannot_tell, Estimate::default());
    assert_eq!(found[0].calibration.error, Estimate::default());
}

#[test]
fn an_item_without_a_probability_of_being_drawn_has_no_weight() {
    let mut items = example();
    for inclusion in [0.0, -1.0, 2.0, f64::NAN] {
        items.push(some(5, Decision::Synthetic, inclusion, Answer::Real));
    }
    assert_eq!(numbers(&items), numbers(&example()));
}

#[test]
fn the_numbers_are_read_as_they_are_written() {
    let found = numbers(&example());
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<AuditNumbers>(&text).unwrap(), found);
    assert!(serde_json::to_value(schemars::schema_for!(AuditNumbers)).unwrap()["properties"]["precision"].is_object());
}
