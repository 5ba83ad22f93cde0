//! `assay evaluate`: how good the detector is, on images of which it is known what they are.

mod progress;
mod text;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

use super::End;
use super::print::say;
use crate::config::Config;
use artefact::Card;
use augment::{Axis, Perturbation};
use decoder::Pool;
use domain::ThresholdSettings;
use labels::annotations::{self, Annotation};
use learn::evaluation::adversarial::adversarial;
use learn::evaluation::examination::{ExaminationError, Examiner, examine};
use learn::evaluation::mistakes::{Mistake, mistakes};
use learn::evaluation::{Asked, AttackPlan, Attacker, Evaluation, evaluate, report};
use progress::Progress;

/// Measure the detector on annotated images, with the worker's own decoders and engine.
///
/// Ends with 1 if no image could be judged.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  assay evaluate --annotations test.txt --root images --perturb social --html report.html
  assay evaluate --annotations test.txt --root images --sweep jpeg,resize --json | jq .auc
  assay evaluate --annotations test.txt --root images --perturb social --draws 5 --seed 7
  assay evaluate --annotations test.txt --root images --by source --shortcuts
  assay evaluate --annotations test.txt --root images --html report.html --mistakes 50
  assay evaluate --annotations test.txt --root images --adversarial --adversarial-images 200

An annotation file has a line for each image: path,origin,content_type,model,specific_model with ImagiNet's codes
(configs/labels.toml has them). docs/evaluation.md says what is measured and how to read it.")]
pub(super) struct Args {
    /// Which images there are, and what they are.
    #[arg(long, value_name = "FILE")]
    annotations: PathBuf,
    /// The folder that the paths in the annotations start from.
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// The model folder, instead of detector.model.
    #[arg(long, value_name = "DIR")]
    model: Option<String>,
    /// What happens to every image first: nothing, the conditions of social networks (crop, resize, JPEG or WebP), or one file
    /// history for all (scaled by 0.65, JPEG of quality 85).
    #[arg(long, value_enum, default_value = "none")]
    perturb: Perturb,
    /// Of all chance: the same seed gives the same figures.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How often each image is perturbed anew; only for --perturb social.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    draws: u32,
    /// How the detector fares along these perturbations too, each from little to much.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "AXIS")]
    sweep: Vec<Sweep>,
    /// What the detector goes by: AUC without detail (low pass) and without content (shuffled blocks), and how far a JPEG's
    /// quality moves the score.
    #[arg(long)]
    shortcuts: bool,
    /// Figures with whole sources of real images and whole generators as the unit: the share of each that is wrong, intervals
    /// over them. The source is the sixth column of the annotations, else the folder.
    #[arg(long, value_enum, value_name = "WHAT")]
    by: Option<By>,
    /// Attack the model too, with its own gradients: PGD that changes each value of a pixel by up to 1, 2 and 4 of 255.
    #[arg(long)]
    adversarial: bool,
    /// Steps of the attack.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000), requires = "adversarial")]
    adversarial_steps: u32,
    /// Attack so many of the images only, spread over the file: each costs three times its steps, forward and back.
    #[arg(long, value_name = "IMAGES", requires = "adversarial")]
    adversarial_images: Option<NonZeroUsize>,
    /// The whole evaluation as a JSON document.
    #[arg(long)]
    json: bool,
    /// Write a page with plots, which needs nothing but itself.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Show so many of the worst mistakes on the page, with the crops that were judged. Mind who may see these images.
    #[arg(long, value_name = "IMAGES", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=200), requires = "html")]
    mistakes: u16,
    /// Resamples of the images for the confidence intervals; 0 for none.
    #[arg(long, default_value_t = 1000, value_name = "ROUNDS")]
    bootstrap: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Perturb {
    None,
    Social,
    Equalised,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    Source,
}

impl From<Perturb> for Perturbation {
    fn from(asked: Perturb) -> Perturbation {
        match asked {
            Perturb::None => Perturbation::None,
            Perturb::Social => Perturbation::Social,
            Perturb::Equalised => Perturbation::Equalised,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Sweep {
    All,
    Jpeg,
    Webp,
    /// Needs the system's libheif, which makes the files.
    Avif,
    Resize,
    Blur,
    Noise,
    Crop,
}

pub(super) fn run(args: &Args, config: &Config) -> Result<(), End> {
    let of = Measured {
        annotations: &args.annotations,
        root: &args.root,
        model: args.model.as_deref(),
        mistakes: args.mistakes,
    };
    let (evaluation, mistakes) = measure(&args.asked(), &of, config)?;
    if let Some(path) = &args.html {
        let failed = |error: &dyn std::fmt::Display| End::work(format!("{} can't be written: {error}", path.display()));
        let page = report::html(&evaluation, &mistakes).map_err(|error| failed(&error))?;
        std::fs::write(path, page).map_err(|error| failed(&error))?;
    }
    let answer = if args.json {
        serde_json::to_string_pretty(&evaluation).map_err(End::work)?
    } else {
        text::describe(&evaluation, args.html.as_deref())
    };
    say!("{answer}");
    if evaluation.origin.images == 0 {
        return Err(End::work(format!("none of the {} images could be judged", evaluation.unreadable.len())));
    }
    Ok(())
}

/// What is measured on what.
pub(super) struct Measured<'a> {
    pub annotations: &'a Path,
    pub root: &'a Path,
    /// In place of `detector.model`.
    pub model: Option<&'a str>,
    /// How many of the worst mistakes are kept with their crops.
    pub mistakes: u16,
}

/// Reads the annotations, opens decoders and detector, and has every image judged.
pub(super) fn measure(asked: &Asked, of: &Measured<'_>, config: &Config) -> Result<(Evaluation, Vec<Mistake>), End> {
    asked.axes.iter().try_for_each(|axis| axis.check()).map_err(End::usage)?;
    let annotations = read_annotations(of.annotations, config)?;
    let conditions = asked.conditions();
    let decoders = Pool::open(config.decoders())?;
    let mut settings = config.detector.clone();
    if let Some(model) = of.model {
        settings.model = model.into();
    }
    let mut detector = engine::open(&settings)?;
    let attacker = asked.adversarial.map(|plan| attacker(plan, &settings, detector.card())).transpose()?;
    let examiner = Examiner {
        root: of.root,
        decoders: &decoders,
        max_bytes: config.objects.max_bytes,
        threads: config.worker.decoders(),
        batch: config.worker.batch_for(detector.device()),
        seed: asked.seed,
    };
    let mut progress = Progress::new(annotations.len() * conditions.len(), "crops scored");
    let done = |crops| progress.add(crops);
    let examined = examine(&annotations, &conditions, &examiner, detector.as_mut(), done);
    progress.end();
    // The figures are the model's own, whatever thresholds somebody has set.
    let judge = detector.card().judge(detector.device(), ThresholdSettings::default());
    let examined = examined.map_err(end)?;
    let mistakes = mistakes(&annotations, conditions[0], &examined, &examiner, of.mistakes.into()).map_err(end)?;
    let mut evaluation = evaluate(asked, &annotations, examined, &judge, detector.engine());
    if let Some(attacker) = attacker {
        let chosen = attacker.choose(&annotations);
        let mut progress = Progress::new(AttackPlan::crops(chosen.len()), "crops attacked");
        let done = |crops| progress.add(crops);
        let points = adversarial(asked, &chosen, &examiner, &attacker, detector.as_mut(), done);
        progress.end();
        evaluation.adversarial = points.map_err(end)?;
    }
    Ok((evaluation, mistakes))
}

/// Who attacks the model; it needs a network, and one that knows something.
fn attacker(plan: AttackPlan, settings: &engine::Settings, card: &Card) -> Result<Attacker, End> {
    if !card.trained {
        return Err(End::usage(format!(
            "--adversarial follows the gradients of a trained network, and the model {} is none; name a trained one by --model",
            card.version
        )));
    }
    Ok(Attacker::open(settings, plan)?)
}

fn end(error: ExaminationError) -> End {
    match error {
        ExaminationError::Decoder(error) => error.into(),
        error => End::work(error),
    }
}

impl Args {
    fn asked(&self) -> Asked {
        let is_asked = |axis: &Axis| {
            let of_axis = |sweep: &Sweep| match sweep {
                Sweep::All => true,
                Sweep::Jpeg => *axis == Axis::Jpeg,
                Sweep::Webp => *axis == Axis::Webp,
                Sweep::Avif => *axis == Axis::Avif,
                Sweep::Resize => *axis == Axis::Resize,
                Sweep::Blur => *axis == Axis::Blur,
                Sweep::Noise => *axis == Axis::Noise,
                Sweep::Crop => *axis == Axis::Crop,
            };
            self.sweep.iter().any(of_axis)
        };
        Asked {
            annotations: self.annotations.display().to_string(),
            perturbation: self.perturb.into(),
            seed: self.seed,
            draws: self.draws,
            axes: Axis::ALL.into_iter().filter(is_asked).collect(),
            shortcuts: self.shortcuts,
            by_source: self.by == Some(By::Source),
            adversarial: self.adversarial.then_some(AttackPlan {
                steps: self.adversarial_steps,
                images: self.adversarial_images.map(NonZeroUsize::get),
            }),
            bootstrap: self.bootstrap,
        }
    }
}

pub(super) fn read_annotations(path: &Path, config: &Config) -> Result<Vec<Annotation>, End> {
    let vocabulary = config.labels.vocabulary().map_err(End::usage)?;
    let text = std::fs::read_to_string(path)
        .map_err(|error| End::usage(format!("the annotations {} can't be read: {error}", path.display())))?;
    let annotations = annotations::read(&text, &vocabulary)
        .map_err(|error| End::usage(format!("the annotations {} are wrong: {error}", path.display())))?;
    if annotations.is_empty() {
        return Err(End::usage(format!("the annotations {} name no image", path.display())));
    }
    Ok(annotations)
}
