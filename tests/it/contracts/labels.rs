//! The promises of `labels`.

use std::sync::Arc;

use database::{Database, migrate};
use domain::{LabelledOrigin, OutcomeId};
use labels::memory::Memory;
use labels::postgres::Postgres;
use labels::{Count, Label, Labels, Recorded, Source};
use tokio::task::JoinSet;

use crate::support::outcomes::key;
use crate::support::servers::in_own_schema;

type Subject = Arc<dyn Labels>;

on_memory_and_postgres! {
    labels_are_found_unchanged_in_their_order
    in_force_is_the_newest_label_of_the_highest_source
    an_actor_who_repeats_their_last_label_adds_nothing
    each_change_of_mind_is_recorded
    one_call_may_hold_several_labels_of_one_image
    of_many_equal_labels_at_once_each_actor_has_one
    labels_in_force_come_page_by_page
    counts_are_of_labels_in_force
    recording_nothing_adds_nothing
}

/// The sha256 of the `n`th content, in order.
pub fn content(n: u32) -> String {
    format!("{n:064x}")
}

fn label(n: u32, origin: LabelledOrigin, source: Source, actor: &str) -> Label {
    let synthetic = origin == LabelledOrigin::Synthetic;
    Label {
        sha256: content(n),
        location: format!("s3://uploads/{n}.jpg"),
        origin,
        content_type: Some("faces".into()),
        generator: synthetic.then(|| "stylegan2".into()),
        source,
        actor: actor.into(),
        reason: None,
        verdict_id: None,
        drawn_as: None,
        grounds: Vec::new(),
        trains: true,
    }
}

fn real(n: u32, source: Source, actor: &str) -> Label {
    label(n, LabelledOrigin::Real, source, actor)
}

fn synthetic(n: u32, source: Source, actor: &str) -> Label {
    label(n, LabelledOrigin::Synthetic, source, actor)
}

async fn recorded(labels: &Subject, label: Label) -> Recorded {
    labels.record(&[label]).await.unwrap()[0]
}

async fn in_force(labels: &Subject, n: u32) -> Label {
    let in_force = labels.in_force("", 100).await.unwrap();
    in_force.into_iter().find(|recorded| recorded.label.sha256 == content(n)).unwrap().label
}

async fn labels_are_found_unchanged_in_their_order(labels: Subject) {
    let awkward = "it's \"quoted\" \\ {curly} NULL, 日本 🦀\n\u{1}";
    let mut odd = synthetic(7, Source::Correction, awkward);
    odd.location = format!("/data/{awkward}");
    odd.reason = Some(awkward.into());
    odd.verdict_id = Some(OutcomeId::of(&key("a", 0)));
    let mut bare = real(7, Source::Import, "importer");
    bare.content_type = None;
    assert_eq!(labels.record(&[odd.clone(), bare.clone()]).await.unwrap(), [Recorded::New, Recorded::New]);
    let history = labels.history(&content(7)).await.unwrap();
    assert!(history[0].number < history[1].number);
    assert_eq!(history.into_iter().map(|recorded| recorded.label).collect::<Vec<_>>(), [odd, bare]);
    assert_eq!(labels.history(&content(8)).await.unwrap(), []);
}

async fn in_force_is_the_newest_label_of_the_highest_source(labels: Subject) {
    recorded(&labels, real(1, Source::Import, "a")).await;
    assert_eq!(in_force(&labels, 1).await, real(1, Source::Import, "a"));
    recorded(&labels, synthetic(1, Source::Import, "b")).await;
    assert_eq!(in_force(&labels, 1).await, synthetic(1, Source::Import, "b"));
    recorded(&labels, real(1, Source::Correction, "c")).await;
    recorded(&labels, synthetic(1, Source::Import, "d")).await;
    assert_eq!(in_force(&labels, 1).await, real(1, Source::Correction, "c"), "an import does not outweigh it");
    recorded(&labels, synthetic(1, Source::Correction, "d")).await;
    assert_eq!(in_force(&labels, 1).await, synthetic(1, Source::Correction, "d"));
    assert_eq!(labels.history(&content(1)).await.unwrap().len(), 5, "nothing is lost");
}

async fn an_actor_who_repeats_their_last_label_adds_nothing(labels: Subject) {
    let first = synthetic(1, Source::Correction, "a");
    assert_eq!(recorded(&labels, first.clone()).await, Recorded::New);
    let elsewhere = Label { location: "s3://b/c".into(), reason: Some("again".into()), ..first.clone() };
    assert_eq!(recorded(&labels, elsewhere).await, Recorded::Duplicate);
    for other in [
        Label { actor: "b".into(), ..first.clone() },
        Label { source: Source::Import, ..first.clone() },
        Label { sha256: content(2), ..first.clone() },
        Label { generator: None, ..first.clone() },
        Label { content_type: None, ..first.clone() },
    ] {
        assert_eq!(recorded(&labels, other.clone()).await, Recorded::New, "{other:?}");
    }
    // A repetition that comes after the label of somebody else does not outweigh that.
    let (first, second) = (real(3, Source::Correction, "a"), synthetic(3, Source::Correction, "b"));
    labels.record(&[first.clone(), second.clone(), first]).await.unwrap();
    assert_eq!(in_force(&labels, 3).await, second);
}

async fn each_change_of_mind_is_recorded(labels: Subject) {
    for label in [real, synthetic, real] {
        assert_eq!(recorded(&labels, label(1, Source::Correction, "a")).await, Recorded::New);
    }
    assert_eq!(in_force(&labels, 1).await, real(1, Source::Correction, "a"));
}

async fn one_call_may_hold_several_labels_of_one_image(labels: Subject) {
    let (one, other) = (real(1, Source::Import, "a"), synthetic(1, Source::Import, "a"));
    let answers = labels.record(&[one.clone(), one.clone(), other.clone(), one.clone(), one]).await.unwrap();
    assert_eq!(answers, [Recorded::New, Recorded::Duplicate, Recorded::New, Recorded::New, Recorded::Duplicate]);
    assert_eq!(labels.history(&content(1)).await.unwrap().len(), 3);
    assert_eq!(recorded(&labels, other.clone()).await, Recorded::New);
    assert_eq!(in_force(&labels, 1).await, other);
}

async fn of_many_equal_labels_at_once_each_actor_has_one(labels: Subject) {
    let mut tasks = JoinSet::new();
    for task in 0..12 {
        let labels = labels.clone();
        tasks.spawn(async move {
            // Each of three actors comes four times, with the contents in another order.
            let actor = format!("actor-{}", task % 3);
            let order = (0..20).map(|place| place * [1, 3, 7, 9][task / 3] % 20);
            let equal: Vec<_> = order.map(|n| synthetic(n, Source::Import, &actor)).collect();
            let answers = labels.record(&equal).await.unwrap();
            answers.into_iter().filter(|answer| *answer == Recorded::New).count()
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), 3 * 20);
    assert_eq!(labels.history(&content(0)).await.unwrap().len(), 3);
}

async fn labels_in_force_come_page_by_page(labels: Subject) {
    // Recorded in another order than they come.
    let mixed: Vec<_> = [5, 3, 9, 1, 7].map(|n| real(n, Source::Import, "a")).to_vec();
    labels.record(&mixed).await.unwrap();
    let mut pages: Vec<Vec<String>> = Vec::new();
    let mut after = String::new();
    loop {
        let page = labels.in_force(&after, 2).await.unwrap();
        let contents: Vec<_> = page.into_iter().map(|recorded| recorded.label.sha256).collect();
        pages.push(contents.clone());
        match contents.last() {
            Some(last) if contents.len() == 2 => after.clone_from(last),
            _ => break,
        }
    }
    assert_eq!(pages, [vec![content(1), content(3)], vec![content(5), content(7)], vec![content(9)]]);
}

async fn counts_are_of_labels_in_force(labels: Subject) {
    assert_eq!(labels.counts().await.unwrap(), []);
    labels.record(&[1, 2, 3].map(|n| real(n, Source::Import, "a"))).await.unwrap();
    recorded(&labels, synthetic(3, Source::Correction, "b")).await;
    recorded(&labels, Label { content_type: None, ..real(4, Source::Import, "a") }).await;
    let count = |origin, content_type: Option<&str>, generator: Option<&str>, images| Count {
        origin,
        content_type: content_type.map(Into::into),
        generator: generator.map(Into::into),
        images,
    };
    let expected = [
        count("real", None, None, 1),
        count("real", Some("faces"), None, 2),
        count("synthetic", Some("faces"), Some("stylegan2"), 1),
    ];
    assert_eq!(labels.counts().await.unwrap(), expected);
}

async fn recording_nothing_adds_nothing(labels: Subject) {
    assert_eq!(labels.record(&[]).await.unwrap(), []);
    assert_eq!(labels.in_force("", 10).await.unwrap(), []);
}

/// All or nothing: a row that the database refuses takes the others with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_leaves_nothing_behind() {
    in_own_schema(|settings| async move {
        migrate(&settings).await.unwrap();
        let labels = Postgres::on(&Database::connect(&settings).await.unwrap());
        let wrong = Label { sha256: "none".into(), ..real(2, Source::Import, "a") };
        labels.record(&[real(1, Source::Import, "a"), wrong]).await.unwrap_err();
        assert_eq!(labels.history(&content(1)).await.unwrap(), []);
        labels.record(&[real(1, Source::Import, "a")]).await.unwrap();
    })
    .await;
}
