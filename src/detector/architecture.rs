//! Which tensors a network consists of: names as in ImagiNet's published checkpoint, and shapes.

use std::collections::BTreeMap;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A residual network without early downsampling: the stem's convolution and its pooling have stride 1, so a
/// 256×256 image leaves the last layer at 32×32 (ImagiNet, arXiv 2407.20020).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Architecture {
    /// ImagiNet's own: 83.6 GMAC an image.
    #[serde(rename = "resnet50-nodown")]
    Resnet50Nodown,
    /// A smaller one of the same kind, for training on a CPU.
    #[serde(rename = "resnet18-nodown")]
    Resnet18Nodown,
}

impl FromStr for Architecture {
    type Err = String;

    fn from_str(name: &str) -> Result<Architecture, String> {
        let found = Architecture::ALL.iter().find(|architecture| architecture.as_str() == name);
        let names = || Architecture::ALL.map(Architecture::as_str).join(" and ");
        found.copied().ok_or_else(|| format!("{name:?} is no architecture: {} are", names()))
    }
}

/// The residual block that a network repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// Two 3×3 convolutions; the stride is in the first.
    Basic,
    /// 1×1, 3×3, 1×1; the stride is in the 3×3.
    Bottleneck,
}

/// One convolution, without its batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    pub inputs: i64,
    pub outputs: i64,
    pub kernel: i64,
    pub stride: i64,
}

/// One residual block: its convolutions in order, and the one of its shortcut where the shapes differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// `encoder.layer1.0` and so on.
    pub name: String,
    pub convolutions: Vec<Convolution>,
    pub shortcut: Option<Convolution>,
}

/// Outputs of the stem.
pub const STEM: Convolution = Convolution { inputs: 3, outputs: 64, kernel: 7, stride: 1 };
/// Planes of the four layers, before the block's expansion.
const PLANES: [i64; 4] = [64, 128, 256, 512];
const STRIDES: [i64; 4] = [1, 2, 2, 2];
/// Width of the hidden layer of both classifiers.
pub const HIDDEN: i64 = 1024;
/// Dimensions of the projected embeddings that SelfCon compares.
pub const PROJECTED: i64 = 128;

/// Tensor names and their shapes.
pub type Shapes = BTreeMap<String, Vec<i64>>;

impl Architecture {
    pub const ALL: [Architecture; 2] = [Architecture::Resnet50Nodown, Architecture::Resnet18Nodown];

    pub fn as_str(self) -> &'static str {
        match self {
            Architecture::Resnet50Nodown => "resnet50-nodown",
            Architecture::Resnet18Nodown => "resnet18-nodown",
        }
    }

    pub fn block(self) -> BlockKind {
        match self {
            Architecture::Resnet50Nodown => BlockKind::Bottleneck,
            Architecture::Resnet18Nodown => BlockKind::Basic,
        }
    }

    /// Blocks in each of the four layers.
    fn depths(self) -> [usize; 4] {
        match self {
            Architecture::Resnet50Nodown => [3, 4, 6, 3],
            Architecture::Resnet18Nodown => [2, 2, 2, 2],
        }
    }

    fn expansion(self) -> i64 {
        match self.block() {
            BlockKind::Bottleneck => 4,
            BlockKind::Basic => 1,
        }
    }

    /// Dimensions of the embedding: 2048 or 512.
    pub fn embedding(self) -> i64 {
        PLANES[3] * self.expansion()
    }

    /// Channels after the second layer, where the SelfCon sub-network branches off.
    fn branch(self) -> i64 {
        PLANES[1] * self.expansion()
    }

    /// The four layers, block by block.
    pub fn layers(self) -> [Vec<Block>; 4] {
        let mut inputs = STEM.outputs;
        std::array::from_fn(|layer| {
            let outputs = PLANES[layer] * self.expansion();
            let blocks = (0..self.depths()[layer]).map(|index| {
                let stride = if index == 0 { STRIDES[layer] } else { 1 };
                let block = self.residual(format!("encoder.layer{}.{index}", layer + 1), inputs, PLANES[layer], stride);
                inputs = outputs;
                block
            });
            blocks.collect()
        })
    }

    fn residual(self, name: String, inputs: i64, planes: i64, stride: i64) -> Block {
        let convolution = |inputs, outputs, kernel, stride| Convolution { inputs, outputs, kernel, stride };
        let outputs = planes * self.expansion();
        let convolutions = match self.block() {
            BlockKind::Bottleneck => vec![
                convolution(inputs, planes, 1, 1),
                convolution(planes, planes, 3, stride),
                convolution(planes, outputs, 1, 1),
            ],
            BlockKind::Basic => vec![convolution(inputs, planes, 3, stride), convolution(planes, outputs, 3, 1)],
        };
        let shortcut = (stride != 1 || inputs != outputs).then(|| convolution(inputs, outputs, 1, stride));
        Block { name, convolutions, shortcut }
    }

    /// The encoder: stem, four layers and the SelfCon sub-network.
    pub fn encoder(self) -> Shapes {
        let mut shapes = Shapes::new();
        convolution(&mut shapes, "encoder.conv1", STEM);
        norm(&mut shapes, "encoder.bn1", STEM.outputs);
        for block in self.layers().into_iter().flatten() {
            for (index, part) in block.convolutions.iter().enumerate() {
                convolution(&mut shapes, &format!("{}.conv{}", block.name, index + 1), *part);
                norm(&mut shapes, &format!("{}.bn{}", block.name, index + 1), part.outputs);
            }
            if let Some(part) = block.shortcut {
                convolution(&mut shapes, &format!("{}.shortcut.0", block.name), part);
                norm(&mut shapes, &format!("{}.shortcut.1", block.name), part.outputs);
            }
        }
        linear(&mut shapes, "encoder.selfcon_layer.1", self.branch(), self.embedding());
        shapes
    }

    /// The projection heads of the backbone and of the sub-network; used in training only.
    pub fn projections(self) -> Shapes {
        let mut shapes = Shapes::new();
        for head in ["head", "sub_heads.0"] {
            linear(&mut shapes, &format!("{head}.0"), self.embedding(), self.embedding());
            linear(&mut shapes, &format!("{head}.2"), self.embedding(), PROJECTED);
        }
        shapes
    }

    /// The origin classifier.
    pub fn origin(self) -> Shapes {
        let mut shapes = Shapes::new();
        norm(&mut shapes, "origin.0", self.embedding());
        linear(&mut shapes, "origin.1", self.embedding(), HIDDEN);
        linear(&mut shapes, "origin.4", HIDDEN, 1);
        shapes
    }

    /// The generator classifier for so many classes; none for none.
    pub fn generators(self, classes: usize) -> Shapes {
        let mut shapes = Shapes::new();
        if classes > 0 {
            linear(&mut shapes, "generators.1", self.embedding(), HIDDEN);
            linear(&mut shapes, "generators.3", HIDDEN, classes as i64);
        }
        shapes
    }

    /// Everything that an artefact holds.
    pub fn artefact(self, classes: usize) -> Shapes {
        let mut shapes = self.encoder();
        shapes.extend(self.projections());
        shapes.extend(self.origin());
        shapes.extend(self.generators(classes));
        shapes
    }
}

fn convolution(shapes: &mut Shapes, name: &str, part: Convolution) {
    shapes.insert(format!("{name}.weight"), vec![part.outputs, part.inputs, part.kernel, part.kernel]);
}

fn norm(shapes: &mut Shapes, name: &str, channels: i64) {
    for part in ["weight", "bias", "running_mean", "running_var"] {
        shapes.insert(format!("{name}.{part}"), vec![channels]);
    }
}

fn linear(shapes: &mut Shapes, name: &str, inputs: i64, outputs: i64) {
    shapes.insert(format!("{name}.weight"), vec![outputs, inputs]);
    shapes.insert(format!("{name}.bias"), vec![outputs]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiplications and additions of the convolutions for one 256×256 image.
    fn macs(architecture: Architecture) -> i64 {
        let mut side = 256;
        let cost = |part: &Convolution, side: i64| side * side * part.outputs * part.inputs * part.kernel * part.kernel;
        let mut sum = cost(&STEM, side);
        for block in architecture.layers().into_iter().flatten() {
            let entry = side;
            for part in &block.convolutions {
                side /= part.stride;
                sum += cost(part, side);
            }
            sum += block.shortcut.map_or(0, |part| cost(&part, entry / part.stride));
        }
        sum
    }

    #[test]
    fn the_network_is_as_large_as_the_paper_s() {
        // 83.565 GMAC in all; the linear layers are 2 million of them.
        assert_eq!(macs(Architecture::Resnet50Nodown) / 10_000_000, 83_565_216_768 / 10_000_000);
    }

    #[test]
    fn names_and_shapes_are_those_of_the_published_checkpoint() {
        let shapes = Architecture::Resnet50Nodown.artefact(4);
        assert_eq!(shapes["encoder.conv1.weight"], [64, 3, 7, 7]);
        assert_eq!(shapes["encoder.layer1.0.shortcut.0.weight"], [256, 64, 1, 1]);
        assert_eq!(shapes["encoder.layer2.0.conv2.weight"], [128, 128, 3, 3]);
        assert_eq!(shapes["encoder.layer4.2.bn3.running_var"], [2048]);
        assert_eq!(shapes["encoder.selfcon_layer.1.weight"], [2048, 512]);
        assert_eq!(shapes["sub_heads.0.2.weight"], [128, 2048]);
        assert_eq!(shapes["origin.4.weight"], [1, 1024]);
        assert_eq!(shapes["generators.3.bias"], [4]);
        assert!(!shapes.contains_key("encoder.layer1.1.shortcut.0.weight"));
        assert_eq!(Architecture::Resnet18Nodown.artefact(0)["encoder.selfcon_layer.1.weight"], [512, 128]);
    }
}
