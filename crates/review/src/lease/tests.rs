use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const LEASE: Duration = Duration::seconds(90);

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds)
}

fn reviewer(name: &str) -> Person {
    Person { name: name.into(), role: Role::Reviewer }
}

fn lead(name: &str) -> Person {
    Person { name: name.into(), role: Role::Lead }
}

fn free() -> Claims {
    Claims::new(BTreeSet::new())
}

fn held_by(name: &str) -> Claims {
    let mut claims = free();
    claims.claim(&reviewer(name), at(0), LEASE).unwrap();
    claims
}

#[test]
fn an_item_is_held_until_the_lease_runs_out() {
    let mut claims = held_by("ann");
    let bob = reviewer("bob");
    assert_eq!(claims.claim(&bob, at(89), LEASE), Err(ClaimRefused::Held { until: at(90) }));
    assert_eq!(claims.claim(&bob, at(90), LEASE), Ok(()));
    assert_eq!(claims.held_by(at(91)).unwrap().name, "bob");
    assert_eq!(claims.renew(&reviewer("ann"), at(91), LEASE), Err(ClaimRefused::NotHeld));
}

#[test]
fn a_lease_is_renewed_and_never_shortened() {
    let (mut claims, ann) = (held_by("ann"), reviewer("ann"));
    claims.renew(&ann, at(60), LEASE).unwrap();
    assert_eq!(claims.held_by(at(149)).unwrap().until, at(150));
    claims.renew(&ann, at(10), LEASE).unwrap();
    claims.claim(&ann, at(10), Duration::seconds(1)).unwrap();
    assert_eq!(claims.held_by(at(149)).unwrap().until, at(150), "though the clock went back");
    claims.renew(&ann, at(60), Duration::hours(8)).unwrap();
    assert_eq!(claims.held_by(at(28_859)).unwrap().name, "ann", "held for later");
    claims.renew(&ann, at(0), Duration::MAX).unwrap();
}

#[test]
fn a_vote_after_the_lease_counts_if_nobody_else_took_the_item() {
    let (mut claims, ann) = (held_by("ann"), reviewer("ann"));
    assert_eq!(claims.held_by(at(500)), None);
    assert_eq!(claims.vote(&ann, AfterVote::Free), Ok(()));

    let (mut claims, bob) = (held_by("ann"), reviewer("bob"));
    claims.claim(&bob, at(500), LEASE).unwrap();
    let before = claims.clone();
    assert_eq!(claims.vote(&ann, AfterVote::Done), Err(ClaimRefused::NotHeld));
    assert_eq!(claims, before);
    assert!(ClaimRefused::NotHeld.to_string().contains("nothing was recorded"));
    // Nor after the other has given it back; but then it can be taken again.
    claims.skip(&bob).unwrap();
    assert_eq!(claims.vote(&ann, AfterVote::Done), Err(ClaimRefused::NotHeld));
    assert_eq!(claims.claim(&ann, at(501), LEASE), Ok(()));
}

#[test]
fn who_voted_or_skipped_never_gets_the_item_again() {
    let (mut claims, ann, bob) = (held_by("ann"), reviewer("ann"), reviewer("bob"));
    claims.vote(&ann, AfterVote::Free).unwrap();
    claims.claim(&bob, at(1), LEASE).unwrap();
    claims.skip(&bob).unwrap();
    for now in [1, 1000] {
        assert_eq!(claims.claim(&ann, at(now), LEASE), Err(ClaimRefused::Voted));
        assert_eq!(claims.claim(&bob, at(now), LEASE), Err(ClaimRefused::Skipped));
        assert_eq!(claims.assign(&lead("eve"), &ann, at(now)), Err(ClaimRefused::Voted));
        assert_eq!(claims.assign(&lead("eve"), &bob, at(now)), Err(ClaimRefused::Skipped));
    }
    assert_eq!(claims.vote(&ann, AfterVote::Free), Err(ClaimRefused::NotHeld), "nor by the same form sent twice");
}

#[test]
fn who_reviewed_the_submission_before_does_not_get_the_appeal() {
    let mut claims = Claims::new(BTreeSet::from(["ann".to_string()]));
    assert_eq!(claims.claim(&reviewer("ann"), at(0), LEASE), Err(ClaimRefused::ReviewedBefore));
    assert_eq!(claims.assign(&lead("eve"), &reviewer("ann"), at(0)), Err(ClaimRefused::ReviewedBefore));
    assert_eq!(claims.claim(&reviewer("bob"), at(0), LEASE), Ok(()));
}

#[test]
fn what_is_decided_is_nobodys() {
    let (mut claims, ann, eve) = (held_by("ann"), reviewer("ann"), lead("eve"));
    claims.vote(&ann, AfterVote::Done).unwrap();
    assert!(claims.is_done());
    let done = claims.clone();
    assert_eq!(claims.claim(&reviewer("bob"), at(1), LEASE), Err(ClaimRefused::Done));
    assert_eq!(claims.assign(&eve, &reviewer("bob"), at(1)), Err(ClaimRefused::Done));
    assert_eq!(claims.unassign(&eve, at(1)), Err(ClaimRefused::Done));
    assert_eq!(claims.escalate(&eve, at(1)), Err(ClaimRefused::Done));
    assert_eq!(claims.skip(&ann), Err(ClaimRefused::Done));
    assert_eq!(claims, done);
}

#[test]
fn what_is_assigned_is_for_one_person_whatever_becomes_of_leases() {
    let (mut claims, ann, bob, eve) = (free(), reviewer("ann"), reviewer("bob"), lead("eve"));
    let needs_lead = ClaimRefused::Role { needed: Role::Lead, role: Role::Reviewer };
    assert_eq!(claims.assign(&bob, &ann, at(0)), Err(needs_lead));
    claims.assign(&eve, &ann, at(0)).unwrap();
    assert_eq!(claims.claim(&bob, at(0), LEASE), Err(ClaimRefused::Assigned));
    claims.claim(&ann, at(0), LEASE).unwrap();
    assert_eq!(claims.claim(&bob, at(500), LEASE), Err(ClaimRefused::Assigned));
    assert_eq!(claims.unassign(&eve, at(1)), Err(ClaimRefused::Held { until: at(90) }));
    claims.unassign(&eve, at(500)).unwrap();
    assert_eq!(claims.vote(&ann, AfterVote::Free), Err(ClaimRefused::NotHeld));
    assert_eq!(claims.claim(&bob, at(500), LEASE), Ok(()));
    assert_eq!(claims.assign(&eve, &ann, at(500)), Err(ClaimRefused::Held { until: at(590) }));
    claims.assign(&eve, &bob, at(501)).unwrap();
    claims.skip(&bob).unwrap();
    assert_eq!(claims.claim(&ann, at(502), LEASE), Ok(()), "who skips gives the assignment back");
}

#[test]
fn what_is_escalated_is_for_leads() {
    let (mut claims, ann, bob, eve) = (held_by("ann"), reviewer("ann"), reviewer("bob"), lead("eve"));
    assert_eq!(claims.escalate(&bob, at(1)), Err(ClaimRefused::NotHeld));
    assert_eq!(claims.escalate(&eve, at(1)), Err(ClaimRefused::Held { until: at(90) }));
    claims.escalate(&ann, at(1)).unwrap();
    for person in [&ann, &bob] {
        assert_eq!(claims.claim(person, at(1), LEASE), Err(ClaimRefused::LeadsOnly));
        assert_eq!(claims.assign(&eve, person, at(1)), Err(ClaimRefused::LeadsOnly));
    }
    claims.assign(&eve, &lead("dot"), at(1)).unwrap();
    claims.unassign(&eve, at(1)).unwrap();
    assert_eq!(claims.claim(&bob, at(1), LEASE), Err(ClaimRefused::LeadsOnly), "it stays so");
    assert_eq!(claims.claim(&eve, at(1), LEASE), Ok(()));
    claims.skip(&eve).unwrap();
    assert_eq!(claims.claim(&bob, at(1), LEASE), Err(ClaimRefused::LeadsOnly), "no lead has voted");
    claims.claim(&lead("dot"), at(1), LEASE).unwrap();
    claims.vote(&lead("dot"), AfterVote::Free).unwrap();
    assert_eq!(claims.claim(&bob, at(1), LEASE), Ok(()), "a lead has, and the second vote may be anybody's");
}

#[test]
fn a_viewer_gets_nothing() {
    let viewer = Person { name: "vic".into(), role: Role::Viewer };
    let refused = Err(ClaimRefused::Role { needed: Role::Reviewer, role: Role::Viewer });
    assert_eq!(free().claim(&viewer, at(0), LEASE), refused);
    assert_eq!(free().assign(&lead("eve"), &viewer, at(0)), refused);
}

#[test]
fn what_a_vote_leaves_follows_from_what_is_wanted_next() {
    assert_eq!(AfterVote::of(&Step::Wanted(Wanted::Second)), AfterVote::Free);
    assert_eq!(AfterVote::of(&Step::Wanted(Wanted::ThirdOrLead)), AfterVote::Free);
    assert_eq!(AfterVote::of(&Step::Wanted(Wanted::Lead)), AfterVote::LeadsOnly);
    let mut claims = held_by("ann");
    claims.vote(&reviewer("ann"), AfterVote::LeadsOnly).unwrap();
    assert_eq!(claims.claim(&reviewer("bob"), at(1), LEASE), Err(ClaimRefused::LeadsOnly));
}

#[test]
fn the_state_is_read_as_it_is_written() {
    let mut claims = held_by("ann");
    claims.assign(&lead("eve"), &reviewer("ann"), at(1)).unwrap();
    let text = serde_json::to_string(&claims).unwrap();
    assert_eq!(serde_json::from_str::<Claims>(&text).unwrap(), claims);
}

/// What people do, each to the same item.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Claim(usize),
    Renew(usize),
    Hold(usize),
    Vote(usize, AfterVote),
    Skip(usize),
    Escalate(usize),
    Assign(usize, usize),
    Unassign(usize),
    /// So many seconds pass; some clocks go back.
    Wait(i64),
}

fn people() -> Vec<Person> {
    vec![reviewer("ann"), reviewer("bob"), reviewer("cem"), lead("dot"), lead("eve")]
}

fn any_deed() -> impl Strategy<Value = Deed> {
    let who = || 0..people().len();
    let after = prop::sample::select(&[AfterVote::Free, AfterVote::Free, AfterVote::LeadsOnly, AfterVote::Done]);
    prop_oneof![
        6 => who().prop_map(Deed::Claim),
        2 => who().prop_map(Deed::Renew),
        1 => who().prop_map(Deed::Hold),
        3 => (who(), after).prop_map(|(who, after)| Deed::Vote(who, after)),
        2 => who().prop_map(Deed::Skip),
        1 => who().prop_map(Deed::Escalate),
        1 => (who(), who()).prop_map(|(by, to)| Deed::Assign(by, to)),
        1 => who().prop_map(Deed::Unassign),
        4 => (-20_i64..200).prop_map(Deed::Wait),
    ]
}

/// What each person believes, from the answers alone: until when the item is theirs.
#[derive(Default)]
struct Beliefs {
    until: BTreeMap<usize, OffsetDateTime>,
    /// Whom it was given to last.
    given_to: Option<usize>,
    finished: BTreeSet<usize>,
    done: bool,
}

impl Beliefs {
    fn note(&mut self, deed: Deed, now: OffsetDateTime) -> Result<(), TestCaseError> {
        prop_assert!(!self.done, "{:?} after the end", deed);
        match deed {
            Deed::Claim(who) | Deed::Renew(who) | Deed::Hold(who) => {
                prop_assert!(!self.finished.contains(&who), "{:?} gave it to them a second time", deed);
                let others = self.until.iter().filter(|(other, until)| **other != who && **until > now);
                prop_assert_eq!(others.count(), 0, "{:?} while somebody else holds it", deed);
                if matches!(deed, Deed::Claim(_)) {
                    self.given_to = Some(who);
                    // Their time was over: it does not begin anew when the clock goes back.
                    self.until.retain(|other, _| *other == who);
                }
                prop_assert_eq!(self.given_to, Some(who), "{:?} by somebody it was not given to", deed);
                let length = if matches!(deed, Deed::Hold(_)) { Duration::hours(1) } else { LEASE };
                let until = self.until.entry(who).or_insert(now + length);
                *until = (*until).max(now + length);
            }
            Deed::Vote(who, _) | Deed::Skip(who) => {
                prop_assert_eq!(self.given_to, Some(who), "{:?} by somebody who does not have it", deed);
                prop_assert!(self.finished.insert(who), "{:?} for a second time", deed);
                (self.given_to, self.done) = (None, matches!(deed, Deed::Vote(_, AfterVote::Done)));
                self.until.remove(&who);
            }
            Deed::Escalate(by) => {
                let others = self.until.iter().filter(|(other, until)| **other != by && **until > now);
                prop_assert_eq!(others.count(), 0, "{:?} took it from somebody who holds it", deed);
                self.given_to = None;
                self.until.clear();
            }
            Deed::Assign(_, keeps) | Deed::Unassign(keeps) => {
                let others = self.until.iter().filter(|(other, until)| **other != keeps && **until > now);
                prop_assert_eq!(others.count(), 0, "{:?} took it from somebody who holds it", deed);
                self.given_to = self.given_to.filter(|who| *who == keeps);
                self.until.retain(|who, _| *who == keeps);
            }
            Deed::Wait(_) => {}
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn whatever_people_do_nobody_gets_an_item_twice_and_no_two_have_it_at_once(
        deeds in prop::collection::vec(any_deed(), 1..60),
    ) {
        let (people, mut claims, mut beliefs, mut now) = (people(), free(), Beliefs::default(), at(0));
        for deed in deeds {
            let before = claims.clone();
            let found = match deed {
                Deed::Claim(who) => claims.claim(&people[who], now, LEASE),
                Deed::Renew(who) => claims.renew(&people[who], now, LEASE),
                Deed::Hold(who) => claims.renew(&people[who], now, Duration::hours(1)),
                Deed::Vote(who, after) => claims.vote(&people[who], after),
                Deed::Skip(who) => claims.skip(&people[who]),
                Deed::Escalate(who) => claims.escalate(&people[who], now),
                Deed::Assign(by, to) => claims.assign(&people[by], &people[to], now),
                Deed::Unassign(by) => claims.unassign(&people[by], now),
                Deed::Wait(seconds) => {
                    now += Duration::seconds(seconds);
                    Ok(())
                }
            };
            match found {
                Ok(()) => beliefs.note(deed, now)?,
                Err(_) => prop_assert_eq!(&claims, &before, "{:?} was refused, and changed something", deed),
            }
            if let Some(holder) = claims.held_by(now) {
                let who = people.iter().position(|person| person.name == holder.name);
                prop_assert_eq!(beliefs.given_to, who);
            }
            if beliefs.done {
                break;
            }
        }
        prop_assert_eq!(claims.is_done(), beliefs.done);
    }

    /// Two consoles on one queue: each person takes the first item that is free for them, until nothing is left.
    #[test]
    fn two_browsers_on_one_queue_never_show_one_item_twice(
        turns in prop::collection::vec((0..2_usize, 0..120_i64), 40..80), items in 1..8_usize,
    ) {
        let people = [reviewer("ann"), reviewer("bob")];
        let mut queue = vec![free(); items];
        let (mut shown, mut now, mut at_work) = (BTreeSet::new(), at(0), [None, None]);
        for (who, seconds) in turns {
            now += Duration::seconds(seconds);
            if let Some(item) = at_work[who].take() {
                let claims: &mut Claims = &mut queue[item];
                if claims.vote(&people[who], AfterVote::Done).is_ok() {
                    prop_assert!(shown.insert(item), "item {} was voted on twice", item);
                }
            }
            at_work[who] = queue.iter_mut().position(|claims| claims.claim(&people[who], now, LEASE).is_ok());
            if let (Some(left), Some(right)) = (at_work[0], at_work[1]) {
                let live = queue[left].held_by(now).map(|holder| holder.name.clone());
                prop_assert!(left != right || live == Some(people[who].name.clone()));
            }
        }
    }
}
