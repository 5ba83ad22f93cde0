//! Named tensors in memory, and the safetensors file that holds them.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};

use artefact::architecture::Shapes;
use artefact::manifest::Origin;
use artefact::{Cause, LoadError, Manifest, Misfit};

/// Tensors by name, on the CPU.
#[derive(Debug, Default)]
pub struct Weights(BTreeMap<String, Tensor>);

impl Weights {
    /// Reads a file whole; gives its SHA-256 too, in lower-case hexadecimal.
    pub fn read(path: &Path) -> Result<(Weights, String), LoadError> {
        let failed = |cause: Cause| LoadError::Unreadable { path: path.to_owned(), cause };
        let bytes = std::fs::read(path).map_err(|error| failed(error.into()))?;
        let digest = hex::encode(Sha256::digest(&bytes));
        let file = SafeTensors::deserialize(&bytes).map_err(|error| failed(error.into()))?;
        let mut weights = Weights::default();
        for (name, view) in file.tensors() {
            let tensor = tensor(&view).map_err(|detail| failed(format!("{name}: {detail}").into()))?;
            weights.0.insert(name, tensor);
        }
        Ok((weights, digest))
    }

    /// Writes a file, and gives its SHA-256. The same tensors make the same file.
    pub fn write(&self, path: &Path) -> Result<String, LoadError> {
        let failed = |cause: Cause| LoadError::Unwritable { path: path.to_owned(), cause };
        let bytes = self.bytes().map_err(|detail| failed(detail.into()))?;
        std::fs::write(path, &bytes).map_err(|error| failed(error.into()))?;
        Ok(hex::encode(Sha256::digest(&bytes)))
    }

    /// Of the file that these tensors make.
    pub fn sha256(&self) -> Result<String, String> {
        Ok(hex::encode(Sha256::digest(self.bytes()?)))
    }

    /// The tensors as a file of safetensors.
    fn bytes(&self) -> Result<Vec<u8>, String> {
        let mut data = Vec::with_capacity(self.0.len());
        for (name, tensor) in &self.0 {
            let tensor = tensor.contiguous();
            let mut bytes = vec![0_u8; tensor.numel() * tensor.kind().elt_size_in_bytes()];
            tensor.f_copy_data_u8(&mut bytes, tensor.numel()).map_err(|error| error.to_string())?;
            let shape = tensor.size().iter().map(|&side| side as usize).collect::<Vec<_>>();
            data.push((name.as_str(), dtype(tensor.kind())?, shape, bytes));
        }
        let views = data
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|error| error.to_string())?;
        safetensors::serialize(views, None).map_err(|error| error.to_string())
    }

    /// In 32 bits.
    pub fn widened(&self) -> Weights {
        Weights(self.0.iter().map(|(name, tensor)| (name.clone(), tensor.to_kind(Kind::Float))).collect())
    }

    /// The same tensors, not copied.
    pub fn shallow(&self) -> Weights {
        Weights(self.0.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect())
    }

    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.0.insert(name.into(), tensor);
    }

    pub fn extend(&mut self, other: Weights) {
        self.0.extend(other.0);
    }

    /// In 16 bits where that is safe: fp16, whose 11 bits of precision keep scores nearer than bf16's 8 do, for everything
    /// with two or more dimensions. Norms, biases and statistics of novelty are small, and stay as they are.
    pub fn halved(&self) -> Weights {
        let halve = |(name, tensor): (&String, &Tensor)| {
            let half = tensor.to_kind(Kind::Half);
            let wanted = tensor.dim() > 1 && !name.starts_with("novelty.");
            let fits = wanted && bool::try_from(half.isfinite().all()).unwrap_or(false);
            let kept = if fits { half } else { tensor.shallow_clone() };
            (name.clone(), kept)
        };
        Weights(self.0.iter().map(halve).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.0.iter()
    }

    /// The tensors with this prefix, under their names without it.
    pub fn below(&self, prefix: &str) -> Weights {
        let below = self
            .0
            .iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_string(), tensor.shallow_clone())));
        Weights(below.collect())
    }

    /// The same tensors under names with this prefix.
    pub fn under(self, prefix: &str) -> Weights {
        Weights(self.0.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect())
    }

    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// A tensor that [`Weights::check`] has found to be there.
    ///
    /// # Panics
    /// If it isn't.
    pub fn get(&self, name: &str) -> &Tensor {
        self.find(name).unwrap_or_else(|| panic!("tensor {name} was not checked for"))
    }

    /// Compares names and shapes with what is wanted.
    pub fn check(&self, wanted: &Shapes) -> Result<(), Misfit> {
        let found = self.0.iter().map(|(name, tensor)| (name.clone(), tensor.size())).collect();
        Misfit::between(wanted, &found).map_or(Ok(()), Err)
    }

    /// Those of an artefact, if their digest, names and shapes are what its manifest says.
    pub fn of_artefact(manifest: &Manifest, folder: &Path) -> Result<Weights, LoadError> {
        let path = folder.join(&manifest.weights.file);
        let (weights, found) = Weights::read(&path)?;
        if found != manifest.weights.sha256 {
            return Err(LoadError::Digest { path, wanted: manifest.weights.sha256.clone(), found });
        }
        weights.check(&manifest.shapes()).map_err(|misfit| LoadError::Misfit { path, misfit: Box::new(misfit) })?;
        Ok(weights)
    }

    /// Writes an artefact with these weights, as [`Manifest::create`] does.
    pub fn write_artefact(&self, folder: &Path, origin: Origin) -> Result<Manifest, LoadError> {
        Manifest::create(folder, origin, |path| self.write(path))
    }
}

fn tensor(view: &TensorView<'_>) -> Result<Tensor, String> {
    let kind = match view.dtype() {
        Dtype::F32 => Kind::Float,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        other => return Err(format!("{other:?} is no type for weights; F32, F16 and BF16 are")),
    };
    let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
    Tensor::f_from_data_size(view.data(), &shape, kind).map_err(|error| error.to_string())
}

fn dtype(kind: Kind) -> Result<Dtype, String> {
    match kind {
        Kind::Float => Ok(Dtype::F32),
        Kind::Half => Ok(Dtype::F16),
        Kind::BFloat16 => Ok(Dtype::BF16),
        other => Err(format!("{other:?} is no type for weights")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_back_what_was_written() {
        let path = std::env::temp_dir().join(format!("assay-weights-{}.safetensors", uuid::Uuid::new_v4()));
        let mut weights = Weights::default();
        weights.insert("a", Tensor::from_slice(&[1.5_f32, -2.0, 3.25]).view([3, 1]));
        weights.insert("b", Tensor::from_slice(&[1.0_f32, 2.0]).to_kind(Kind::BFloat16));
        let digest = weights.write(&path).unwrap();
        let (read, read_digest) = Weights::read(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(digest, read_digest);
        assert_eq!(read.get("a").size(), [3, 1]);
        assert_eq!(Vec::<f32>::try_from(read.get("a").view(-1)).unwrap(), [1.5, -2.0, 3.25]);
        assert_eq!(read.get("b").kind(), Kind::BFloat16);
    }

    #[test]
    fn every_tensor_that_does_not_fit_is_named() {
        let mut weights = Weights::default();
        weights.insert("a", Tensor::zeros([2], (Kind::Float, tch::Device::Cpu)));
        weights.insert("c", Tensor::zeros([2], (Kind::Float, tch::Device::Cpu)));
        let wanted = Shapes::from([("a".into(), vec![3]), ("b".into(), vec![1])]);
        let text = weights.check(&wanted).unwrap_err().to_string();
        for part in ["missing     b", "unexpected  c", "misshaped   a: [2] instead of [3]"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
