//! From a vote to what follows, however often those who carry it out are ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use review::{Answer, Caller, NewVote, Refused, ReviewGround, Role};
use serde_json::json;
use uuid::Uuid;

use crate::world::{DEADLINE, World, in_world, named, verdict};

const PENDING: &str = "SELECT count(*) FROM review_items WHERE pending IS NOT NULL";

/// Somebody votes on the next item.
async fn voted(world: &World, caller: &Caller, ground: ReviewGround) -> Uuid {
    let claim = world.reviews.next(caller, true).await.unwrap().expect("something waits");
    let vote = Uuid::new_v4();
    let new = NewVote {
        item: claim.item,
        lease: claim.lease,
        vote,
        answer: Answer::Synthetic,
        ground: Some(ground),
        generator: None,
        comment: None,
    };
    world.reviews.vote(caller, &new).await.unwrap();
    vote
}

/// Counts again and again, and is ended in the middle of it as often as not, until nothing waits to be counted.
async fn count(world: World, seed: u64) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let began = Instant::now();
    while world.count(PENDING).await > 0 {
        assert!(began.elapsed() < DEADLINE, "votes are counted in the end");
        let patience = Duration::from_micros(if rng.random_bool(0.5) { rng.random_range(0..6000) } else { 20_000_000 });
        let _ = tokio::time::timeout(patience, world.reviews.count_votes()).await;
    }
}

#[test]
fn a_vote_makes_one_label_one_message_and_one_mark_whoever_is_killed() {
    in_world(|world: World| async move {
        const VOTES: usize = 24;
        world.items("acme", &named("post", VOTES)).await;
        let ann = world.person("ann", Role::Reviewer, "acme").await;
        for _ in 0..VOTES {
            voted(&world, &ann, ReviewGround::KnownSource).await;
        }
        world.execute("UPDATE reviews SET counts_at = now() - interval '1 second'").await;
        let stop = Arc::new(AtomicBool::new(false));
        let cutting = world.cut_connections(&stop);
        let counting: Vec<_> = (0..4).map(|seed| tokio::spawn(count(world.clone(), seed))).collect();
        for one in counting {
            one.await.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(cutting.await.unwrap() > 0, "connections were cut");
        let votes = VOTES as i64;
        for (what, sql) in [
            ("marks", "SELECT count(*) FROM review_marks WHERE mark = 'counted'"),
            ("items that are done", "SELECT count(*) FROM review_items WHERE state = 'done' AND holder IS NULL"),
            ("labels", "SELECT count(*) FROM labels"),
            ("verdicts with a label", "SELECT count(DISTINCT verdict_id) FROM labels"),
            ("messages", "SELECT count(*) FROM review_outbox"),
            ("decisions", "SELECT count(DISTINCT item_id) FROM review_outbox WHERE kind = 'decision'"),
        ] {
            assert_eq!(world.count(sql).await, votes, "{what}");
        }
    });
}

#[test]
fn a_vote_is_undone_or_counted_and_never_both() {
    in_world(|world: World| async move {
        const VOTES: usize = 24;
        world.items("acme", &named("post", VOTES)).await;
        let ann = world.person("ann", Role::Reviewer, "acme").await;
        let mut votes = Vec::new();
        for _ in 0..VOTES {
            votes.push(voted(&world, &ann, ReviewGround::KnownSource).await);
        }
        // Some can be undone for a moment longer.
        world
            .execute("UPDATE reviews SET counts_at = clock_timestamp() + make_interval(secs => random() * 0.15)")
            .await;
        let counting: Vec<_> = (0..2).map(|seed| tokio::spawn(count(world.clone(), seed))).collect();
        let undoing = votes.iter().map(|vote| {
            let (world, ann, vote) = (world.clone(), ann.clone(), *vote);
            tokio::spawn(async move { world.reviews.undo(&ann, vote).await })
        });
        let mut undone = 0;
        for one in undoing.collect::<Vec<_>>() {
            match one.await.unwrap() {
                Ok(_) => undone += 1,
                Err(Refused::UndoTooLate | Refused::VoteIsNone | Refused::TooMany(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
        for one in counting {
            one.await.unwrap();
        }
        let marked = |mark: &str| format!("SELECT count(*) FROM review_marks WHERE mark = '{mark}'");
        assert_eq!(world.count(&marked("undone")).await, undone, "who was told that it is undone was told the truth");
        let counted = world.count(&marked("counted")).await;
        assert_eq!(counted + undone, VOTES as i64);
        assert_eq!(world.count("SELECT count(*) FROM labels").await, counted);
        let both = "SELECT count(*) FROM labels AS l JOIN review_items AS i ON i.outcome_id = l.verdict_id WHERE i.state <> 'done'";
        assert_eq!(world.count(both).await, 0, "nothing follows from what was undone");
    });
}

#[test]
fn what_only_the_look_speaks_for_is_kept_and_not_trained_on() {
    in_world(|world: World| async move {
        world.items("acme", &named("post", 2)).await;
        let ann = world.person("ann", Role::Reviewer, "acme").await;
        voted(&world, &ann, ReviewGround::ByEye).await;
        voted(&world, &ann, ReviewGround::Provenance).await;
        world.execute("UPDATE reviews SET counts_at = now() - interval '1 second'").await;
        assert_eq!(world.reviews.count_votes().await.unwrap().labels, 2);
        let trains = "SELECT count(*) FROM labels WHERE trains";
        assert_eq!(world.count(trains).await, 1);
    });
}

#[test]
fn every_verdict_is_collected_once_and_what_people_decided_never() {
    in_world(|world: World| async move {
        let first = world.items("acme", &named("post", 3)).await;
        assert_eq!(world.reviews.collect().await.unwrap().items, 0, "nothing new came");
        // A transaction that began before shows its rows after later ones.
        world.record(verdict("acme", "late", &json!({}))).await;
        world
            .execute(
                "UPDATE outcomes SET recorded_at = recorded_at - interval '20 seconds' WHERE submission_id = 'late'",
            )
            .await;
        world
            .execute(
                "UPDATE verdicts SET recorded_at = recorded_at - interval '20 seconds' WHERE submission_id = 'late'",
            )
            .await;
        assert_eq!(world.reviews.collect().await.unwrap().items, 1, "it is not passed over");
        let decided = json!({
            "decided_by": "review",
            "review": {"decision_id": Uuid::new_v4(), "outcome_id": Uuid::new_v4(), "grounds": ["known_source"], "reviewers": ["r-1"]},
        });
        world.record(verdict("acme", "decided", &decided)).await;
        assert_eq!(world.reviews.collect().await.unwrap().items, 0, "people have decided on it");
        let collecting = (0..4).map(|_| {
            let reviews = world.reviews.clone();
            tokio::spawn(async move { reviews.collect().await.unwrap().items })
        });
        world.record(verdict("acme", "new", &json!({}))).await;
        let mut items = 0;
        for one in collecting.collect::<Vec<_>>() {
            items += one.await.unwrap();
        }
        items += world.reviews.collect().await.unwrap().items;
        assert_eq!(items, 1, "one item, whoever collects");
        assert_eq!(world.count("SELECT count(*) FROM review_items").await, first.len() as i64 + 2);
    });
}
