//! Importing what PyTorch wrote: ImagiNet's published checkpoint → an artefact.
//!
//! A checkpoint is a ZIP archive with a pickle that describes the tensors and one file of bytes for each storage.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};
use zip::ZipArchive;

use crate::weights::Weights;
use artefact::architecture::{Architecture, Shapes};
use artefact::manifest::{Lineage, Origin, Reading};
use artefact::pickle::{self, Id, Pickle, TensorRef, Value};
use artefact::{Cause, LabelSet, LoadError, Manifest};

/// The pickle alone; the bytes of the tensors are beside it.
const MAX_PICKLE: u64 = 64 << 20;
/// A network of four times the largest architecture's weights.
const MAX_STORAGE: u64 = 1 << 30;
/// Counters of batch norms, which inference does not use.
const COUNTER: &str = "num_batches_tracked";

/// What to import.
#[derive(Debug)]
pub struct Import<'a> {
    /// `{"model": …, "classifier": …}`.
    pub checkpoint: &'a Path,
    /// The checkpoint of the generator classifier on the same encoder, if there is one.
    pub generators: Option<&'a Path>,
    /// From the digest of the weights unless given.
    pub version: Option<String>,
}

/// Reads a checkpoint and writes an artefact. Every tensor that is missing, unexpected or of another shape is named.
pub fn import(asked: Import<'_>, folder: &Path) -> Result<Manifest, LoadError> {
    let path = asked.checkpoint;
    let parts = read(path)?;
    let Some(mut weights) = parts.model else {
        return Err(LoadError::Checkpoint {
            path: path.to_owned(),
            cause: "it holds a \"classifier\", but no \"model\"; the checkpoint with both is wanted".into(),
        });
    };
    let architecture = match weights.find("encoder.layer1.0.conv3.weight") {
        Some(_) => Architecture::RESNET50,
        None => Architecture::RESNET18,
    };
    weights.extend(parts.classifier.under("origin."));
    let labels = match asked.generators {
        Some(path) => {
            weights.extend(generator_classifier(path, &weights, architecture)?);
            LabelSet::imaginet()
        }
        None => LabelSet::none(),
    };
    check(&weights, &architecture.artefact(labels.generators.len()), path)?;
    let source = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let lineage = Lineage::of_source(source, Some(parts.sha256));
    let (version, reading) = (asked.version, Reading::default());
    weights.write_artefact(folder, Origin { architecture, trained: true, labels, lineage, version, reading })
}

/// The generator classifier. If the encoder lies beside it, it must be the one that `weights` holds.
fn generator_classifier(path: &Path, weights: &Weights, architecture: Architecture) -> Result<Weights, LoadError> {
    let parts = read(path)?;
    let encoder = architecture.encoder();
    let beside = parts.model.unwrap_or_default();
    let differs = beside
        .iter()
        .find(|(name, tensor)| encoder.contains_key(*name) && weights.find(name).is_none_or(|own| !own.equal(tensor)));
    if let Some((name, _)) = differs {
        return Err(LoadError::Checkpoint {
            path: path.to_owned(),
            cause: format!(
                "its encoder is another one ({name} differs), and a classifier is good only for the encoder that it was \
                 trained on; import without --generators"
            )
            .into(),
        });
    }
    // The authors' sequence begins with a normalisation (1 and 3 have weights); one without it counts from 0.
    let classifier = match parts.classifier.find("0.weight") {
        Some(_) => renamed(&parts.classifier, &[("0.", "1."), ("2.", "3.")]),
        None => parts.classifier,
    };
    let found = classifier.under("generators.");
    check(&found, &architecture.generators(LabelSet::imaginet().generators.len()), path)?;
    Ok(found)
}

fn renamed(weights: &Weights, names: &[(&str, &str)]) -> Weights {
    let mut renamed = Weights::default();
    for (from, to) in names {
        renamed.extend(weights.below(from).under(to));
    }
    renamed
}

fn check(weights: &Weights, wanted: &Shapes, path: &Path) -> Result<(), LoadError> {
    weights.check(wanted).map_err(|misfit| LoadError::Misfit { path: path.to_owned(), misfit: Box::new(misfit) })
}

/// The two state dictionaries of a checkpoint, in fp32.
struct Parts {
    model: Option<Weights>,
    classifier: Weights,
    sha256: String,
}

fn read(path: &Path) -> Result<Parts, LoadError> {
    let failed = |cause: Cause| LoadError::Checkpoint { path: path.to_owned(), cause };
    let wrong = |detail: String| failed(detail.into());
    let sha256 = digest(path).map_err(|error| failed(error.into()))?;
    let file = File::open(path).map_err(|error| failed(error.into()))?;
    let mut archive = ZipArchive::new(file).map_err(|error| {
        wrong(format!(
            "{error}; checkpoints of PyTorch before 1.6 are no ZIP archives: load it there and save it again"
        ))
    })?;
    let described = archive.file_names().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let described = described.ok_or_else(|| wrong("it holds no data.pkl".into()))?.to_string();
    let root = described.trim_end_matches("data.pkl").to_string();
    let bytes = entry(&mut archive, &described, MAX_PICKLE).map_err(wrong)?;
    let pickle = pickle::read(&bytes).map_err(wrong)?;
    let mut part = |name: &str| {
        let id = pickle.entry(pickle.root, name);
        id.map(|id| state(&mut archive, &root, &pickle, id).map_err(wrong)).transpose()
    };
    let (model, classifier) = (part("model")?, part("classifier")?);
    let Some(classifier) = classifier else {
        let found: Vec<_> = pickle.entries(pickle.root).map(|(name, _)| name).take(8).collect();
        return Err(wrong(format!(
            "it holds no \"classifier\", only {found:?}; a checkpoint of ImagiNet with both \"model\" and \"classifier\" is wanted"
        )));
    };
    Ok(Parts { model, classifier, sha256 })
}

fn digest(path: &Path) -> std::io::Result<String> {
    let (mut file, mut hasher, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// One state dictionary; `module.` before the names, which parallel training leaves there, is taken off.
fn state(archive: &mut ZipArchive<File>, root: &str, pickle: &Pickle, id: Id) -> Result<Weights, String> {
    let mut weights = Weights::default();
    for (name, value) in pickle.entries(id) {
        let name = name.strip_prefix("module.").unwrap_or(name);
        if name.ends_with(COUNTER) {
            continue;
        }
        let Value::Tensor(tensor) = pickle.value(value) else {
            return Err(format!("{name} is no tensor"));
        };
        weights.insert(name, load(archive, root, tensor).map_err(|detail| format!("{name}: {detail}"))?);
    }
    Ok(weights)
}

/// A tensor of its own, contiguous and in fp32.
fn load(archive: &mut ZipArchive<File>, root: &str, tensor: &TensorRef) -> Result<Tensor, String> {
    let kind = match tensor.storage.kind.as_str() {
        "torch.FloatStorage" => Kind::Float,
        "torch.DoubleStorage" => Kind::Double,
        "torch.HalfStorage" => Kind::Half,
        "torch.BFloat16Storage" => Kind::BFloat16,
        other => return Err(format!("{other} holds no weights")),
    };
    let bytes = entry(archive, &format!("{root}data/{}", tensor.storage.key), MAX_STORAGE)?;
    let elements = bytes.len() / kind.elt_size_in_bytes();
    let TensorRef { offset, shape, strides, .. } = tensor;
    let outside = || format!("shape {shape:?} with strides {strides:?} lies outside its {elements} elements");
    if shape.len() != strides.len() || shape.iter().chain(strides).chain([offset]).any(|&number| number < 0) {
        return Err(outside());
    }
    let last = shape.iter().zip(strides).try_fold(*offset, |last, (side, stride)| {
        (side - 1).max(0).checked_mul(*stride).and_then(|step| last.checked_add(step))
    });
    let count = shape.iter().try_fold(1_i64, |count, side| count.checked_mul(*side));
    let inside = last.is_some_and(|last| last < elements as i64) && count.is_some_and(|count| count <= elements as i64);
    if !inside {
        return Err(outside());
    }
    let whole = &bytes[..elements * kind.elt_size_in_bytes()];
    Tensor::f_from_data_size(whole, &[elements as i64], kind)
        .and_then(|storage| storage.f_as_strided(shape.as_slice(), strides.as_slice(), *offset))
        .and_then(|view| view.f_to_kind(Kind::Float))
        .and_then(|view| view.f_contiguous())
        .map_err(|error| error.to_string())
}

fn entry(archive: &mut ZipArchive<File>, name: &str, most: u64) -> Result<Vec<u8>, String> {
    let file = archive.by_name(name).map_err(|error| format!("{name}: {error}"))?;
    if file.size() > most {
        return Err(format!("{name} has {} bytes; {most} are the most", file.size()));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(|error| format!("{name}: {error}"))?;
    Ok(bytes)
}
