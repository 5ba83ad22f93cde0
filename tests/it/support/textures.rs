//! Images to train on, made on the spot: real ones are smooth, synthetic ones have a pattern that shows which generator made
//! them.

use std::path::Path;

/// Camera or generator that a texture stands for; each generator has a pattern of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    Camera,
    /// `progan`, of the family `gan`.
    Progan,
    /// `sdxl-1.0`, of the family `stable-diffusion`.
    Sdxl,
}

impl Maker {
    /// Of the `number`-th texture: every second one is real.
    pub fn of(number: usize) -> Maker {
        match number % 4 {
            1 => Maker::Progan,
            3 => Maker::Sdxl,
            _ => Maker::Camera,
        }
    }

    /// `origin,content_type,model,specific_model`
    pub fn codes(self) -> &'static str {
        match self {
            Maker::Camera => "0,0,4,8",
            Maker::Progan => "1,0,0,0",
            Maker::Sdxl => "1,0,1,4",
        }
    }
}

/// A PNG of 256×256 pixels; another one for each number.
pub fn png(number: usize) -> Vec<u8> {
    let maker = Maker::of(number);
    let waves: Vec<(f64, f64, f64)> = (1..4)
        .map(|wave| {
            let turn = (number * 37 + wave * 101) as f64;
            ((turn * 0.11).sin() / 30.0, (turn * 0.07).cos() / 30.0, turn)
        })
        .collect();
    let pixel = |x: usize, y: usize, channel: usize| {
        let smooth: f64 =
            waves.iter().map(|(fx, fy, phase)| (x as f64 * fx + y as f64 * fy + phase + channel as f64).sin()).sum();
        let pattern = match maker {
            Maker::Camera => 0.0,
            Maker::Progan => [24.0, -24.0][(x + y) % 2],
            Maker::Sdxl => [24.0, 0.0, -24.0, 0.0][x % 4],
        };
        let noise = ((x * 7919 + y * 104_729 + number * 31) % 17) as f64 - 8.0;
        (128.0 + 25.0 * smooth + pattern + noise).clamp(0.0, 255.0) as u8
    };
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 256, 256);
    encoder.set_color(png::ColorType::Rgb);
    let places = (0..256 * 256 * 3).map(|at| pixel(at / 3 % 256, at / 3 / 256, at % 3));
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&places.collect::<Vec<_>>()).unwrap();
    writer.finish().unwrap();
    bytes
}

/// An annotation line for a texture.
pub fn annotation(number: usize) -> String {
    format!("{number}.png,{}\n", Maker::of(number).codes())
}

/// Writes textures and their annotations to a folder.
pub fn write(folder: &Path, numbers: std::ops::Range<usize>, annotations: &str) {
    std::fs::create_dir_all(folder).unwrap();
    for number in numbers.clone() {
        std::fs::write(folder.join(format!("{number}.png")), png(number)).unwrap();
    }
    std::fs::write(folder.join(annotations), numbers.map(annotation).collect::<String>()).unwrap();
}

/// A recipe that takes seconds: a few steps, and classifiers that learn what the encoder shows.
pub fn recipe(epochs: usize, rate: f64) -> String {
    format!(
        r#"
seed = 3
classes = "families"
[encoder]
epochs = {epochs}
batch = 8
norms = "frozen"
sampling = "generators"
[encoder.objective]
name = "selfcon"
temperature = 0.1
generators = 1.0
[encoder.optimiser]
name = "sgd"
momentum = 0.9
weight_decay = 1e-4
[encoder.schedule]
rate = 1e-3
[augmentation]
sides = [32]
[classifiers]
views = 1
social = 0.3
epochs = 40
batch = 16
sampling = "generators"
[classifiers.optimiser]
name = "adamw"
beta1 = 0.9
beta2 = 0.999
weight_decay = 1e-3
[classifiers.schedule]
rate = {rate}
[calibration]
held_out = 0.25
false_alarms = 0.05
misses = 0.05
[novelty]
dimensions = 8
shrinkage = 0.1
unit = false
known = 0.95
"#
    )
}
