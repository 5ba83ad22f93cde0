//! The promises of `registry::Leases`.

use std::sync::Arc;
use std::time::Duration;

use registry::memory::Memory;
use registry::postgres::Postgres;
use registry::{Acquired, By, Fenced, Lease, Leases, Registry, RegistryError, RunState, TrainingRuns};
use tokio::task::JoinSet;

use super::registry::{change, model};
use super::training_runs::run;

type Subject = Arc<dyn Leases>;

const HOUR: Duration = Duration::from_secs(3600);

on_memory_and_postgres! {
    a_lease_has_one_holder_at_a_time
    a_lease_that_ran_out_or_was_given_back_is_free
    of_many_who_want_a_lease_one_gets_it
    an_earlier_holder_can_write_nothing_more
}

pub(super) async fn acquired(leases: &Subject, holder: &str, ttl: Duration) -> Lease {
    match leases.acquire("retrain", holder, ttl).await.unwrap() {
        Acquired::Mine(lease) => lease,
        held => panic!("{held:?}"),
    }
}

async fn a_lease_has_one_holder_at_a_time(leases: Subject) {
    let lease = acquired(&leases, "a", HOUR).await;
    assert_eq!((lease.epoch, lease.holder.as_str(), lease.name.as_str()), (1, "a", "retrain"));
    for holder in ["b", "a"] {
        let held = leases.acquire("retrain", holder, HOUR).await.unwrap();
        assert_eq!(held, Acquired::Held { by: "a".into(), until: lease.expires_at });
    }
    let other = leases.acquire("another", "b", HOUR).await.unwrap();
    assert!(matches!(other, Acquired::Mine(lease) if lease.epoch == 1), "leases of other names are others");
    let renewed = leases.renew(&lease, 2 * HOUR).await.unwrap();
    assert!(renewed.epoch == 1 && renewed.expires_at > lease.expires_at);
}

async fn a_lease_that_ran_out_or_was_given_back_is_free(leases: Subject) {
    let first = acquired(&leases, "a", Duration::ZERO).await;
    // It ran out, but nobody took it.
    let first = leases.renew(&first, Duration::ZERO).await.unwrap();
    let second = acquired(&leases, "b", HOUR).await;
    assert_eq!(second.epoch, 2);
    leases.release(&first).await.unwrap();
    assert!(matches!(leases.acquire("retrain", "c", HOUR).await.unwrap(), Acquired::Held { .. }));
    leases.release(&second).await.unwrap();
    assert_eq!(acquired(&leases, "c", HOUR).await.epoch, 3);
}

async fn of_many_who_want_a_lease_one_gets_it(leases: Subject) {
    let mut tasks = JoinSet::new();
    for holder in 0..12 {
        let leases = leases.clone();
        tasks.spawn(async move { leases.acquire("retrain", &holder.to_string(), HOUR).await.unwrap() });
    }
    let (mine, held): (Vec<_>, Vec<_>) =
        tasks.join_all().await.into_iter().partition(|acquired| matches!(acquired, Acquired::Mine(_)));
    assert_eq!((mine.len(), held.len()), (1, 11));
    let Acquired::Mine(lease) = &mine[0] else { unreachable!() };
    assert!(held.iter().all(|held| matches!(held, Acquired::Held { by, .. } if *by == lease.holder)));
}

/// The ports that are asked by the right of a lease, on the same leases.
async fn an_earlier_holder_can_write_nothing_more<All: Registry + Leases + TrainingRuns + 'static>(all: Arc<All>) {
    let (registry, leases, runs): (Arc<dyn Registry>, Subject, Arc<dyn TrainingRuns>) = (all.clone(), all.clone(), all);
    registry.register(&model("1"), By::Person).await.unwrap();
    let late = acquired(&leases, "late", Duration::ZERO).await;
    let current = acquired(&leases, "current", HOUR).await;
    let fenced = |error: RegistryError| {
        assert!(matches!(&error, RegistryError::Fenced(Fenced { epoch: 1, current: 2, .. })), "{error}");
    };
    fenced(registry.register(&model("2"), By::Job(&late)).await.unwrap_err());
    fenced(registry.promote(&change("1", None), By::Job(&late)).await.unwrap_err());
    fenced(runs.record(&run(1, RunState::Running), &late).await.unwrap_err().into());
    fenced(leases.renew(&late, HOUR).await.unwrap_err().into());
    assert_eq!(registry.model("2").await.unwrap(), None);
    assert_eq!(registry.active().await.unwrap(), None);
    assert_eq!(runs.latest(10).await.unwrap(), []);

    registry.register(&model("2"), By::Job(&current)).await.unwrap();
    registry.promote(&change("2", None), By::Job(&current)).await.unwrap();
    runs.record(&run(1, RunState::Running), &current).await.unwrap();
    let forged = Lease { name: "another".into(), ..current };
    let error = registry.register(&model("3"), By::Job(&forged)).await.unwrap_err();
    assert!(matches!(error, RegistryError::Fenced(Fenced { current: 0, .. })), "{error}");
}
