//! Our side of `make bench`: `benches/run.py` starts it and sets its answers beside those of others.
//!
//! Each subcommand is a contestant: it prints one JSON line when it is warm, then reads rounds from stdin, one
//! `VARIANT COUNT` a line, and answers each with the seconds that it took. It ends with its input.

use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use artefact::Manifest;
use clap::{Parser, Subcommand, ValueEnum};
use decoder::Pool;
use engine::Precision;
use engine::weights::Weights;
use imaging::{CROP_SIDE, Crop, Limits};
use learn::training::average::AverageStart;
use learn::training::encoder::{self, Paces, PlannedNorms};
use learn::training::optimiser::Rule;
use learn::training::sampling::Sampling;
use learn::training::schedule::Schedule;
use learn::training::{Batch, Encoder, Label, Labels, Objective};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    contestant: Contestant,
}

#[derive(Debug, Subcommand)]
enum Contestant {
    /// Scores crops with the engine that the worker uses. VARIANT: images handed over at a time.
    Engine {
        #[arg(long, value_name = "DIR")]
        model: PathBuf,
        /// 256×256 RGB crops, one after the other.
        #[arg(long, value_name = "FILE")]
        crops: PathBuf,
        #[arg(long, default_value = "auto")]
        precision: String,
        #[arg(long, default_value = "auto")]
        device: String,
        #[arg(long, default_value_t = 0)]
        threads: usize,
        /// Of how many crops the logits are told at the start.
        #[arg(long, default_value_t = 2)]
        logits: usize,
    },
    /// Decodes JPEGs to their centre, on one thread. VARIANT: the file.
    Decode {
        #[arg(long, value_enum)]
        by: Decoder,
    },
    /// Trains an encoder by SelfCon, step after step on the same batch. VARIANT: anything; COUNT: steps.
    Training {
        /// Whose weights it begins with.
        #[arg(long, value_name = "DIR")]
        model: PathBuf,
        /// 256×256 RGB crops, one after the other; their corners are trained on.
        #[arg(long, value_name = "FILE")]
        crops: PathBuf,
        #[arg(long, default_value_t = 32)]
        batch: usize,
        /// Images in the network at a time; 0: all.
        #[arg(long, default_value_t = 0)]
        chunk: usize,
        #[arg(long, default_value = "auto")]
        precision: String,
        #[arg(long, default_value_t = 0)]
        threads: usize,
    },
    /// What the machine can do at most. VARIANT: fp32 or bf16 (COUNT multiplications of matrices) or triad
    /// (COUNT passes of a = b + s·c over memory).
    Machine {
        #[arg(long, default_value_t = 0)]
        threads: usize,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Decoder {
    Assay,
    /// The same in a process of its own, as the worker does it.
    Apart,
    /// The decoder of the `image` crate: the whole image, then the centre.
    Zune,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().contestant {
        Contestant::Engine { model, crops, precision, device, threads, logits } => {
            engine(&model, &crops, &settings(&device, &precision, threads)?, logits)
        }
        Contestant::Decode { by } => decode(by),
        Contestant::Machine { threads } => machine(threads),
        Contestant::Training { model, crops, batch, chunk, precision, threads } => {
            training(&model, &crops, (batch, chunk), &settings("auto", &precision, threads)?)
        }
    }
}

/// Side of what is trained on, as in the paper's recipe.
const SIDE: usize = 96;

fn training(
    model: &Path,
    crops: &Path,
    (batch, chunk): (usize, usize),
    settings: &engine::Settings,
) -> anyhow::Result<()> {
    let place = engine::device::prepare(settings)?;
    let manifest = Manifest::read(model, "")?;
    let plan = encoder::Plan {
        objective: Objective::Selfcon { temperature: 0.07, generators: 1.0 },
        epochs: 1,
        batch,
        chunk,
        norms: PlannedNorms::Batch,
        sampling: Sampling::Plain,
        optimiser: Rule::Sgd { momentum: 0.9, weight_decay: 1e-4 },
        schedule: Schedule { rate: 0.005, warm_up: 0.0, floor: 0.0 },
        heads_first: false,
        paces: Paces::default(),
        average: None,
        average_start: AverageStart::Ramp,
    };
    let architecture = manifest.architecture;
    let mut learner = Encoder::new(plan, &Weights::of_artefact(&manifest, model)?, architecture, place);
    let crops = read_crops(crops)?;
    let label =
        |image: usize| if image.is_multiple_of(2) { Label::Real } else { Label::Synthetic(Some(image / 2 % 4)) };
    let rows = crops.iter().cycle().take(batch).flat_map(|crop| crop.pixels().chunks(CROP_SIDE * 3).take(SIDE));
    let pixels = rows.flat_map(|row| &row[..SIDE * 3]).copied().collect();
    let batch = Batch { pixels, side: SIDE, labels: Labels((0..batch).map(label).collect()) };
    // So far away that the rate stays what it is.
    const END: u64 = 1 << 40;
    let losses = (0..2).map(|_| Ok(learner.step(&batch, END)?.loss)).collect::<anyhow::Result<Vec<_>>>()?;
    let what = format!("{architecture}, {:?}, {} threads", place.kind, tch::get_num_threads());
    answer(&json!({ "what": what, "losses": losses }), &[], |_, steps| {
        for _ in 0..steps {
            learner.step(&batch, END)?;
        }
        Ok(())
    })
}

fn read_crops(file: &Path) -> anyhow::Result<Vec<Crop>> {
    let pixels = std::fs::read(file).with_context(|| file.display().to_string())?;
    let crops: Vec<Crop> =
        pixels.chunks_exact(Crop::BYTES).filter_map(|crop| Crop::from_pixels(crop.to_vec())).collect();
    if crops.is_empty() {
        bail!("there are no crops");
    }
    Ok(crops)
}

fn settings(device: &str, precision: &str, threads: usize) -> anyhow::Result<engine::Settings> {
    let precision = match precision {
        "auto" => Precision::Auto,
        "fp32" => Precision::Fp32,
        "bf16" => Precision::Bf16,
        other => bail!("no precision: {other}"),
    };
    let (model, public_key) = (String::new(), String::new());
    Ok(engine::Settings { model, public_key, device: device.into(), precision, threads })
}

/// Says that it is warm, then answers rounds: `round(variant, count)` does the work that is timed.
///
/// The processor time of these children counts too.
fn answer(
    warm: &Value,
    children: &[u32],
    mut round: impl FnMut(&str, usize) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{warm}")?;
    out.flush()?;
    for line in std::io::stdin().lines() {
        let line = line?;
        let (variant, count) = line.rsplit_once(' ').context("a round is VARIANT COUNT")?;
        let count = count.parse()?;
        let (started, used) = (Instant::now(), processor_seconds(children));
        round(variant, count)?;
        let (seconds, processor) = (started.elapsed().as_secs_f64(), processor_seconds(children) - used);
        writeln!(out, "{}", json!({ "seconds": seconds, "processor_seconds": processor }))?;
        out.flush()?;
    }
    Ok(())
}

/// Processor time that all threads of this process have used, and those children.
fn processor_seconds(children: &[u32]) -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    let mut seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    for child in children {
        let times = std::fs::read_to_string(format!("/proc/{child}/schedstat")).unwrap_or_default();
        let nanoseconds = times.split(' ').next().and_then(|time| time.parse::<f64>().ok());
        seconds += nanoseconds.unwrap_or(f64::NAN) / 1e9;
    }
    seconds
}

fn engine(model: &Path, crops: &Path, settings: &engine::Settings, told: usize) -> anyhow::Result<()> {
    let mut engine = engine::open(&settings.in_folder(model))?;
    let crops = read_crops(crops)?;
    let mut logits: Vec<f32> = Vec::new();
    for some in crops.iter().take(told).collect::<Vec<_>>().chunks(8) {
        logits.extend(engine.score(some)?.iter().map(|scores| scores.logit));
    }
    let warm = json!({ "what": engine.engine(), "logits": logits });
    answer(&warm, &[], |batch, count| {
        let batch: usize = batch.parse()?;
        let images: Vec<&Crop> = crops.iter().cycle().take(count).collect();
        for images in images.chunks(batch) {
            black_box(engine.score(images)?);
        }
        Ok(())
    })
}

fn decode(by: Decoder) -> anyhow::Result<()> {
    let limits = Limits { max_pixels: 120_000_000, max_decoded_bytes: 512 << 20 };
    let what = match by {
        Decoder::Assay => "libjpeg-turbo, the centre only",
        Decoder::Apart => "libjpeg-turbo, the centre only, in a process of its own",
        Decoder::Zune => "zune-jpeg (crate `image`), whole image",
    };
    let mut files = std::collections::HashMap::new();
    // Another package of the workspace builds it, into the same folder.
    let program = Path::new(env!("CARGO_BIN_EXE_assay")).with_file_name("assay-decoder");
    let memory = decoder::memory(&limits, 20 << 20);
    let pool = match by {
        Decoder::Apart => Some(Pool::open(decoder::Settings {
            program,
            limits: limits.clone(),
            memory,
            timeout: Duration::from_secs(20),
        })?),
        _ => None,
    };
    let children: Vec<_> = pool.iter().flat_map(Pool::idle_decoders).map(|decoder| decoder.id).collect();
    answer(&json!({ "what": what }), &children, |file, count| {
        if !files.contains_key(file) {
            files.insert(file.to_owned(), std::fs::read(file).with_context(|| file.to_owned())?);
        }
        let bytes = &files[file];
        for _ in 0..count {
            match by {
                Decoder::Apart => drop(black_box(pool.as_ref().context("there is a pool")?.decode(bytes)?)),
                Decoder::Assay => drop(black_box(imaging::decode(bytes, &limits)?)),
                Decoder::Zune => drop(black_box(decode_with_zune(bytes)?)),
            }
        }
        Ok(())
    })
}

/// The centre of an image that is large enough.
fn decode_with_zune(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let pixels = decoder.decode().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let (width, height) = decoder.dimensions().context("no size")?;
    let (left, top) = ((width - CROP_SIDE) / 2, (height - CROP_SIDE) / 2);
    let mut crop = Vec::with_capacity(Crop::BYTES);
    for row in top..top + CROP_SIDE {
        let start = (row * width + left) * 3;
        crop.extend_from_slice(&pixels[start..start + CROP_SIDE * 3]);
    }
    Ok(crop)
}

/// (m, k, n) of the multiplications tried; the fastest stands for the machine. The last are the network's own.
const SHAPES: [[i64; 3]; 7] = [
    [1024, 1024, 1024],
    [2048, 2048, 2048],
    [4096, 4096, 4096],
    [1024, 4096, 4096],
    [4096, 2304, 256],
    [16384, 1152, 128],
    [1024, 4608, 512],
];

struct Multiplication {
    shape: [i64; 3],
    left: Tensor,
    right: Tensor,
}

impl Multiplication {
    fn new([m, k, n]: [i64; 3], kind: Kind) -> Multiplication {
        let random = |rows: i64, columns: i64| Tensor::randn([rows, columns], (Kind::Float, Device::Cpu)).to_kind(kind);
        Multiplication { shape: [m, k, n], left: random(m, k), right: random(k, n) }
    }

    fn operations(&self) -> f64 {
        2.0 * self.shape.iter().map(|&side| side as f64).product::<f64>()
    }

    fn run(&self) {
        drop(black_box(self.left.matmul(&self.right)));
    }

    /// Operations a second, from about a fifth of a second.
    fn speed(&self) -> f64 {
        self.run();
        let (mut times, started) = (0, Instant::now());
        while started.elapsed().as_secs_f64() < 0.2 {
            self.run();
            times += 1;
        }
        f64::from(times) * self.operations() / started.elapsed().as_secs_f64()
    }

    fn fastest(kind: Kind) -> Multiplication {
        let tried = SHAPES.map(|shape| Multiplication::new(shape, kind));
        let tried = tried.into_iter().map(|one| (one.speed(), one));
        tried.max_by(|(one, _), (other, _)| one.total_cmp(other)).expect("there are shapes").1
    }
}

fn machine(threads: usize) -> anyhow::Result<()> {
    let threads = if threads == 0 { std::thread::available_parallelism()?.get() } else { threads };
    tch::set_num_threads(i32::try_from(threads)?);
    let fp32 = Multiplication::fastest(Kind::Float);
    // Emulated it takes minutes, and bounds nothing.
    let bf16 = engine::kernels::has_bf16().then(|| Multiplication::fastest(Kind::BFloat16));
    // Far more than the caches hold.
    let length = 32 << 20;
    let (mut a, b, c) = (vec![0.0_f32; length], vec![1.0_f32; length], vec![2.0_f32; length]);
    let share = length.div_ceil(threads);
    let mut units = json!({ "fp32": fp32.operations(), "triad": 3 * 4 * length });
    if let Some(bf16) = &bf16 {
        units["bf16"] = json!(bf16.operations());
    }
    let warm = json!({
        "what": format!("{threads} threads; m×k×n fp32 {:?}, bf16 {:?}", fp32.shape, bf16.as_ref().map(|bf16| bf16.shape)),
        "units": units,
    });
    answer(&warm, &[], |variant, count| {
        for _ in 0..count {
            match (variant, &bf16) {
                ("fp32", _) => fp32.run(),
                ("bf16", Some(bf16)) => bf16.run(),
                ("triad", _) => std::thread::scope(|scope| {
                    for ((a, b), c) in a.chunks_mut(share).zip(b.chunks(share)).zip(c.chunks(share)) {
                        scope.spawn(move || a.iter_mut().zip(b).zip(c).for_each(|((a, b), c)| *a = b + 3.0 * c));
                    }
                }),
                (other, _) => bail!("no measurement: {other}"),
            }
        }
        Ok(())
    })
}
