//! Which numbers and which kernels are the fastest on this processor, by measurement: flags tell what it can do, not how well.
//!
//! On virtual machines a processor may show AVX512-BF16 and hide AMX: bf16 then runs at half the speed of fp32. So a few
//! convolutions of the network's own shapes are computed once a process, in each way that there is, and the fastest wins.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use crate::fused::{self, Geometry, Then, channels_last};
use crate::torch_error::TorchError;
use crate::winograd::{self, Filter};

/// 16-bit numbers change answers a little, so they must be so many times as fast to be worth it.
const WORTH_IT: f64 = 1.15;
/// Of each way, the fastest of so many counts: others may be at work on the machine.
const ROUNDS: usize = 7;
/// No more is begun once this has passed.
const ENOUGH: Duration = Duration::from_millis(200);
/// Channels, and pixels a side, of 3×3 convolutions as ResNets have them.
const SHAPES: [(i64, i64); 2] = [(64, 64), (128, 32)];

/// Times of the same convolutions, on as many threads as the process computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    pub fp32: Duration,
    /// fp32 with Winograd's filtering; `None` where the processor can't.
    pub winograd: Option<Duration>,
    /// `None` where the processor has no instructions for it.
    pub bf16: Option<Duration>,
}

/// Measured at the first call, and remembered: the first one should come when threads are set.
pub fn measured() -> Measured {
    static MEASURED: OnceLock<Measured> = OnceLock::new();
    *MEASURED.get_or_init(|| {
        let measured = measure().unwrap_or_else(|error| {
            tracing::warn!(error = %error, "the kernels can't be compared: computing in fp32 by oneDNN");
            Measured { fp32: Duration::ZERO, winograd: None, bf16: None }
        });
        tracing::debug!("{}", measured.in_words());
        measured
    })
}

impl Measured {
    /// Whether 3×3 convolutions in fp32 are faster by Winograd's filtering.
    pub fn prefers_winograd(&self) -> bool {
        self.winograd.is_some_and(|winograd| winograd < self.fp32)
    }

    /// The numbers to compute in.
    pub fn kind(&self) -> Kind {
        let fp32 = self.winograd.map_or(self.fp32, |winograd| winograd.min(self.fp32));
        match self.bf16 {
            Some(bf16) if fp32.as_secs_f64() >= WORTH_IT * bf16.as_secs_f64() => Kind::BFloat16,
            _ => Kind::Float,
        }
    }

    /// `convolutions measured: fp32 1.90 ms, fp32 by Winograd 1.50 ms, bf16 3.40 ms`
    pub fn in_words(&self) -> String {
        let time = |time: Duration| format!("{:.2} ms", 1000.0 * time.as_secs_f64());
        let mut words = format!("convolutions measured: fp32 {}", time(self.fp32));
        if let Some(winograd) = self.winograd {
            words += &format!(", fp32 by Winograd {}", time(winograd));
        }
        if let Some(bf16) = self.bf16 {
            words += &format!(", bf16 {}", time(bf16));
        }
        words
    }
}

/// One way to compute a convolution.
type Run = Box<dyn Fn() -> Result<Tensor, TorchError>>;

fn measure() -> Result<Measured, TorchError> {
    let _no_grad = tch::no_grad_guard();
    let fp32 = ways(Kind::Float)?;
    let winograd = if winograd::runs_here() { Some(by_winograd()?) } else { None };
    let bf16 = if has_bf16() { Some(ways(Kind::BFloat16)?) } else { None };
    let candidates = [Some(fp32), winograd, bf16];
    let mut best = [None; 3];
    let began = Instant::now();
    // By turns, so that what else happens on the machine meets all alike. The first round warms up.
    for round in 0..=ROUNDS {
        for (runs, best) in candidates.iter().zip(&mut best) {
            let Some(runs) = runs else { continue };
            let start = Instant::now();
            runs.iter().try_for_each(|run| run().map(drop))?;
            let took = start.elapsed();
            if round > 0 {
                *best = Some(best.map_or(took, |best: Duration| best.min(took)));
            }
        }
        if began.elapsed() > ENOUGH && round > 0 {
            break;
        }
    }
    let [fp32, winograd, bf16] = best;
    Ok(Measured { fp32: fp32.unwrap_or_default(), winograd, bf16 })
}

fn tensors(channels: i64, side: i64, kind: Kind) -> (Tensor, Tensor, Tensor) {
    let some = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu)) * 0.01;
    let laid_out = |shape: &[i64]| channels_last(&some(shape)).to_kind(kind);
    let input = laid_out(&[1, channels, side, side]);
    let weight = laid_out(&[channels, channels, 3, 3]);
    (input, weight, some(&[channels]).to_kind(kind))
}

fn ways(kind: Kind) -> Result<Vec<Run>, TorchError> {
    let geometry = Geometry { stride: 1, padding: 1 };
    let way = |(channels, side): (i64, i64)| {
        let (input, weight, bias) = tensors(channels, side, kind);
        let packed = fused::pack(&weight, geometry, [1, channels, side, side])?;
        Ok(Box::new(move || fused::convolve(&input, &packed, &bias, geometry, Then::Relu)) as Run)
    };
    SHAPES.into_iter().map(way).collect()
}

fn by_winograd() -> Result<Vec<Run>, TorchError> {
    let way = |(channels, side): (i64, i64)| {
        let (input, weight, bias) = tensors(channels, side, Kind::Float);
        let filter = Filter::new(&weight)?;
        Some(Box::new(move || filter.convolve(&input, &bias, None, Then::Relu)) as Run)
    };
    Ok(SHAPES.into_iter().filter_map(way).collect())
}

/// Whether the processor multiplies bf16 natively. Those with AMX have AVX512-BF16 too.
pub fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fp32: u64, winograd: Option<u64>, bf16: Option<u64>) -> Measured {
        let time = Duration::from_micros;
        Measured { fp32: time(fp32), winograd: winograd.map(time), bf16: bf16.map(time) }
    }

    #[test]
    fn bf16_must_be_worth_it_and_the_faster_kernel_wins() {
        assert_eq!(of(100, None, Some(86)).kind(), Kind::BFloat16);
        assert_eq!(of(100, None, Some(88)).kind(), Kind::Float);
        assert_eq!(of(100, Some(90), Some(80)).kind(), Kind::Float);
        assert_eq!(of(100, None, None).kind(), Kind::Float);
        assert!(of(100, Some(90), None).prefers_winograd() && !of(100, Some(110), None).prefers_winograd());
        assert!(of(1000, Some(900), None).in_words().ends_with("fp32 1.00 ms, fp32 by Winograd 0.90 ms"));
    }

    #[test]
    fn what_the_processor_can_do_is_measured_and_no_more() {
        let measured = measured();
        assert!(measured.fp32 > Duration::ZERO);
        assert_eq!((measured.bf16.is_some(), measured.winograd.is_some()), (has_bf16(), winograd::runs_here()));
        assert_eq!(measured, super::measured());
    }
}
