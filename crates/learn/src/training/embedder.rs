//! Crops → what an encoder that stays as it is makes of them.

use tch::{Device, Tensor};

use super::batch::{Label, Labels};
use super::classifiers::Embedded;
use super::encoder::TrainingError;
use super::stratum::Stratum;
use artefact::Architecture;
use augment::{Likeness, likeness};
use engine::backbone::Backbone;
use engine::conv::Placement;
use engine::pixels::Pixels;
use engine::weights::Weights;
use imaging::{CROP_SIDE, Crop};

/// The engine's own network, without its classifiers, and the embeddings so far.
#[derive(Debug)]
pub struct Embedder {
    backbone: Backbone,
    pixels: Pixels,
    place: Placement,
    rows: Vec<Tensor>,
    labels: Vec<Label>,
    strata: Vec<Stratum>,
    /// Of each image, and how many rows it has.
    likenesses: Vec<Likeness>,
    counts: Vec<usize>,
}

impl Embedder {
    /// From weights that [`Weights::check`] has found complete.
    pub fn new(encoder: &Weights, architecture: Architecture, place: Placement) -> Embedder {
        let _no_grad = tch::no_grad_guard();
        let backbone = Backbone::new(encoder, architecture, place);
        Embedder {
            backbone,
            pixels: Pixels::new(place),
            place,
            rows: Vec::new(),
            labels: Vec::new(),
            strata: Vec::new(),
            likenesses: Vec::new(),
            counts: Vec::new(),
        }
    }

    /// Crops of one image, which looks like this: a row for each.
    pub fn look(
        &mut self,
        crops: &[Crop],
        label: Label,
        stratum: &Stratum,
        likeness: Likeness,
    ) -> Result<(), TrainingError> {
        let _no_grad = tch::no_grad_guard();
        // One at a time on a CPU: more would only miss its caches.
        let at_once = if self.place.device.is_cuda() { crops.len().max(1) } else { 1 };
        for some in crops.chunks(at_once) {
            let bytes: Vec<u8> = some.iter().flat_map(|crop| crop.pixels()).copied().collect();
            let features =
                self.backbone.forward(&self.pixels.of_bytes(&bytes, CROP_SIDE)?).map_err(tch::TchError::from)?;
            self.rows.push(features.embedding.f_to_device(Device::Cpu)?);
            self.labels.extend(some.iter().map(|_| label));
            self.strata.extend(some.iter().map(|_| stratum.clone()));
        }
        self.likenesses.push(likeness);
        self.counts.push(crops.len());
        Ok(())
    }

    /// `None` if it has seen nothing.
    pub fn finish(self) -> Result<Option<Embedded>, TrainingError> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let groups = likeness::groups(&self.likenesses);
        let groups = groups.into_iter().zip(self.counts).flat_map(|(group, count)| std::iter::repeat_n(group, count));
        Ok(Some(Embedded {
            embeddings: Tensor::f_cat(&self.rows, 0)?,
            labels: Labels(self.labels),
            groups: groups.collect(),
            strata: self.strata,
        }))
    }
}
