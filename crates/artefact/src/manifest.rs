//! The model artefact: a folder with `manifest.json` and `weights.safetensors`.

use std::path::Path;

use safetensors::tensor::{SafeTensors, TensorView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::architecture::{Architecture, Shapes};
use crate::novelty::{self, Known};
use crate::persist::persist;
use crate::self_test::SelfTest;
use crate::{Card, Cause, LabelSet, LearntImages, LoadError, Misfit, signature};
use domain::{Calibration, Policy, Thresholds};

const MANIFEST: &str = "manifest.json";
const WEIGHTS: &str = "weights.safetensors";
const SCHEMA: &str = "assay.model.v1";
/// Centre 256×256 at native resolution, reflected borders, ImageNet's mean and deviation.
const PREPROCESSING: &str = "imaginet-centre-256@1";

/// The document `assay.model.v1`: `manifest.json` in the folder of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// Letters, digits, `.`, `_` and `-`; verdicts name it.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]+$"))]
    pub version: String,
    /// False for random weights: verdicts then say that they mean nothing.
    pub trained: bool,
    pub architecture: Architecture,
    /// From encoded bytes to what the network sees.
    #[schemars(extend("const" = PREPROCESSING))]
    pub preprocessing: String,
    pub labels: LabelSet,
    /// null: the score is a plain sigmoid of the logit, and verdicts say that it is not calibrated.
    pub calibration: Option<Calibration>,
    pub thresholds: Thresholds,
    /// null: scores say nothing of novelty, and no generator is called unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub novelty: Option<Known>,
    /// What was measured when it was made; for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Value>,
    /// null: it can't be tested by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "golden")]
    pub self_test: Option<SelfTest>,
    pub lineage: Lineage,
    pub weights: WeightsFile,
}

/// Where the weights come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lineage {
    /// In words: `random, seed 0`, or the name of the checkpoint that was imported.
    pub source: String,
    /// Of the checkpoint that was imported.
    pub source_sha256: Option<String>,
    /// The version that training began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Of the list of images and labels that it was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_sha256: Option<String>,
    /// The recipe of its training, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Value>,
    /// The images that it and those it was trained from have learnt from.
    #[serde(default, skip_serializing_if = "LearntImages::is_empty")]
    pub learnt: LearntImages,
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub made_at: OffsetDateTime,
}

impl Lineage {
    /// Made now, of something that was not trained here.
    pub fn of_source(source: String, source_sha256: Option<String>) -> Lineage {
        let made_at = OffsetDateTime::now_utc();
        Lineage {
            source,
            source_sha256,
            parent: None,
            snapshot_sha256: None,
            recipe: None,
            learnt: LearntImages::default(),
            made_at,
        }
    }
}

/// The weights beside the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WeightsFile {
    /// A plain name.
    pub file: String,
    /// Lower-case hexadecimal.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: String,
}

/// What a new artefact says of itself, beside what follows from its weights.
#[derive(Clone, Debug)]
pub struct Origin {
    pub architecture: Architecture,
    pub trained: bool,
    pub labels: LabelSet,
    pub lineage: Lineage,
    /// From the digest of the weights unless given.
    pub version: Option<String>,
    pub reading: Reading,
}

/// How the scores of a new artefact are read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub calibration: Option<Calibration>,
    pub thresholds: Thresholds,
    pub novelty: Option<Known>,
    pub metrics: Option<Value>,
}

impl Manifest {
    /// What it is called in its folder.
    pub const FILE: &str = MANIFEST;
    /// What its signature is called there, if there is one.
    pub const SIGNATURE: &str = signature::FILE;

    /// The files of the artefact that lies in a folder, the manifest last: without it there is no model.
    pub fn files(&self, folder: &Path) -> Vec<&str> {
        let signed = folder.join(Self::SIGNATURE).exists().then_some(Self::SIGNATURE);
        std::iter::once(self.weights.file.as_str()).chain(signed).chain([Self::FILE]).collect()
    }

    /// Writes an artefact; the folder is made if it is not there, and must not hold another one. `write` puts the weights
    /// into the file that it is given, and says their SHA-256 in lower-case hexadecimal.
    pub fn create(
        folder: &Path,
        origin: Origin,
        write: impl FnOnce(&Path) -> Result<String, LoadError>,
    ) -> Result<Manifest, LoadError> {
        let path = folder.join(MANIFEST);
        let failed = |cause: Cause| LoadError::Unwritable { path: path.clone(), cause };
        if path.exists() {
            return Err(failed("there is a model already; name another folder, or delete this one".into()));
        }
        std::fs::create_dir_all(folder).map_err(|error| failed(error.into()))?;
        let sha256 = write(&folder.join(WEIGHTS))?;
        let Origin { architecture, trained, labels, lineage, version, reading } = origin;
        let manifest = Manifest {
            schema: SCHEMA.into(),
            version: version.unwrap_or_else(|| sha256[..12].to_string()),
            trained,
            architecture,
            preprocessing: PREPROCESSING.into(),
            labels,
            calibration: reading.calibration,
            thresholds: reading.thresholds,
            novelty: reading.novelty,
            metrics: reading.metrics,
            self_test: None,
            lineage,
            weights: WeightsFile { file: WEIGHTS.into(), sha256 },
        };
        manifest.check().map_err(|detail| failed(detail.into()))?;
        // The manifest comes last: a folder without one is no model.
        manifest.write(folder)?;
        Ok(manifest)
    }

    /// Writes the manifest of an artefact whose weights are there, in one move.
    pub fn write(&self, folder: &Path) -> Result<(), LoadError> {
        let path = folder.join(MANIFEST);
        let failed = |cause: Cause| LoadError::Unwritable { path: path.clone(), cause };
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        persist(&path, (text + "\n").as_bytes()).map_err(|error| failed(error.into()))
    }

    /// What the folder says of itself; where a key is given, only if its owner has signed these very bytes.
    pub fn read(folder: &Path, public_key: &str) -> Result<Manifest, LoadError> {
        let path = folder.join(MANIFEST);
        let bytes = std::fs::read(&path)
            .map_err(|error| LoadError::NoModel { folder: folder.to_owned(), cause: error.into() })?;
        signature::check(folder, &bytes, public_key)?;
        Manifest::of_bytes(&bytes).map_err(|detail| LoadError::Manifest { path, detail })
    }

    /// The error is for a person.
    pub fn of_bytes(bytes: &[u8]) -> Result<Manifest, String> {
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Whether a folder is signed, in words.
    pub fn signature(folder: &Path, public_key: &str) -> &'static str {
        signature::describe(folder, public_key)
    }

    /// The names and shapes of all tensors that the weights file must hold.
    pub fn shapes(&self) -> Shapes {
        let mut wanted = self.architecture.artefact(self.labels.generators.len());
        wanted.extend(self.novelty.as_ref().map(|known| novelty::shapes(known, self.architecture)).unwrap_or_default());
        wanted
    }

    /// Whether the weights are there, with the digest, names and shapes that this manifest says.
    pub fn verify(&self, folder: &Path) -> Result<(), LoadError> {
        let path = folder.join(&self.weights.file);
        let unreadable = |cause: Cause| LoadError::Unreadable { path: path.clone(), cause };
        let bytes = std::fs::read(&path).map_err(|error| unreadable(error.into()))?;
        let found = hex::encode(Sha256::digest(&bytes));
        if found != self.weights.sha256 {
            return Err(LoadError::Digest { path, wanted: self.weights.sha256.clone(), found });
        }
        let file = SafeTensors::deserialize(&bytes).map_err(|error| unreadable(error.into()))?;
        let shape = |view: &TensorView<'_>| view.shape().iter().map(|&side| side as i64).collect();
        let found = file.iter().map(|(name, view)| (name.to_string(), shape(&view))).collect();
        match Misfit::between(&self.shapes(), &found) {
            Some(misfit) => Err(LoadError::Misfit { path, misfit: Box::new(misfit) }),
            None => Ok(()),
        }
    }

    pub fn card(&self) -> Card {
        Card {
            version: self.version.clone(),
            sha256: self.weights.sha256.clone(),
            trained: self.trained,
            labels: self.labels.clone(),
            policy: Policy {
                calibration: self.calibration,
                thresholds: self.thresholds,
                novelty_limit: self.novelty.as_ref().map(|known| known.limit),
            },
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!("schema is {:?}; this version of assay reads {SCHEMA:?}", self.schema));
        }
        if self.preprocessing != PREPROCESSING {
            return Err(format!(
                "preprocessing is {:?}; this version of assay does {PREPROCESSING:?}",
                self.preprocessing
            ));
        }
        let Thresholds { low, high } = self.thresholds;
        if !(0.0 <= low && low <= high && high <= 1.0) {
            return Err(format!("thresholds {low} and {high} must be in order between 0 and 1"));
        }
        if let Some(Calibration { scale, bias }) = self.calibration
            && !(scale.is_finite() && scale > 0.0 && bias.is_finite())
        {
            return Err(format!(
                "calibration of scale {scale} and bias {bias}: the scale must be above 0, both finite"
            ));
        }
        if let Some(known) = &self.novelty {
            known.check()?;
        }
        if Path::new(&self.weights.file).components().count() != 1 {
            return Err(format!("weights.file {:?} must be a plain file name", self.weights.file));
        }
        if self.version.is_empty() || !self.version.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
            return Err(format!("version {:?} may hold letters, digits, `.`, `_` and `-` only", self.version));
        }
        Ok(())
    }
}
