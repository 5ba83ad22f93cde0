//! The images to learn from: where they lie, and what was said of them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::training::recipe::Classes;
use crate::training::{Label, Stratum};
use artefact::LabelSet;
use domain::{Generator, LabelledOrigin};
use labels::{Vocabulary, annotations};

/// One labelled image, as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub path: PathBuf,
    /// Of its bytes, lower-case hexadecimal.
    pub sha256: String,
    pub origin: LabelledOrigin,
    pub content_type: Option<String>,
    /// `None` for a real image, and where nobody knows.
    pub generator: Option<Generator>,
    /// The data set, camera or site that it comes from; `None` where nobody has said.
    #[serde(default)]
    pub source: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    #[error("{} can't be read: {detail}", path.display())]
    Unreadable { path: PathBuf, detail: String },
    #[error("{}: {detail}", path.display())]
    Wrong { path: PathBuf, detail: String },
}

/// The images of an annotation file, which lie below `root`, in its order; those with the same bytes only once. `seen` is
/// told of each file.
pub fn of_annotations(
    file: &Path,
    root: &Path,
    vocabulary: &Vocabulary,
    mut seen: impl FnMut(),
) -> Result<Vec<Item>, MaterialError> {
    let unreadable = |path: &Path, error: std::io::Error| MaterialError::Unreadable {
        path: path.to_owned(),
        detail: error.to_string(),
    };
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, error))?;
    let lines = annotations::read(&text, vocabulary)
        .map_err(|error| MaterialError::Wrong { path: file.to_owned(), detail: error.to_string() })?;
    let mut known = std::collections::BTreeSet::new();
    let mut items = Vec::with_capacity(lines.len());
    for line in lines {
        let path = root.join(&line.path);
        let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        seen();
        if known.insert(sha256.clone()) {
            let (content_type, source) = (Some(line.content_type), Some(line.source));
            items.push(Item { path, sha256, origin: line.origin, content_type, generator: line.generator, source });
        }
    }
    Ok(items)
}

/// The classes that these images can teach, in the order of the vocabulary. Its id follows from them.
pub fn label_set(items: &[Item], classes: Classes, vocabulary: &Vocabulary) -> LabelSet {
    let there = |wanted: &Generator| {
        items.iter().filter_map(|item| item.generator.as_ref()).any(|it| class(it, classes) == wanted.label)
    };
    let (name, all): (_, Vec<Generator>) = match classes {
        Classes::Families => {
            let family = |name: &str| Generator { label: name.into(), family: name.into() };
            ("families", vocabulary.families().map(family).collect())
        }
        Classes::Generators => ("generators", vocabulary.generators().cloned().collect()),
    };
    let generators: Vec<Generator> = all.into_iter().filter(there).collect();
    if generators.is_empty() {
        return LabelSet::none();
    }
    let words: Vec<&str> = generators.iter().map(|generator| generator.label.as_str()).collect();
    let digest = hex::encode(&Sha256::digest(words.join("\n"))[..4]);
    LabelSet { id: format!("{name}-{}@{digest}", generators.len()), generators }
}

/// What an image is among the classes of a label set.
pub fn label(item: &Item, classes: Classes, labels: &LabelSet) -> Label {
    match item.origin {
        LabelledOrigin::Real => Label::Real,
        LabelledOrigin::Synthetic => Label::Synthetic(item.generator.as_ref().and_then(|generator| {
            let class = class(generator, classes);
            labels.generators.iter().position(|known| known.label == class)
        })),
    }
}

/// What an image is balanced with, and left out with.
pub fn stratum(item: &Item) -> Stratum {
    let generator = item.generator.as_ref().map(|generator| generator.label.as_str());
    Stratum::of(item.origin, item.source.as_deref(), generator)
}

fn class(generator: &Generator, classes: Classes) -> &str {
    match classes {
        Classes::Families => &generator.family,
        Classes::Generators => &generator.label,
    }
}

/// Whether an image is held out, at this share of all: by its bytes, so that it never moves to the other side.
pub fn is_held_out(sha256: &str, share: f64) -> bool {
    place(sha256) < share
}

/// Takes the images out that are held out, at this share of all. Those of one group go together, wherever the one of them
/// stands whose digest has the smallest end: where it stands has nothing to do with that, so large groups are held out no
/// more often than small ones. An image without a group is alone.
pub fn hold_out(items: &mut Vec<Item>, groups: &[Option<usize>], share: f64) -> Vec<Item> {
    let end = |item: &Item| item.sha256.get(32..).unwrap_or_default().to_string();
    let mut speakers = std::collections::BTreeMap::<usize, (String, bool)>::new();
    for (item, group) in items.iter().zip(groups) {
        let Some(group) = group else { continue };
        let own = (end(item), is_held_out(&item.sha256, share));
        speakers.entry(*group).and_modify(|speaker| *speaker = own.clone().min(speaker.clone())).or_insert(own);
    }
    let mut groups = groups.iter();
    let spoken = |item: &Item, group: Option<usize>| match group.and_then(|group| speakers.get(&group)) {
        Some((_, held_out)) => *held_out,
        None => is_held_out(&item.sha256, share),
    };
    items.extract_if(.., |item| spoken(item, groups.next().copied().flatten())).collect()
}

/// Where an image stands between 0 and 1: its first 32 bits.
pub fn place(sha256: &str) -> f64 {
    let bits = u32::from_str_radix(sha256.get(..8).unwrap_or("0"), 16).unwrap_or(0);
    f64::from(bits) / f64::from(u32::MAX)
}

/// One digest for a list of images and what is said of them, in whatever order they come.
pub fn digest(items: &[Item]) -> String {
    let mut lines: Vec<String> = items
        .iter()
        .map(|item| {
            let generator = item.generator.as_ref().map_or("", |generator| generator.label.as_str());
            let content_type = item.content_type.as_deref().unwrap_or_default();
            format!("{},{},{content_type},{generator}\n", item.sha256, item.origin.as_str())
        })
        .collect();
    lines.sort();
    hex::encode(Sha256::digest(lines.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(sha256: &str, generator: Option<(&str, &str)>) -> Item {
        Item {
            path: PathBuf::new(),
            sha256: sha256.into(),
            origin: if generator.is_some() { LabelledOrigin::Synthetic } else { LabelledOrigin::Real },
            content_type: None,
            generator: generator.map(|(label, family)| Generator { label: label.into(), family: family.into() }),
            source: None,
        }
    }

    #[test]
    fn classes_are_those_that_the_images_show() {
        let items = [
            item("1", Some(("sdxl-1.0", "stable-diffusion"))),
            item("2", Some(("progan", "gan"))),
            item("3", Some(("stylegan3", "gan"))),
            item("4", None),
        ];
        let vocabulary = Vocabulary::built_in();
        let families = label_set(&items, Classes::Families, &vocabulary);
        let names: Vec<_> = families.generators.iter().map(|generator| generator.label.as_str()).collect();
        assert_eq!(names, ["gan", "stable-diffusion"]);
        assert!(families.id.starts_with("families-2@"), "{}", families.id);
        let labels: Vec<_> = items.iter().map(|item| label(item, Classes::Families, &families)).collect();
        assert_eq!(
            labels,
            [1, 0, 0].map(|class| Label::Synthetic(Some(class))).into_iter().chain([Label::Real]).collect::<Vec<_>>()
        );
        assert_eq!(label_set(&items, Classes::Generators, &vocabulary).generators.len(), 3);
        assert_eq!(label_set(&items[3..], Classes::Generators, &vocabulary), LabelSet::none());
        let unknown = item("5", Some(("dall-e-3", "dall-e-3")));
        assert_eq!(label(&unknown, Classes::Families, &families), Label::Synthetic(None));
    }

    #[test]
    fn what_is_held_out_follows_from_the_bytes_alone() {
        let digests = (0..4000).map(|n: u32| hex::encode(Sha256::digest(n.to_le_bytes())));
        let held_out: Vec<String> = digests.filter(|sha256| is_held_out(sha256, 0.2)).collect();
        assert!((700..900).contains(&held_out.len()), "{}", held_out.len());
        assert!(held_out.iter().all(|sha256| is_held_out(sha256, 0.3)), "a larger share holds the smaller one");
    }

    #[test]
    fn images_that_show_the_same_are_held_out_together() {
        let digest = |n: usize| hex::encode(Sha256::digest(n.to_le_bytes()));
        // Three of each thing, and some that nobody has seen.
        let group = |n: usize| (n < 3000).then_some(n % 1000);
        let all: Vec<Item> = (0..4000).map(|n| item(&digest(n), None)).collect();
        let split = |order: &[usize]| {
            let mut train: Vec<Item> = order.iter().map(|&n| all[n].clone()).collect();
            let groups: Vec<Option<usize>> = order.iter().map(|&n| group(n)).collect();
            let held_out = hold_out(&mut train, &groups, 0.2);
            assert_eq!(train.len() + held_out.len(), 4000);
            held_out.into_iter().map(|item| item.sha256).collect::<std::collections::BTreeSet<_>>()
        };
        let held_out = split(&(0..4000).collect::<Vec<_>>());
        assert!((700..900).contains(&held_out.len()), "{}", held_out.len());
        for thing in 0..1000 {
            let there = [0, 1000, 2000].map(|more| held_out.contains(&digest(thing + more)));
            assert!(there == [true; 3] || there == [false; 3], "{thing}: {there:?}");
        }
        assert_eq!(held_out, split(&(0..4000).rev().collect::<Vec<_>>()), "the order has no part in it");
    }

    #[test]
    fn a_digest_depends_on_what_is_said_and_not_on_the_order() {
        let (one, two) = (item("1", None), item("2", Some(("progan", "gan"))));
        assert_eq!(digest(&[one.clone(), two.clone()]), digest(&[two.clone(), one.clone()]));
        assert_ne!(digest(&[one.clone(), two]), digest(&[one, item("2", None)]));
    }
}
