//! What a step learns from.

use tch::Tensor;

/// What an image is, as far as anybody has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    Real,
    /// By which generator, as its place in the label set; `None` for one that is not in it.
    Synthetic(Option<usize>),
}

impl Label {
    pub fn is_synthetic(self) -> bool {
        matches!(self, Label::Synthetic(_))
    }

    pub fn generator(self) -> Option<usize> {
        match self {
            Label::Synthetic(generator) => generator,
            Label::Real => None,
        }
    }
}

/// Augmented images and what they are.
#[derive(Clone, Debug)]
pub struct Batch {
    /// RGB, 8 bits a channel, `side × side` each; all first views, then all second views.
    pub pixels: Vec<u8>,
    /// Pixels.
    pub side: usize,
    pub labels: Labels,
}

impl Batch {
    /// Bytes of one image.
    pub fn stride(&self) -> usize {
        3 * self.side * self.side
    }
}

/// Of the images of a batch, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(pub Vec<Label>);

impl Labels {
    /// 1 for synthetic, 0 for real.
    pub fn synthetic(&self) -> Tensor {
        Tensor::from_slice(&self.0.iter().map(|label| i64::from(label.is_synthetic())).collect::<Vec<_>>())
    }

    /// Places of the images whose generator is known, and the generators.
    pub fn generators(&self) -> (Tensor, Tensor) {
        let known = self.0.iter().enumerate().filter_map(|(row, label)| Some((row as i64, label.generator()? as i64)));
        let (rows, classes): (Vec<_>, Vec<_>) = known.unzip();
        (Tensor::from_slice(&rows), Tensor::from_slice(&classes))
    }
}
