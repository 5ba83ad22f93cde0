use proptest::prelude::*;
use uuid::Uuid;

use domain::OutcomeId;

use super::*;
use crate::roles::Role;
use crate::source::Source;

fn item(scrutiny: Scrutiny, decision: Decision) -> ReviewItem {
    ReviewItem { outcome: OutcomeId(Uuid::from_u128(1)), decision, source: Source::Uncertain, audit: None, scrutiny }
}

fn double() -> ReviewItem {
    item(Scrutiny::Double, Decision::Uncertain)
}

/// R, S and U as on the keys, an upper-case `L` before it for a lead's; each by somebody else, with something to point at.
fn votes(keys: &str) -> Vec<Vote> {
    let each = keys.split_whitespace().enumerate().map(|(number, key)| {
        let (role, answer) = match key.strip_prefix('L') {
            Some(answer) => (Role::Lead, answer),
            None => (Role::Reviewer, key),
        };
        let answer = match answer {
            "R" => Answer::Real,
            "S" => Answer::Synthetic,
            _ => Answer::CannotTell,
        };
        let ground = (answer != Answer::CannotTell).then_some(ReviewGround::VisibleArtefact);
        Vote { reviewer: format!("p{number}"), role, answer, ground, blind: true, generator: None, comment: None }
    });
    each.collect()
}

fn after(item: &ReviewItem, keys: &str) -> Step {
    step(item, &votes(keys), ByEye::Kept)
}

fn resolution(step: Step) -> Resolution {
    let Step::Resolved(resolution) = step else { panic!("{step:?}") };
    resolution
}

#[test]
fn one_vote_resolves_an_item_that_needs_one() {
    let single = item(Scrutiny::Single, Decision::Real);
    assert_eq!(after(&single, ""), Step::Wanted(Wanted::First));
    let found = resolution(after(&single, "S"));
    assert_eq!((found.answer, found.decided, found.overturns), (LabelledOrigin::Synthetic, Decided::Alone, true));
    assert_eq!(found.by, ["p0"]);
    let unsure = Step::Unresolved(Unresolved { decided: Decided::Alone, by: vec!["p0".into()] });
    assert_eq!(after(&single, "U"), unsure);
    assert_eq!(after(&single, "S R R"), after(&single, "S"), "what comes later changes nothing");
}

#[test]
fn two_of_two_make_the_answer() {
    assert_eq!(after(&double(), ""), Step::Wanted(Wanted::First));
    for one in ["R", "S", "U", "LR", "LS"] {
        assert_eq!(after(&double(), one), Step::Wanted(Wanted::Second), "{one}: not even a lead's first vote decides");
    }
    let found = resolution(after(&double(), "R R"));
    assert_eq!((found.answer, found.decided), (LabelledOrigin::Real, Decided::Agreed));
    assert_eq!(found.by, ["p0", "p1"]);
    let Step::Unresolved(unresolved) = after(&double(), "U U") else { panic!("both could not tell") };
    assert_eq!((unresolved.decided, unresolved.by.len()), (Decided::Agreed, 2));
}

#[test]
fn two_who_do_not_agree_need_a_third_or_a_lead() {
    for two in ["R S", "S R", "R U", "U S", "LR S", "R LS"] {
        assert_eq!(after(&double(), two), Step::Wanted(Wanted::ThirdOrLead), "{two}");
    }
    let decided = |keys: &str| {
        let found = resolution(after(&double(), keys));
        (found.answer, found.decided, found.by)
    };
    let by = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect::<Vec<_>>();
    assert_eq!(decided("R S R"), (LabelledOrigin::Real, Decided::Majority, by(&["p0", "p2"])));
    assert_eq!(decided("U S S"), (LabelledOrigin::Synthetic, Decided::Majority, by(&["p1", "p2"])));
    assert_eq!(decided("R U LS"), (LabelledOrigin::Synthetic, Decided::Lead, by(&["p2"])), "against both");
    assert_eq!(decided("R S LS"), (LabelledOrigin::Synthetic, Decided::Lead, by(&["p1", "p2"])));
    assert!(matches!(after(&double(), "U R U"), Step::Unresolved(found) if found.decided == Decided::Majority));
    assert!(matches!(after(&double(), "S R LU"), Step::Unresolved(found) if found.by == ["p2"]));
}

#[test]
fn three_who_do_not_agree_need_a_lead() {
    for three in ["R S U", "U R S", "S U R"] {
        assert_eq!(after(&double(), three), Step::Wanted(Wanted::Lead), "{three}");
        let found = resolution(after(&double(), &format!("{three} LR")));
        assert_eq!((found.answer, found.decided), (LabelledOrigin::Real, Decided::Lead));
    }
}

#[test]
fn a_golden_item_is_never_resolved() {
    for keys in ["", "R", "R R", "R S LR"] {
        let golden = item(Scrutiny::Golden(LabelledOrigin::Real), Decision::Real);
        assert_eq!(after(&golden, keys), Step::Wanted(Wanted::Each));
    }
}

#[test]
fn an_answer_by_eye_alone_is_resolved_and_not_trained_on() {
    let by = |grounds: &[ReviewGround], by_eye| {
        let mut votes = votes(&"S ".repeat(grounds.len()));
        votes.iter_mut().zip(grounds).for_each(|(vote, ground)| vote.ground = Some(*ground));
        resolution(step(&double(), &votes, by_eye))
    };
    let eye = ReviewGround::ByEye;
    let found = by(&[eye, eye], ByEye::Kept);
    assert_eq!((found.trains, found.grounds), (false, vec![eye]));
    assert!(by(&[eye, eye], ByEye::Trains).trains);
    let found = by(&[eye, ReviewGround::KnownSource], ByEye::Kept);
    assert_eq!((found.trains, found.grounds), (true, vec![ReviewGround::KnownSource, eye]));
    // The grounds of those who were outvoted are no grounds for the answer.
    let mut three = votes("S R S");
    three[0].ground = Some(eye);
    three[2].ground = Some(eye);
    assert!(!resolution(step(&double(), &three, ByEye::Kept)).trains);
}

#[test]
fn an_answer_that_differs_from_the_verdict_overturns_it() {
    let overturns = |decision, keys| resolution(after(&item(Scrutiny::Single, decision), keys)).overturns;
    let table = [
        (Decision::Real, "R", false),
        (Decision::Real, "S", true),
        (Decision::Synthetic, "S", false),
        (Decision::Synthetic, "R", true),
        (Decision::Uncertain, "R", true),
        (Decision::Uncertain, "S", true),
    ];
    for (decision, keys, wanted) in table {
        assert_eq!(overturns(decision, keys), wanted, "{decision:?} {keys}");
    }
}

#[test]
fn a_generator_is_kept_where_those_who_decide_do_not_contradict_each_other() {
    let named = |keys: &str, names: &[Option<&str>]| {
        let mut votes = votes(keys);
        votes.iter_mut().zip(names).for_each(|(vote, name)| vote.generator = name.map(Into::into));
        resolution(step(&double(), &votes, ByEye::Kept)).generator
    };
    assert_eq!(named("S S", &[None, None]), None);
    assert_eq!(named("S S", &[Some("sdxl"), None]).as_deref(), Some("sdxl"));
    assert_eq!(named("S S", &[Some("sdxl"), Some("sdxl")]).as_deref(), Some("sdxl"));
    assert_eq!(named("S S", &[Some("sdxl"), Some("flux")]), None);
    assert_eq!(named("S R LS", &[Some("sdxl"), None, Some("flux")]).as_deref(), Some("flux"));
    assert_eq!(named("S R LR", &[Some("sdxl"), None, None]), None, "a real image has none");
}

fn any_vote() -> impl Strategy<Value = (Answer, Role)> {
    (prop::sample::select(&Answer::ALL), prop::sample::select(&[Role::Reviewer, Role::Lead, Role::Admin]))
}

proptest! {
    #[test]
    fn more_votes_never_change_what_was_decided_and_a_lead_always_ends_it(
        cast in prop::collection::vec(any_vote(), 0..6), decision in prop::sample::select(&[Decision::Real, Decision::Uncertain]),
    ) {
        let item = item(Scrutiny::Double, decision);
        let mut votes = votes(&"U ".repeat(cast.len()));
        votes.iter_mut().zip(&cast).for_each(|(vote, (answer, role))| (vote.answer, vote.role) = (*answer, *role));
        let mut decided = None;
        for count in 0..=votes.len() {
            let found = step(&item, &votes[..count], ByEye::Kept);
            if let Some(before) = &decided {
                prop_assert_eq!(&found, before);
            } else if !matches!(found, Step::Wanted(_)) {
                prop_assert!(count >= 2);
                decided = Some(found);
            } else {
                prop_assert!(count < 3 || !votes[count - 1].role.leads());
            }
        }
        if let Some(Step::Resolved(resolution)) = decided {
            prop_assert!(!resolution.by.is_empty());
        }
    }
}
