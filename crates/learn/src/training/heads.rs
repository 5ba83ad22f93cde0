//! Both classifiers in training: the same layers as `engine::heads`, up to the logits.

use tch::{TchError, Tensor};

use super::network::normalise;
use super::parameters::{Norms, Parameters};

/// `[n, embedding]` → origin logits `[n]`. `kept`, where given, is `[n, hidden]` of 0 for what is dropped out and
/// 1/(1 − p) for what is kept.
pub(super) fn origin(
    parameters: &Parameters,
    embedding: &Tensor,
    norms: Norms,
    kept: Option<&Tensor>,
) -> Result<Tensor, TchError> {
    let hidden = parameters.linear(&parameters.norm(embedding, "origin.0", norms)?, "origin.1")?.f_relu()?;
    let hidden = match kept {
        Some(kept) => hidden.f_mul(kept)?,
        None => hidden,
    };
    parameters.linear(&hidden, "origin.4")?.f_squeeze_dim(1)
}

/// `[n, embedding]` → generator logits `[n, classes]`.
pub(super) fn generators(
    parameters: &Parameters,
    embedding: &Tensor,
    norms: Norms,
    kept: Option<&Tensor>,
) -> Result<Tensor, TchError> {
    let scaled = match parameters.trained().contains_key("generators.0.weight") {
        true => parameters.norm(embedding, "generators.0", norms)?,
        false => normalise(embedding)?,
    };
    let hidden = parameters.linear(&scaled, "generators.1")?.f_relu()?;
    let hidden = match kept {
        Some(kept) => hidden.f_mul(kept)?,
        None => hidden,
    };
    parameters.linear(&hidden, "generators.3")
}
