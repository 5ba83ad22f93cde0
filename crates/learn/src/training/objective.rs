//! What the encoder is trained for: which of its outputs are compared, and how.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use super::batch::Labels;
use super::heads;
use super::loss;
use super::network::Network;
use super::parameters::Norms;
use engine::backbone::Features;

/// An objective: always on the origin, and with a weight on the generator among the synthetic images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Objective {
    /// The sub-network's embedding is the second view of an image: one augmentation is enough.
    Selfcon { temperature: f64, generators: f64 },
    /// Two augmentations of each image are its views.
    Supcon { temperature: f64, generators: f64 },
    /// The classifiers, trained together with the encoder.
    CrossEntropy {
        generators: f64,
        /// Share of the wanted probability that is spread over all answers.
        #[serde(default)]
        smoothing: f64,
    },
}

impl Objective {
    /// Augmentations of each image in a batch.
    pub fn views(self) -> usize {
        match self {
            Objective::Supcon { .. } => 2,
            Objective::Selfcon { .. } | Objective::CrossEntropy { .. } => 1,
        }
    }

    /// Of some rows of a batch: what [`Objective::loss`] compares, with a row for each.
    pub(super) fn outputs(self, network: &Network, features: &Features) -> Result<Vec<Tensor>, TchError> {
        Ok(match self {
            Objective::Selfcon { .. } => vec![network.view(features)?, network.sub_view(features)?],
            Objective::Supcon { .. } => vec![network.view(features)?],
            Objective::CrossEntropy { .. } => vec![features.embedding.shallow_clone()],
        })
    }

    /// Of the outputs of a whole batch.
    pub(super) fn loss(self, network: &Network, outputs: &[Tensor], labels: &Labels) -> Result<Tensor, TchError> {
        let device = network.place().device;
        let synthetic = labels.synthetic().to_device(device);
        let (rows, classes) = labels.generators();
        let (rows, classes) = (rows.to_device(device), classes.to_device(device));
        match self {
            Objective::Selfcon { temperature, generators } => {
                contrast(outputs, [&synthetic, &rows, &classes], temperature, generators)
            }
            Objective::Supcon { temperature, generators } => {
                let views = outputs[0].f_chunk(2, 0)?;
                contrast(&views, [&synthetic, &rows, &classes], temperature, generators)
            }
            Objective::CrossEntropy { generators, smoothing } => {
                let (parameters, embedding) = (&network.parameters, &outputs[0]);
                let logits = heads::origin(parameters, embedding, Norms::Moving, None)?;
                let origin = loss::origin(&logits, &synthetic, smoothing)?;
                if generators == 0.0 || rows.numel() < 2 {
                    return Ok(origin);
                }
                let synthetic = embedding.f_index_select(0, &rows)?;
                let logits = heads::generators(parameters, &synthetic, Norms::Moving, None)?;
                origin.f_add(&loss::generators(&logits, &classes, smoothing)?.f_mul_scalar(generators)?)
            }
        }
    }
}

/// On the origin of all, and on the generator of those rows that have one.
fn contrast(
    views: &[Tensor],
    [synthetic, rows, classes]: [&Tensor; 3],
    temperature: f64,
    weight: f64,
) -> Result<Tensor, TchError> {
    let origin = loss::contrastive(views, synthetic, temperature)?;
    if weight == 0.0 || rows.numel() == 0 {
        return Ok(origin);
    }
    let of_synthetic = views.iter().map(|view| view.f_index_select(0, rows)).collect::<Result<Vec<_>, _>>()?;
    origin.f_add(&loss::contrastive(&of_synthetic, classes, temperature)?.f_mul_scalar(weight)?)
}
