//! Many people at one queue, whose requests end anywhere.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use review::{Caller, ItemId, Role};

use crate::world::{DEADLINE, World, in_world, named};

type Held = Arc<Mutex<HashMap<ItemId, String>>>;

#[test]
fn an_item_is_never_two_peoples_whatever_is_cut() {
    in_world(|world: World| async move {
        let items = world.items("acme", &named("post", 40)).await;
        let held = Held::default();
        let stop = Arc::new(AtomicBool::new(false));
        let cutting = world.cut_connections(&stop);
        let mut people = Vec::new();
        for number in 0..6 {
            let caller = world.person(&format!("person-{number}"), Role::Reviewer, "acme").await;
            people.push(tokio::spawn(review(world.clone(), caller, held.clone(), number)));
        }
        let mut claims = 0;
        for one in people {
            claims += one.await.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(cutting.await.unwrap() > 0, "connections were cut");
        assert!(claims > 60, "they got on with it: {claims}");
        // Whatever a claim became that nobody heard of, it ends, and then somebody else can have the item.
        world.pass(1000).await;
        let last = world.person("last", Role::Reviewer, "acme").await;
        let mut rest = Vec::new();
        while let Some(claim) = world.reviews.next(&last, false).await.unwrap() {
            world.reviews.skip(&last, claim.item, claim.lease).await.unwrap();
            rest.push(claim.item);
        }
        rest.sort();
        let mut all = items;
        all.sort();
        assert_eq!(rest, all, "none is lost");
    });
}

/// Claims, and gives back in one of several ways; some requests are not heard to their end. Gives how many claims were made.
async fn review(world: World, caller: Caller, held: Held, seed: u64) -> u32 {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut claims = 0;
    for _ in 0..60 {
        let patience = Duration::from_micros(if rng.random_bool(0.3) { rng.random_range(0..4000) } else { 20_000_000 });
        let asked = tokio::time::timeout(patience, world.reviews.next(&caller, rng.random_bool(0.5))).await;
        let Ok(Ok(Some(claim))) = asked else { continue };
        claims += 1;
        let before = held.lock().unwrap().insert(claim.item, caller.person.clone());
        assert!(before.is_none_or(|other| other == caller.person), "{} is two people's at once", claim.item);
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..2000))).await;
        if rng.random_bool(0.8) {
            // From here on somebody else may have it: the request may be carried out though nobody hears of it.
            held.lock().unwrap().remove(&claim.item);
            let _ = match rng.random_bool(0.3) {
                true => world.reviews.skip(&caller, claim.item, claim.lease).await.is_ok(),
                false => world.reviews.release(&caller, &[claim.lease]).await.is_ok(),
            };
        }
    }
    claims
}

#[test]
fn a_person_with_many_windows_has_six_items_at_most() {
    in_world(|world: World| async move {
        world.items("acme", &named("post", 30)).await;
        let ann = world.person("ann", Role::Reviewer, "acme").await;
        let windows: Vec<_> = (0..12)
            .map(|_| {
                let (world, ann) = (world.clone(), ann.clone());
                tokio::spawn(async move { world.reviews.next(&ann, true).await.unwrap() })
            })
            .collect();
        let mut given = 0;
        for window in windows {
            given += u32::from(tokio::time::timeout(DEADLINE, window).await.unwrap().unwrap().is_some());
        }
        assert_eq!(given, 6);
        assert_eq!(world.count("SELECT count(*) FROM review_items WHERE holder = 'ann'").await, 6);
    });
}
