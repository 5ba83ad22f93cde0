//! Nobody gets anything of a tenant that is not theirs; who reviewed an image does not decide on its appeal.

use domain::LabelledOrigin;
use review::{
    Answer, AppealRefused, AppealState, By, Caller, ItemId, ItemKind, ListFilter, NewAppeal, NewVote, OutboxKind,
    Refused, ReviewGround, Role, Via,
};
use serde_json::json;
use uuid::Uuid;

use crate::world::{World, in_world, named, verdict};

fn appeal(outcome: domain::OutcomeId) -> NewAppeal {
    NewAppeal {
        outcome,
        tenant: None,
        text: "it is mine".into(),
        evidence: None,
        via: Via::Console,
        filed_by: Some("r-ann".into()),
    }
}

#[test]
fn a_lead_of_another_tenant_finds_nothing_and_changes_nothing() {
    in_world(|world: World| async move {
        let outcome = world.record(verdict("acme", "post", &json!({}))).await;
        world.items("acme", &named("more", 3)).await;
        let item = ItemId::of(outcome, ItemKind::Review);
        let ann = world.person("ann", Role::Reviewer, "acme").await;
        let claim = world.reviews.claim(&ann, item).await.unwrap();
        let filed =
            world.reviews.file_appeal(&appeal(world.record(verdict("acme", "other", &json!({}))).await)).await.unwrap();

        let eve = world.person("eve", Role::Lead, "globex").await;
        let reviews = &world.reviews;
        let before = world.count("SELECT count(*) FROM review_items").await;
        assert!(reviews.next(&eve, false).await.unwrap().is_none());
        assert!(reviews.item(&eve, item).await.unwrap().is_none());
        assert!(reviews.verdict(&eve, outcome).await.unwrap().is_none());
        assert!(reviews.history(&eve, "acme", "post").await.unwrap().is_none());
        assert!(reviews.reviews_of(&eve, "acme", "post").await.unwrap().is_empty());
        assert!(reviews.list(&eve, &ListFilter::default()).await.unwrap().is_empty());
        assert!(reviews.search(&eve, By::Any, "post*").await.unwrap().results.is_empty());
        assert!(reviews.appeals(&eve, AppealState::Open, 0).await.unwrap().appeals.is_empty());
        assert!(reviews.appeal(&eve, filed.appeal).await.unwrap().is_none());
        assert_eq!(reviews.renew(&eve, &[claim.lease]).await.unwrap(), [claim.lease], "it is not theirs to renew");
        reviews.release(&eve, &[claim.lease]).await.unwrap();
        let refused = [
            reviews.claim(&eve, item).await.map(drop),
            reviews.skip(&eve, item, claim.lease).await,
            reviews.escalate(&eve, item, claim.lease, None).await,
            reviews.unassign(&eve, item).await,
            reviews.rejudge(&eve, item, claim.lease).await,
            reviews.golden(&eve, outcome, LabelledOrigin::Real).await.map(drop),
            vote(&world, &eve, claim.item, claim.lease, None).await,
        ];
        for (number, answered) in refused.into_iter().enumerate() {
            assert!(matches!(answered, Err(Refused::NotFound)), "{number}: {answered:?}");
        }
        let filing = reviews.file_appeal_by(&eve, &appeal(outcome)).await;
        assert!(matches!(filing, Err(AppealRefused::Unknown(_))), "{filing:?}");
        assert_eq!(world.count("SELECT count(*) FROM review_items").await, before);
        assert_eq!(world.count("SELECT count(*) FROM review_items WHERE holder = 'ann'").await, 1);
        // A role that ends is none.
        world.execute(&format!("UPDATE accesses SET expires_at = now() WHERE access_id = '{}'", ann.access)).await;
        assert!(reviews.next(&ann, false).await.unwrap().is_none());
        assert!(matches!(vote(&world, &ann, claim.item, claim.lease, None).await, Err(Refused::NotFound)));
    });
}

async fn vote(world: &World, caller: &Caller, item: ItemId, lease: Uuid, reason: Option<&str>) -> Result<(), Refused> {
    let new = NewVote {
        item,
        lease,
        vote: Uuid::new_v4(),
        answer: Answer::Real,
        ground: Some(ReviewGround::UploadersOriginal),
        generator: None,
        comment: reason.map(str::to_string),
    };
    world.reviews.vote(caller, &new).await.map(drop)
}

#[test]
fn an_appeal_is_decided_by_two_others_and_told_once() {
    in_world(|world: World| async move {
        let outcome = world.record(verdict("acme", "post", &json!({}))).await;
        world.reviews.collect().await.unwrap();
        let mut people = Vec::new();
        for name in ["ann", "ben", "cleo", "dora"] {
            people.push(world.person(name, Role::Reviewer, "acme").await);
        }
        let [ann, ben, cleo, dora] = people.try_into().unwrap_or_else(|_| panic!("four of them"));
        // Ann reviews it, without an answer, so that the verdict stays.
        let claim = world.reviews.next(&ann, false).await.unwrap().unwrap();
        let unsure = NewVote {
            item: claim.item,
            lease: claim.lease,
            vote: Uuid::new_v4(),
            answer: Answer::CannotTell,
            ground: None,
            generator: None,
            comment: None,
        };
        world.reviews.vote(&ann, &unsure).await.unwrap();
        counted(&world).await;

        let filed = world.reviews.file_appeal_by(&dora, &appeal(outcome)).await.unwrap();
        let again = world.reviews.file_appeal_by(&dora, &appeal(outcome)).await.unwrap();
        assert!(again.known && again.appeal == filed.appeal, "the same appeal is one");
        let other = NewAppeal { text: "another text".into(), ..appeal(outcome) };
        assert!(matches!(world.reviews.file_appeal(&other).await, Err(AppealRefused::AppealedBefore)));
        for barred in [&ann, &dora] {
            assert!(world.reviews.next(barred, false).await.unwrap().is_none(), "{} does not decide", barred.person);
        }
        for (number, one) in [&ben, &cleo].into_iter().enumerate() {
            let claim = world.reviews.next(one, false).await.unwrap().unwrap();
            assert!(
                matches!(vote(&world, one, claim.item, claim.lease, None).await, Err(Refused::Vote(_))),
                "a reason"
            );
            vote(&world, one, claim.item, claim.lease, Some("the original was shown")).await.unwrap();
            counted(&world).await;
            let decided = world.count("SELECT count(*) FROM appeals WHERE decided_at IS NOT NULL").await;
            assert_eq!(decided, i64::from(number == 1), "two decide");
        }
        let unsent = world.reviews.unsent(100).await.unwrap();
        let events = unsent.iter().filter(|message| message.kind == OutboxKind::Appeal).count();
        assert_eq!(events, 1, "one event");
    });
}

async fn counted(world: &World) {
    world.execute("UPDATE reviews SET counts_at = now() - interval '1 hour'").await;
    world.reviews.count_votes().await.unwrap();
}
