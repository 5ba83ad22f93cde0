//! The labelled images of a training: where they are, and what was said of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::training::recipe::Classes;
use crate::training::{Label, Stratum};
use artefact::{LabelSet, LearntImages, Manifest};
use domain::{Generator, LabelledOrigin};
use labels::{Vocabulary, annotations};

/// One image and its label. Its pixels are in the [`super::image_cache`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelledImage {
    /// Of its bytes, lower-case hexadecimal.
    pub sha256: String,
    /// `s3://bucket/key`, or the path of a file. Once it was fetched: the path of the local copy.
    pub location: String,
    pub origin: LabelledOrigin,
    pub content_type: Option<String>,
    /// `None` for a real image, and where nobody knows.
    pub generator: Option<Generator>,
    /// The data set, camera or site that it comes from; `None` where nobody has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl LabelledImage {
    /// Of a file.
    pub fn path(&self) -> &Path {
        Path::new(&self.location)
    }

    /// Bucket and key; `None` for a file.
    pub fn object(&self) -> Option<(&str, &str)> {
        self.location.strip_prefix("s3://")?.split_once('/')
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error("{} can't be read: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{}: {source}", path.display())]
    Annotations {
        path: PathBuf,
        #[source]
        source: annotations::AnnotationError,
    },
    #[error("the path {} is not valid UTF-8; rename the file or its folder", path.display())]
    NotUtf8 { path: PathBuf },
}

/// The images of an annotation file, which lie below `root`, in its order; those with the same bytes only once.
/// `image_read` is called after each file.
pub fn of_annotations(
    file: &Path,
    root: &Path,
    vocabulary: &Vocabulary,
    mut image_read: impl FnMut(),
) -> Result<Vec<LabelledImage>, DatasetError> {
    let unreadable = |path: &Path, source| DatasetError::Unreadable { path: path.to_owned(), source };
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, error))?;
    let lines = annotations::read(&text, vocabulary)
        .map_err(|source| DatasetError::Annotations { path: file.to_owned(), source })?;
    let mut known = BTreeSet::new();
    let mut images = Vec::with_capacity(lines.len());
    for line in lines {
        let path = root.join(&line.path);
        let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
        let location =
            path.into_os_string().into_string().map_err(|path| DatasetError::NotUtf8 { path: path.into() })?;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        image_read();
        if known.insert(sha256.clone()) {
            let content_type = Some(line.content_type);
            images.push(LabelledImage {
                sha256,
                location,
                origin: line.origin,
                content_type,
                generator: line.generator,
                source: Some(line.source),
            });
        }
    }
    Ok(images)
}

/// The classes that these images can teach, in the order of the vocabulary. Its id follows from them.
pub fn label_set(images: &[LabelledImage], classes: Classes, vocabulary: &Vocabulary) -> LabelSet {
    let is_shown = |wanted: &Generator| {
        let mut shown = images.iter().filter_map(|image| image.generator.as_ref());
        shown.any(|generator| class(generator, classes) == wanted.label)
    };
    let (name, all): (_, Vec<Generator>) = match classes {
        Classes::Families => {
            let family = |name: &str| Generator { label: name.into(), family: name.into() };
            ("families", vocabulary.families().map(family).collect())
        }
        Classes::Generators => ("generators", vocabulary.generators().cloned().collect()),
    };
    let generators: Vec<Generator> = all.into_iter().filter(is_shown).collect();
    if generators.is_empty() {
        return LabelSet::none();
    }
    let words: Vec<&str> = generators.iter().map(|generator| generator.label.as_str()).collect();
    let digest = hex::encode(&Sha256::digest(words.join("\n"))[..4]);
    LabelSet { id: format!("{name}-{}@{digest}", generators.len()), generators }
}

/// What an image is among the classes of a label set.
pub fn label(image: &LabelledImage, classes: Classes, labels: &LabelSet) -> Label {
    match image.origin {
        LabelledOrigin::Real => Label::Real,
        LabelledOrigin::Synthetic => Label::Synthetic(image.generator.as_ref().and_then(|generator| {
            let class = class(generator, classes);
            labels.generators.iter().position(|known| known.label == class)
        })),
    }
}

/// What an image is balanced with, and left out with.
pub fn stratum(image: &LabelledImage) -> Stratum {
    let generator = image.generator.as_ref().map(|generator| generator.label.as_str());
    Stratum::of(image.origin, image.source.as_deref(), generator)
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

/// Takes the images out that are held out, at this share of all. Those of one group go together, to the side of the one whose
/// digest has the smallest second half. The side follows from the first half, so large groups are held out no more often than
/// small ones. An image without a group is alone.
pub fn hold_out(images: &mut Vec<LabelledImage>, groups: &[Option<usize>], share: f64) -> Vec<LabelledImage> {
    let second_half = |image: &LabelledImage| image.sha256.get(32..).unwrap_or_default().to_string();
    // By group: the smallest second half, and the side of its image.
    let mut sides = BTreeMap::<usize, (String, bool)>::new();
    for (image, group) in images.iter().zip(groups) {
        let Some(group) = group else { continue };
        let own = (second_half(image), is_held_out(&image.sha256, share));
        sides.entry(*group).and_modify(|side| *side = own.clone().min(side.clone())).or_insert(own);
    }
    let mut groups = groups.iter();
    let goes = |image: &LabelledImage, group: Option<usize>| match group.and_then(|group| sides.get(&group)) {
        Some((_, held_out)) => *held_out,
        None => is_held_out(&image.sha256, share),
    };
    images.extract_if(.., |image| goes(image, groups.next().copied().flatten())).collect()
}

/// Where an image stands between 0 and 1: its first 32 bits.
pub fn place(sha256: &str) -> f64 {
    let bits = u32::from_str_radix(sha256.get(..8).unwrap_or("0"), 16).unwrap_or(0);
    f64::from(bits) / f64::from(u32::MAX)
}

/// What a model has learnt that was trained on these images, from another one or from none.
pub fn learnt(images: &[LabelledImage], parent: Option<&Manifest>) -> LearntImages {
    let learnt = LearntImages::of(images.iter().map(|image| image.sha256.as_str()));
    parent.map_or(learnt.clone(), |parent| learnt.and(&parent.lineage.learnt))
}

/// Those of the images that none of the models has learnt from.
pub fn learnt_by_none(images: &[LabelledImage], models: &[&Manifest]) -> Vec<LabelledImage> {
    let is_new = |image: &&LabelledImage| !models.iter().any(|model| model.lineage.learnt.contains(&image.sha256));
    images.iter().filter(is_new).cloned().collect()
}

/// One digest for a list of images and what is said of them, in whatever order they come.
pub fn digest(images: &[LabelledImage]) -> String {
    let mut lines: Vec<String> = images
        .iter()
        .map(|image| {
            let generator = image.generator.as_ref().map_or("", |generator| generator.label.as_str());
            let content_type = image.content_type.as_deref().unwrap_or_default();
            format!("{},{},{content_type},{generator}\n", image.sha256, image.origin.as_str())
        })
        .collect();
    lines.sort();
    hex::encode(Sha256::digest(lines.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(sha256: &str, generator: Option<(&str, &str)>) -> LabelledImage {
        LabelledImage {
            sha256: sha256.into(),
            location: String::new(),
            origin: if generator.is_some() { LabelledOrigin::Synthetic } else { LabelledOrigin::Real },
            content_type: None,
            generator: generator.map(|(label, family)| Generator { label: label.into(), family: family.into() }),
            source: None,
        }
    }

    #[test]
    fn a_label_set_holds_the_classes_that_the_images_show() {
        let images = [
            image("1", Some(("sdxl-1.0", "stable-diffusion"))),
            image("2", Some(("progan", "gan"))),
            image("3", Some(("stylegan3", "gan"))),
            image("4", None),
        ];
        let vocabulary = Vocabulary::built_in();
        let families = label_set(&images, Classes::Families, &vocabulary);
        let names: Vec<_> = families.generators.iter().map(|generator| generator.label.as_str()).collect();
        assert_eq!(names, ["gan", "stable-diffusion"]);
        assert!(families.id.starts_with("families-2@"), "{}", families.id);
        let labels: Vec<_> = images.iter().map(|image| label(image, Classes::Families, &families)).collect();
        assert_eq!(
            labels,
            [1, 0, 0].map(|class| Label::Synthetic(Some(class))).into_iter().chain([Label::Real]).collect::<Vec<_>>()
        );
        assert_eq!(label_set(&images, Classes::Generators, &vocabulary).generators.len(), 3);
        assert_eq!(label_set(&images[3..], Classes::Generators, &vocabulary), LabelSet::none());
        let unknown = image("5", Some(("dall-e-3", "dall-e-3")));
        assert_eq!(label(&unknown, Classes::Families, &families), Label::Synthetic(None));
    }

    #[test]
    fn whether_an_image_is_held_out_follows_from_its_bytes_alone() {
        let digests = (0..4000).map(|n: u32| hex::encode(Sha256::digest(n.to_le_bytes())));
        let held_out: Vec<String> = digests.filter(|sha256| is_held_out(sha256, 0.2)).collect();
        assert!((700..900).contains(&held_out.len()), "{}", held_out.len());
        assert!(held_out.iter().all(|sha256| is_held_out(sha256, 0.3)), "a larger share holds the smaller one");
    }

    #[test]
    fn images_that_show_the_same_are_held_out_together() {
        let digest = |n: usize| hex::encode(Sha256::digest(n.to_le_bytes()));
        // Three of each thing, and some that could not be decoded.
        let group = |n: usize| (n < 3000).then_some(n % 1000);
        let all: Vec<LabelledImage> = (0..4000).map(|n| image(&digest(n), None)).collect();
        let split = |order: &[usize]| {
            let mut train: Vec<LabelledImage> = order.iter().map(|&n| all[n].clone()).collect();
            let groups: Vec<Option<usize>> = order.iter().map(|&n| group(n)).collect();
            let held_out = hold_out(&mut train, &groups, 0.2);
            assert_eq!(train.len() + held_out.len(), 4000);
            held_out.into_iter().map(|image| image.sha256).collect::<BTreeSet<_>>()
        };
        let held_out = split(&(0..4000).collect::<Vec<_>>());
        assert!((700..900).contains(&held_out.len()), "{}", held_out.len());
        for thing in 0..1000 {
            let held = [0, 1000, 2000].map(|more| held_out.contains(&digest(thing + more)));
            assert!(held == [true; 3] || held == [false; 3], "{thing}: {held:?}");
        }
        assert_eq!(held_out, split(&(0..4000).rev().collect::<Vec<_>>()), "the order changes nothing");
    }

    #[test]
    fn a_digest_depends_on_the_labels_and_not_on_the_order() {
        let (one, two) = (image("1", None), image("2", Some(("progan", "gan"))));
        assert_eq!(digest(&[one.clone(), two.clone()]), digest(&[two.clone(), one.clone()]));
        assert_ne!(digest(&[one.clone(), two]), digest(&[one, image("2", None)]));
    }
}
