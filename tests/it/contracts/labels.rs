//! The promises of `labels`.

use std::sync::Arc;

use database::Database;
use domain::{LabelledOrigin, OutcomeId};
use labels::memory::Memory;
use labels::postgres::Postgres;
use labels::{Count, Heard, Label, Labels, Source};
use ledger::postgres::migrate;
use tokio::task::JoinSet;

use crate::support::outcomes::key;
use crate::support::servers::in_own_schema;

type Subject = Arc<dyn Labels>;

on_memory_and_postgres! {
    what_was_said_is_found_unchanged_in_its_order
    in_force_is_the_newest_word_of_the_highest_source
    who_repeats_their_last_word_adds_nothing
    who_changes_their_mind_twice_is_heard_each_time
    one_call_may_say_several_things_of_one_content
    many_who_say_the_same_at_once_are_heard_once_each
    what_is_in_force_comes_page_by_page
    counts_are_of_what_is_in_force
    saying_nothing_adds_nothing
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
    }
}

fn real(n: u32, source: Source, actor: &str) -> Label {
    label(n, LabelledOrigin::Real, source, actor)
}

fn synthetic(n: u32, source: Source, actor: &str) -> Label {
    label(n, LabelledOrigin::Synthetic, source, actor)
}

async fn said(labels: &Subject, label: Label) -> Heard {
    labels.say(&[label]).await.unwrap()[0]
}

async fn in_force(labels: &Subject, n: u32) -> Label {
    let words = labels.in_force("", 100).await.unwrap();
    words.into_iter().find(|word| word.label.sha256 == content(n)).unwrap().label
}

async fn what_was_said_is_found_unchanged_in_its_order(labels: Subject) {
    let awkward = "it's \"quoted\" \\ {curly} NULL, 日本 🦀\n\u{1}";
    let mut odd = synthetic(7, Source::Correction, awkward);
    odd.location = format!("/data/{awkward}");
    odd.reason = Some(awkward.into());
    odd.verdict_id = Some(OutcomeId::of(&key("a", 0)));
    let mut bare = real(7, Source::Import, "importer");
    bare.content_type = None;
    assert_eq!(labels.say(&[odd.clone(), bare.clone()]).await.unwrap(), [Heard::New, Heard::New]);
    let words = labels.history(&content(7)).await.unwrap();
    assert!(words[0].number < words[1].number);
    assert_eq!(words.into_iter().map(|word| word.label).collect::<Vec<_>>(), [odd, bare]);
    assert_eq!(labels.history(&content(8)).await.unwrap(), []);
}

async fn in_force_is_the_newest_word_of_the_highest_source(labels: Subject) {
    said(&labels, real(1, Source::Import, "a")).await;
    assert_eq!(in_force(&labels, 1).await, real(1, Source::Import, "a"));
    said(&labels, synthetic(1, Source::Import, "b")).await;
    assert_eq!(in_force(&labels, 1).await, synthetic(1, Source::Import, "b"));
    said(&labels, real(1, Source::Correction, "c")).await;
    said(&labels, synthetic(1, Source::Import, "d")).await;
    assert_eq!(in_force(&labels, 1).await, real(1, Source::Correction, "c"), "an import does not outweigh it");
    said(&labels, synthetic(1, Source::Correction, "d")).await;
    assert_eq!(in_force(&labels, 1).await, synthetic(1, Source::Correction, "d"));
    assert_eq!(labels.history(&content(1)).await.unwrap().len(), 5, "nothing is lost");
}

async fn who_repeats_their_last_word_adds_nothing(labels: Subject) {
    let word = synthetic(1, Source::Correction, "a");
    assert_eq!(said(&labels, word.clone()).await, Heard::New);
    let elsewhere = Label { location: "s3://b/c".into(), reason: Some("again".into()), ..word.clone() };
    assert_eq!(said(&labels, elsewhere).await, Heard::Known);
    for other in [
        Label { actor: "b".into(), ..word.clone() },
        Label { source: Source::Import, ..word.clone() },
        Label { sha256: content(2), ..word.clone() },
        Label { generator: None, ..word.clone() },
        Label { content_type: None, ..word.clone() },
    ] {
        assert_eq!(said(&labels, other.clone()).await, Heard::New, "{other:?}");
    }
    // What came late, and was said before somebody else spoke, does not speak again.
    let (first, second) = (real(3, Source::Correction, "a"), synthetic(3, Source::Correction, "b"));
    labels.say(&[first.clone(), second.clone(), first]).await.unwrap();
    assert_eq!(in_force(&labels, 3).await, second);
}

async fn who_changes_their_mind_twice_is_heard_each_time(labels: Subject) {
    for word in [real, synthetic, real] {
        assert_eq!(said(&labels, word(1, Source::Correction, "a")).await, Heard::New);
    }
    assert_eq!(in_force(&labels, 1).await, real(1, Source::Correction, "a"));
}

async fn one_call_may_say_several_things_of_one_content(labels: Subject) {
    let (one, other) = (real(1, Source::Import, "a"), synthetic(1, Source::Import, "a"));
    let heard = labels.say(&[one.clone(), one.clone(), other.clone(), one.clone(), one]).await.unwrap();
    assert_eq!(heard, [Heard::New, Heard::Known, Heard::New, Heard::New, Heard::Known]);
    assert_eq!(labels.history(&content(1)).await.unwrap().len(), 3);
    assert_eq!(said(&labels, other.clone()).await, Heard::New);
    assert_eq!(in_force(&labels, 1).await, other);
}

async fn many_who_say_the_same_at_once_are_heard_once_each(labels: Subject) {
    let mut tasks = JoinSet::new();
    for task in 0..12 {
        let labels = labels.clone();
        tasks.spawn(async move {
            // Each of three actors comes four times, with the contents in another order.
            let actor = format!("actor-{}", task % 3);
            let order = (0..20).map(|place| place * [1, 3, 7, 9][task / 3] % 20);
            let words: Vec<_> = order.map(|n| synthetic(n, Source::Import, &actor)).collect();
            let heard = labels.say(&words).await.unwrap();
            heard.into_iter().filter(|heard| *heard == Heard::New).count()
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), 3 * 20);
    assert_eq!(labels.history(&content(0)).await.unwrap().len(), 3);
}

async fn what_is_in_force_comes_page_by_page(labels: Subject) {
    // Said in another order than they come.
    let words: Vec<_> = [5, 3, 9, 1, 7].map(|n| real(n, Source::Import, "a")).to_vec();
    labels.say(&words).await.unwrap();
    let mut pages: Vec<Vec<String>> = Vec::new();
    let mut after = String::new();
    loop {
        let page = labels.in_force(&after, 2).await.unwrap();
        let contents: Vec<_> = page.into_iter().map(|word| word.label.sha256).collect();
        pages.push(contents.clone());
        match contents.last() {
            Some(last) if contents.len() == 2 => after.clone_from(last),
            _ => break,
        }
    }
    assert_eq!(pages, [vec![content(1), content(3)], vec![content(5), content(7)], vec![content(9)]]);
}

async fn counts_are_of_what_is_in_force(labels: Subject) {
    assert_eq!(labels.counts().await.unwrap(), []);
    labels.say(&[1, 2, 3].map(|n| real(n, Source::Import, "a"))).await.unwrap();
    said(&labels, synthetic(3, Source::Correction, "b")).await;
    said(&labels, Label { content_type: None, ..real(4, Source::Import, "a") }).await;
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

async fn saying_nothing_adds_nothing(labels: Subject) {
    assert_eq!(labels.say(&[]).await.unwrap(), []);
    assert_eq!(labels.in_force("", 10).await.unwrap(), []);
}

/// All or nothing: a row that the database refuses takes the others with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_leaves_nothing_behind() {
    in_own_schema(|settings| async move {
        migrate(&settings).await.unwrap();
        let labels = Postgres::on(&Database::connect(&settings).await.unwrap());
        let wrong = Label { sha256: "none".into(), ..real(2, Source::Import, "a") };
        labels.say(&[real(1, Source::Import, "a"), wrong]).await.unwrap_err();
        assert_eq!(labels.history(&content(1)).await.unwrap(), []);
        labels.say(&[real(1, Source::Import, "a")]).await.unwrap();
    })
    .await;
}
