//! One image under review, and the page that is there instead where it can't be shown.

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use domain::{Frames, JudgedImage, Provenance, QualityFlag, Verdict};

use super::common::Form;
use super::metadata::{Said, said};
use super::verdict::Evidence;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ItemPage {
    pub(crate) item: Item,
    pub(crate) generators: Vec<String>,
    pub(crate) assignees: Vec<Assignee>,
    pub(crate) form: Form,
}

/// Somebody whom an item can be given to. `id` is the pseudonym.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Assignee {
    pub(crate) id: String,
    pub(crate) name: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Item {
    pub(crate) id: Uuid,
    pub(crate) lease: Option<Uuid>,
    pub(crate) why_no_vote: Option<String>,
    pub(crate) may_claim: bool,
    pub(crate) vote: Uuid,
    pub(crate) undo_ms: u64,
    pub(crate) source: &'static str,
    pub(crate) tenant: String,
    pub(crate) submission_id: String,
    pub(crate) outcome_id: Uuid,
    pub(crate) generation: u32,
    pub(crate) age_s: u64,
    pub(crate) because: Option<String>,
    pub(crate) blind: bool,
    pub(crate) history_href: Option<String>,
    pub(crate) picture: Option<Picture>,
    pub(crate) picture_problem: Option<String>,
    #[serde(flatten)]
    pub(crate) known: Known,
    pub(crate) evidence: Option<Evidence>,
}

/// What the verdict says of the file and the request: nothing of it comes from the model.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Known {
    image: Option<Image>,
    quality: Vec<QualityFlag>,
    frames: Option<Frames>,
    provenance: Option<Provenance>,
    metadata: Vec<Said>,
}

#[derive(Clone, Debug, Serialize)]
struct Image {
    bucket: String,
    key: String,
    version_id: Option<String>,
    sha256: String,
    bytes: u64,
    format: &'static str,
    width: u32,
    height: u32,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Picture {
    pub(crate) src: String,
    pub(crate) actual_src: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) sha256: String,
    pub(crate) crops: Vec<Crop>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Crop {
    pub(crate) src: String,
    pub(crate) frame: Option<u32>,
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct GonePage {
    pub(crate) item: Item,
    pub(crate) why: &'static str,
    pub(crate) judged: Option<Bytes>,
    pub(crate) found: Option<Bytes>,
    pub(crate) may_rejudge: bool,
}

/// Which bytes lay there, and when.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Bytes {
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    pub(crate) version_id: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
}

impl Known {
    pub(crate) fn of(verdict: &Verdict) -> Known {
        Known {
            image: Some(Image::of(&verdict.image)),
            quality: verdict.quality.clone(),
            frames: verdict.frames,
            provenance: verdict.provenance.clone(),
            metadata: said(&verdict.metadata),
        }
    }
}

impl Image {
    fn of(image: &JudgedImage) -> Image {
        Image {
            bucket: image.bucket.clone(),
            key: image.key.clone(),
            version_id: image.version_id.clone(),
            sha256: image.sha256.clone(),
            bytes: image.bytes,
            format: image.format.as_str(),
            width: image.width,
            height: image.height,
        }
    }
}
