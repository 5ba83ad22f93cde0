//! Both classifiers in training: the same layers as `engine::heads`, up to the logits.

use tch::{Kind, TchError, Tensor};

use super::network::normalise;
use super::parameters::{Norms, Parameters};
use engine::weights::Weights;

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

/// The linear layers that see the embedding.
const FIRST: [&str; 2] = ["origin.1.weight", "generators.1.weight"];

/// Dimensions of the embedding that the first so many layers of the encoder make; it begins with them. The error is for a
/// person.
pub(super) fn columns_of(artefact: &Weights, layers: usize) -> Result<i64, String> {
    let width = |layer: usize| {
        let norm =
            |part: &str| artefact.find(&format!("encoder.layer{layer}.0.{part}.bias")).map(|bias| bias.size()[0]);
        norm("bn3").or_else(|| norm("bn2")).unwrap_or(0)
    };
    let all: i64 = (1..=4).map(width).sum();
    let embedding = artefact.find("origin.0.bias").map_or(0, |bias| bias.size()[0]);
    match (all == embedding, (1..=4).contains(&layers)) {
        (true, true) => Ok((1..=layers).map(width).sum()),
        (true, false) => Err(format!("classifiers.layers = {layers} must be 1 to 4")),
        (false, _) => Err(format!(
            "classifiers.layers = {layers} wants an embedding that is made of all four layers, as that of resnet50-half; leave \
             it out for this architecture"
        )),
    }
}

/// Takes the weights away of what lies beyond the first so many dimensions; `None` takes none.
pub(super) fn look_only_at(parameters: &Parameters, columns: Option<i64>) -> Result<(), TchError> {
    let Some(columns) = columns else { return Ok(()) };
    let _no_grad = tch::no_grad_guard();
    for weight in FIRST.iter().filter_map(|name| parameters.trained().get(*name)) {
        let _ = weight.f_narrow(1, columns, weight.size()[1] - columns)?.f_zero_()?;
    }
    Ok(())
}

/// The sum of the squares of all weights of linear layers; biases and norms are left out.
pub(super) fn squares(parameters: &Parameters) -> Result<Tensor, TchError> {
    let weights = parameters.trained().values().filter(|tensor| tensor.dim() == 2);
    let squares = weights.map(|weight| weight.f_square()?.f_sum(Kind::Float)).collect::<Result<Vec<_>, _>>()?;
    Tensor::f_stack(&squares, 0)?.f_sum(Kind::Float)
}
