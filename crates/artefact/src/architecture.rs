//! Which tensors a network consists of: names as in ImagiNet's published checkpoint, and shapes.

use std::collections::BTreeMap;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A residual network without early downsampling: the stem's convolution and its pooling have stride 1, so a
/// 256×256 image leaves the last layer at 32×32 (ImagiNet, arXiv 2407.20020).
///
/// Written `resnet50-nodown` or `resnet18-nodown`, with `-32` behind it where the stem has 32 channels instead of 64:
/// all layers are narrower by the same share. `resnet50-half` is the exception: it halves the image twice at the start, as
/// ResNet does, has half of its channels after the stem, and its embedding is made of the means after all four layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("pattern" = "^(resnet50-half|resnet(18|50)-nodown(-[0-9]+)?)$"))]
#[serde(try_from = "String", into = "String")]
pub struct Architecture {
    depth: Depth,
    start: Start,
    /// Channels of the stem; for `nodown` also those of the first layer.
    width: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Resnet50,
    Resnet18,
}

/// What the stem does with the size of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// It stays.
    NoDown,
    /// A quarter of it is left, and half of the channels.
    Half,
}

const NODOWN: [(&str, Depth); 2] = [("resnet50-nodown", Depth::Resnet50), ("resnet18-nodown", Depth::Resnet18)];
const HALF: &str = "resnet50-half";
/// Channels of the stem unless the name says otherwise.
const WIDTH: i64 = 64;
/// In steps of 16: for other numbers of channels oneDNN (of libtorch 2.11, with AVX-512 and several threads) computes the
/// gradient of a 1×1 convolution past the end of its buffer.
const WIDTHS: std::ops::RangeInclusive<i64> = 16..=128;
const STEP: i64 = 16;

impl FromStr for Architecture {
    type Err = String;

    fn from_str(name: &str) -> Result<Architecture, String> {
        if name == HALF {
            return Ok(Architecture::HALF);
        }
        let found = NODOWN.iter().find_map(|&(known, depth)| {
            let width = match name.strip_prefix(known)? {
                "" => WIDTH,
                rest => rest.strip_prefix('-')?.parse().ok()?,
            };
            (WIDTHS.contains(&width) && width % STEP == 0).then_some(Architecture {
                depth,
                start: Start::NoDown,
                width,
            })
        });
        found.ok_or_else(|| {
            format!(
                "{name:?} is no architecture: {HALF}, resnet50-nodown and resnet18-nodown are, these two also with a width \
                 as in resnet18-nodown-32 (a multiple of {STEP} from {} to {})",
                WIDTHS.start(),
                WIDTHS.end()
            )
        })
    }
}

impl TryFrom<String> for Architecture {
    type Error = String;

    fn try_from(name: String) -> Result<Architecture, String> {
        name.parse()
    }
}

impl From<Architecture> for String {
    fn from(architecture: Architecture) -> String {
        architecture.to_string()
    }
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.start == Start::Half {
            return f.write_str(HALF);
        }
        let name = NODOWN.iter().find(|(_, depth)| *depth == self.depth).map_or("", |(name, _)| name);
        if self.width == WIDTH { f.write_str(name) } else { write!(f, "{name}-{}", self.width) }
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

/// Channels of the four layers, before the block's expansion, as multiples of the stem's.
const MULTIPLES: [i64; 4] = [1, 2, 4, 8];
const STRIDES: [i64; 4] = [1, 2, 2, 2];
/// Width of the hidden layer of both classifiers.
pub const HIDDEN: i64 = 1024;
/// Dimensions of the projected embeddings that SelfCon compares.
pub const PROJECTED: i64 = 128;

/// Tensor names and their shapes.
pub type Shapes = BTreeMap<String, Vec<i64>>;

impl Architecture {
    /// ImagiNet's own: 83.6 GMAC an image.
    pub const RESNET50: Architecture = Architecture { depth: Depth::Resnet50, start: Start::NoDown, width: WIDTH };
    /// A smaller one of the same kind, for training on a CPU.
    pub const RESNET18: Architecture = Architecture { depth: Depth::Resnet18, start: Start::NoDown, width: WIDTH };
    /// The smallest, for which weights trained on other things are at hand: 1.5 GMAC an image.
    const HALF: Architecture = Architecture { depth: Depth::Resnet50, start: Start::Half, width: WIDTH };

    pub fn block(self) -> BlockKind {
        match self.depth {
            Depth::Resnet50 => BlockKind::Bottleneck,
            Depth::Resnet18 => BlockKind::Basic,
        }
    }

    /// Blocks in each of the four layers.
    fn blocks(self) -> [usize; 4] {
        match self.depth {
            Depth::Resnet50 => [3, 4, 6, 3],
            Depth::Resnet18 => [2, 2, 2, 2],
        }
    }

    pub fn stem(self) -> Convolution {
        Convolution { inputs: 3, outputs: self.width, kernel: 7, stride: self.pooling() }
    }

    /// Stride of the pooling that follows the stem.
    pub fn pooling(self) -> i64 {
        match self.start {
            Start::NoDown => 1,
            Start::Half => 2,
        }
    }

    /// The layers whose global means make up the embedding, counted from 0.
    pub fn embedded(self) -> &'static [usize] {
        match self.start {
            Start::NoDown => &[3],
            Start::Half => &[0, 1, 2, 3],
        }
    }

    /// Channels of a layer, before the block's expansion.
    fn planes(self, layer: usize) -> i64 {
        let first = match self.start {
            Start::NoDown => self.width,
            Start::Half => self.width / 2,
        };
        first * MULTIPLES[layer]
    }

    fn expansion(self) -> i64 {
        match self.block() {
            BlockKind::Bottleneck => 4,
            BlockKind::Basic => 1,
        }
    }

    /// Dimensions of the embedding: 2048 for `resnet50-nodown`, 512 for `resnet18-nodown`, 1920 for `resnet50-half`.
    pub fn embedding(self) -> i64 {
        self.embedded().iter().map(|&layer| self.planes(layer) * self.expansion()).sum()
    }

    /// Channels after the second layer, where the SelfCon sub-network branches off.
    fn branch(self) -> i64 {
        self.planes(1) * self.expansion()
    }

    /// The four layers, block by block.
    pub fn layers(self) -> [Vec<Block>; 4] {
        let mut inputs = self.width;
        std::array::from_fn(|layer| {
            let outputs = self.planes(layer) * self.expansion();
            let blocks = (0..self.blocks()[layer]).map(|index| {
                let stride = if index == 0 { STRIDES[layer] } else { 1 };
                let block =
                    self.residual(format!("encoder.layer{}.{index}", layer + 1), inputs, self.planes(layer), stride);
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

    /// Every one that there is.
    pub fn all() -> impl Iterator<Item = Architecture> {
        let of_width = |width, depth| Architecture { depth, start: Start::NoDown, width };
        let widths = move |(_, depth)| WIDTHS.step_by(STEP as usize).map(move |width| of_width(width, depth));
        std::iter::once(Architecture::HALF).chain(NODOWN.into_iter().flat_map(widths))
    }

    /// The encoder: stem, four layers and the SelfCon sub-network.
    pub fn encoder(self) -> Shapes {
        let mut shapes = Shapes::new();
        convolution(&mut shapes, "encoder.conv1", self.stem());
        norm(&mut shapes, "encoder.bn1", self.width);
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
            if self.start == Start::Half {
                // Means of different layers differ too much in size to be scaled as one.
                norm(&mut shapes, "generators.0", self.embedding());
            }
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
        let mut side = 256 / architecture.stem().stride;
        let cost = |part: &Convolution, side: i64| side * side * part.outputs * part.inputs * part.kernel * part.kernel;
        let mut sum = cost(&architecture.stem(), side);
        side /= architecture.pooling();
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
    fn the_network_has_as_many_operations_as_in_the_paper() {
        // 83.565 GMAC in all; the linear layers are 2 million of them.
        assert_eq!(macs(Architecture::RESNET50) / 10_000_000, 83_565_216_768 / 10_000_000);
    }

    #[test]
    fn names_and_shapes_are_those_of_the_published_checkpoint() {
        let shapes = Architecture::RESNET50.artefact(4);
        assert_eq!(shapes["encoder.conv1.weight"], [64, 3, 7, 7]);
        assert_eq!(shapes["encoder.layer1.0.shortcut.0.weight"], [256, 64, 1, 1]);
        assert_eq!(shapes["encoder.layer2.0.conv2.weight"], [128, 128, 3, 3]);
        assert_eq!(shapes["encoder.layer4.2.bn3.running_var"], [2048]);
        assert_eq!(shapes["encoder.selfcon_layer.1.weight"], [2048, 512]);
        assert_eq!(shapes["sub_heads.0.2.weight"], [128, 2048]);
        assert_eq!(shapes["origin.4.weight"], [1, 1024]);
        assert_eq!(shapes["generators.3.bias"], [4]);
        assert!(!shapes.contains_key("encoder.layer1.1.shortcut.0.weight"));
        assert_eq!(Architecture::RESNET18.artefact(0)["encoder.selfcon_layer.1.weight"], [512, 128]);
    }
    #[test]
    fn a_name_carries_the_width_and_survives_a_round_trip() {
        for name in ["resnet50-nodown", "resnet18-nodown", "resnet18-nodown-32", "resnet50-nodown-16", "resnet50-half"]
        {
            let architecture: Architecture = name.parse().unwrap();
            let text = serde_json::to_string(&architecture).unwrap();
            assert_eq!(text, format!("{name:?}"));
            assert_eq!(serde_json::from_str::<Architecture>(&text).unwrap(), architecture);
        }
        for name in ["resnet18", "resnet18-nodown-", "resnet18-nodown-24", "resnet18-nodown-0", "resnet18-nodown--32"] {
            assert!(name.parse::<Architecture>().unwrap_err().contains("resnet18-nodown-32"), "{name}");
        }
    }

    #[test]
    fn all_layers_follow_the_width() {
        let shapes = "resnet18-nodown-32".parse::<Architecture>().unwrap().artefact(2);
        assert_eq!(shapes["encoder.conv1.weight"], [32, 3, 7, 7]);
        assert_eq!(shapes["encoder.layer4.1.conv2.weight"], [256, 256, 3, 3]);
        assert_eq!(shapes["encoder.selfcon_layer.1.weight"], [256, 64]);
        assert_eq!(shapes["origin.1.weight"], [1024, 256]);
        let half = Architecture::HALF.artefact(2);
        assert_eq!(half["encoder.conv1.weight"], [64, 3, 7, 7]);
        assert_eq!(half["encoder.layer1.0.conv1.weight"], [32, 64, 1, 1]);
        assert_eq!((half["origin.0.bias"][0], half["generators.0.bias"][0]), (1920, 1920));
    }
}
