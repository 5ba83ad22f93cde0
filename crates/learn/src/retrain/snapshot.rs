//! The labels in force at one moment: what a run learns from, and what its candidate is judged by. A snapshot never changes.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::dataset::{LabelledImage, place};
use database::DatabaseError;
use domain::Generator;
use labels::{Label, Labels, Vocabulary};

/// Labels that are asked for at a time.
const PAGE: usize = 1000;

/// The document `assay.snapshot.v1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub schema: String,
    pub shares: Shares,
    /// In the order of their digests.
    pub images: Vec<SnapshotImage>,
}

/// An image and the use it is put to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotImage {
    #[serde(flatten)]
    pub image: LabelledImage,
    pub side: Side,
}

/// Which use an image may be put to: by the hash of its bytes, so that it never changes sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Train,
    /// Calibrates the candidate.
    Reading,
    /// Decides between candidate and incumbent.
    HeldOut,
}

/// How much of all images is put to which use; the rest is trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    pub held_out: f64,
    pub reading: f64,
}

impl Snapshot {
    pub const SCHEMA: &'static str = "assay.snapshot.v1";

    /// All labels that are in force now and may be trained on.
    pub async fn take(labels: &dyn Labels, vocabulary: &Vocabulary, shares: Shares) -> Result<Snapshot, DatabaseError> {
        let (mut images, mut after): (Vec<SnapshotImage>, _) = (Vec::new(), String::new());
        loop {
            let words = labels.in_force(&after, PAGE).await?;
            let last = words.len() < PAGE;
            after = words.last().map(|word| word.label.sha256.clone()).unwrap_or_default();
            let trained_on = words.into_iter().filter(|word| word.label.trains);
            images.extend(trained_on.map(|word| image(word.label, vocabulary, shares)));
            if last {
                return Ok(Snapshot { schema: Snapshot::SCHEMA.into(), shares, images });
            }
        }
    }

    /// Of the document as it is written.
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(self.text()))
    }

    /// Writes the document in one step: a reader finds all of it or nothing.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        artefact::persist(path, self.text().as_bytes())
    }

    fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("it holds nothing that JSON does not") + "\n"
    }

    /// How many images are put to this use.
    pub fn count(&self, side: Side) -> usize {
        self.images.iter().filter(|it| it.side == side).count()
    }
}

/// The images that are put to one use.
pub fn on_side(images: &[SnapshotImage], side: Side) -> Vec<LabelledImage> {
    images.iter().filter(|it| it.side == side).map(|it| it.image.clone()).collect()
}

fn image(label: Label, vocabulary: &Vocabulary, shares: Shares) -> SnapshotImage {
    let generator = label.generator.and_then(|name| {
        let family = vocabulary.family_of(&name)?.to_string();
        Some(Generator { label: name, family })
    });
    let side = match place(&label.sha256) {
        place if place < shares.held_out => Side::HeldOut,
        place if place < shares.held_out + shares.reading => Side::Reading,
        _ => Side::Train,
    };
    let Label { sha256, location, origin, content_type, .. } = label;
    SnapshotImage { image: LabelledImage { sha256, location, origin, content_type, generator, source: None }, side }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::LabelledOrigin;
    use labels::Source;
    use labels::memory::Memory;

    const SHARES: Shares = Shares { held_out: 0.2, reading: 0.1 };

    fn label(number: u32, generator: Option<&str>) -> Label {
        Label {
            sha256: hex::encode(Sha256::digest(number.to_le_bytes())),
            location: format!("s3://uploads/{number}.png"),
            origin: if generator.is_some() { LabelledOrigin::Synthetic } else { LabelledOrigin::Real },
            content_type: Some("photos".into()),
            generator: generator.map(Into::into),
            source: Source::Import,
            actor: "test".into(),
            reason: None,
            verdict_id: None,
            drawn_as: None,
            grounds: Vec::new(),
            trains: true,
        }
    }

    #[tokio::test]
    async fn a_snapshot_is_what_is_in_force_and_its_digest_changes_with_it() {
        let labels = Memory::new();
        let said: Vec<Label> = (0..1500).map(|n| label(n, (n % 2 == 1).then_some("sdxl-1.0"))).collect();
        labels.record(&said).await.unwrap();
        let vocabulary = Vocabulary::built_in();
        let first = Snapshot::take(&labels, &vocabulary, SHARES).await.unwrap();
        assert_eq!(first.images.len(), 1500);
        assert_eq!(
            first
                .images
                .iter()
                .filter(|it| it.image.generator.as_ref().is_some_and(|it| it.family == "stable-diffusion"))
                .count(),
            750
        );
        let again = Snapshot::take(&labels, &vocabulary, SHARES).await.unwrap();
        assert_eq!(first.sha256(), again.sha256());

        let mut corrected = label(3, None);
        corrected.source = Source::Correction;
        labels.record(&[corrected.clone()]).await.unwrap();
        let later = Snapshot::take(&labels, &vocabulary, SHARES).await.unwrap();
        assert_ne!(first.sha256(), later.sha256());
        // Whatever its label, an image stays on its side.
        let sides = |snapshot: &Snapshot| snapshot.images.iter().map(|it| it.side).collect::<Vec<_>>();
        assert_eq!(sides(&first), sides(&later));
        assert!((240..360).contains(&first.count(Side::HeldOut)), "{}", first.count(Side::HeldOut));
    }

    #[test]
    fn the_document_names_an_images_label_and_its_side_at_one_level() {
        let image = image(label(1, Some("sdxl-1.0")), &Vocabulary::built_in(), SHARES);
        let sha256 = image.image.sha256.clone();
        let snapshot = Snapshot { schema: Snapshot::SCHEMA.into(), shares: SHARES, images: vec![image] };
        let text = serde_json::to_string(&snapshot).unwrap();
        let expected = format!(
            r#"{{"schema":"assay.snapshot.v1","shares":{{"held_out":0.2,"reading":0.1}},"images":[{{"sha256":"{sha256}","location":"s3://uploads/1.png","origin":"synthetic","content_type":"photos","generator":{{"label":"sdxl-1.0","family":"stable-diffusion"}},"side":"train"}}]}}"#
        );
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
    }
}
