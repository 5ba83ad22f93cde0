//! The store does what the pure rules say, in whatever order people act.

use std::collections::{BTreeSet, HashMap};
use std::mem::{Discriminant, discriminant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use review::{AfterVote, Answer, Caller, ClaimRefused, Claims, ItemId, NewVote, Person, Refused, ReviewGround, Role};
use time::{Duration, OffsetDateTime};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::world::{World, in_world};

const LEASE: Duration = Duration::seconds(120);

#[derive(Clone, Copy, Debug)]
enum Act {
    Claim(usize),
    Renew(usize),
    Skip(usize),
    Escalate(usize),
    /// By a lead who claims nothing.
    Assign(usize),
    Unassign,
    /// The vote counts at once, and decides.
    Vote(usize),
    Wait(i64),
}

/// The people of a case, the item that they act on, and what the rules say of it.
struct Case {
    world: World,
    people: Vec<(Caller, Person)>,
    overseer: (Caller, Person),
    item: ItemId,
    leases: HashMap<usize, Uuid>,
    claims: Claims,
    now: OffsetDateTime,
}

/// What came of an act; of a refusal, which it was.
type Answered = Result<(), Discriminant<ClaimRefused>>;

impl Case {
    /// Says what the rules say, and changes the item as they do.
    fn by_the_rules(&mut self, act: Act) -> Answered {
        let who = |number: usize| self.people[number].1.clone();
        let (claims, now, lead) = (&mut self.claims, self.now, &self.overseer.1);
        let answered = match act {
            Act::Claim(one) => claims.claim(&who(one), now, LEASE),
            Act::Renew(one) => claims.renew(&who(one), now, LEASE),
            Act::Skip(one) => claims.skip(&who(one)),
            Act::Escalate(one) => claims.escalate(&who(one), now),
            Act::Assign(one) => claims.assign(lead, &who(one), now),
            Act::Unassign => claims.unassign(lead, now),
            Act::Vote(one) => claims.vote(&who(one), AfterVote::Done),
            Act::Wait(seconds) => {
                self.now += Duration::seconds(seconds);
                Ok(())
            }
        };
        answered.map_err(|refused| discriminant(&refused))
    }

    async fn by_the_store(&mut self, act: Act) -> Answered {
        let reviews = self.world.reviews.clone();
        let lease = |one: usize| self.leases.get(&one).copied().unwrap_or_default();
        let (overseer, item) = (&self.overseer.0, self.item);
        let answered = match act {
            Act::Claim(one) => match reviews.claim(&self.people[one].0, item).await {
                Ok(claim) => {
                    self.leases.insert(one, claim.lease);
                    Ok(())
                }
                Err(refused) => Err(refused),
            },
            Act::Renew(one) => {
                let lost = reviews.renew(&self.people[one].0, &[lease(one)]).await.unwrap();
                if lost.is_empty() { Ok(()) } else { Err(ClaimRefused::NotHeld.into()) }
            }
            Act::Skip(one) => reviews.skip(&self.people[one].0, item, lease(one)).await,
            Act::Escalate(one) => reviews.escalate(&self.people[one].0, item, lease(one), None).await,
            Act::Assign(one) => reviews.assign(overseer, item, Uuid::nil(), &self.people[one].1, None).await,
            Act::Unassign => reviews.unassign(overseer, item).await,
            Act::Vote(one) => {
                let new = NewVote {
                    item,
                    lease: lease(one),
                    vote: Uuid::new_v4(),
                    answer: Answer::Real,
                    ground: Some(ReviewGround::KnownSource),
                    generator: None,
                    comment: None,
                };
                let cast = reviews.vote(&self.people[one].0, &new).await;
                self.world.execute("UPDATE reviews SET counts_at = now() - interval '1 hour'").await;
                reviews.count_votes().await.unwrap();
                cast.map(drop)
            }
            Act::Wait(seconds) => {
                self.world.pass(seconds).await;
                Ok(())
            }
        };
        answered.map_err(|refused| match refused {
            Refused::Claim(refused) => discriminant(&refused),
            Refused::Vote(review::VoteRefused::Decided) => discriminant(&ClaimRefused::Done),
            other => panic!("{act:?}: {other}"),
        })
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..4_usize).prop_map(Act::Claim),
        2 => (0..4_usize).prop_map(Act::Renew),
        2 => (0..4_usize).prop_map(Act::Skip),
        2 => (0..4_usize).prop_map(Act::Escalate),
        2 => (0..4_usize).prop_map(Act::Assign),
        1 => Just(Act::Unassign),
        1 => (0..4_usize).prop_map(Act::Vote),
        2 => prop_oneof![Just(50), Just(100), Just(400)].prop_map(Act::Wait),
    ]
}

#[test]
fn the_store_answers_as_the_rules_do() {
    in_world(|world: World| async move {
        let mut people = Vec::new();
        for (name, role) in
            [("ann", Role::Reviewer), ("ben", Role::Reviewer), ("cleo", Role::Reviewer), ("dan", Role::Lead)]
        {
            let person = Person { name: name.into(), role };
            people.push((world.person(name, role, "acme").await, person));
        }
        let overseer = world.person("eve", Role::Lead, "acme").await;
        let overseer = (overseer, Person { name: "eve".into(), role: Role::Lead });
        let handle = Handle::current();
        let checked = tokio::task::spawn_blocking(move || {
            let mut runner = TestRunner::new(Config { cases: 40, max_shrink_iters: 60, ..Config::default() });
            runner.run(&proptest::collection::vec(act(), 4..24), |acts| {
                handle.block_on(one_case(&world, &people, &overseer, &acts))
            })
        });
        checked.await.unwrap().unwrap();
    });
}

async fn one_case(
    world: &World,
    people: &[(Caller, Person)],
    overseer: &(Caller, Person),
    acts: &[Act],
) -> Result<(), TestCaseError> {
    // Nobody is kept busy by an earlier case.
    world.execute("UPDATE review_items SET state = 'closed', closed_why = 'missing', holder = NULL, lease = NULL, lease_until = NULL WHERE state = 'open'").await;
    let item = world.items("acme", &[Uuid::new_v4().to_string()]).await[0];
    let mut case = Case {
        world: world.clone(),
        people: people.to_vec(),
        overseer: overseer.clone(),
        item,
        leases: HashMap::new(),
        claims: Claims::new(BTreeSet::new()),
        now: OffsetDateTime::UNIX_EPOCH,
    };
    for (number, act) in acts.iter().enumerate() {
        let (wanted, found) = (case.by_the_rules(*act), case.by_the_store(*act).await);
        prop_assert_eq!(found, wanted, "act {} of {:?}", number, acts);
    }
    Ok(())
}
