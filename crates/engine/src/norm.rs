//! Batch norm, what is added to it and ReLU in one pass, with gradients: the Rust side of `norm.cpp`. For the CPU; there
//! these passes over the largest tensors take as long as half of the convolutions.

use tch::Tensor;
use torch_sys::C_tensor;

use crate::torch_error::{Status, TorchError, output};

unsafe extern "C" {
    fn assay_norm(
        x: *const C_tensor,
        other: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        running_mean: *const C_tensor,
        running_var: *const C_tensor,
        of_batch: bool,
        momentum: f64,
        epsilon: f64,
        relu: bool,
        output: *mut *mut C_tensor,
    ) -> Status;
}

/// One batch norm's tensors, all of them fp32 with one number for each channel.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    pub weight: &'a Tensor,
    pub bias: &'a Tensor,
    pub running_mean: &'a Tensor,
    pub running_var: &'a Tensor,
}

/// Whose statistics it uses.
#[derive(Clone, Copy, Debug)]
pub enum Statistics {
    Running,
    /// The batch's, which have this share in the running ones from then on.
    Batch(f64),
}

/// norm(x) + other, and max(0, …) of it where `relu` says so. `x` and `other` are alike, `[n, c, h, w]` in fp32 or bf16.
pub fn forward(
    x: &Tensor,
    norm: Norm<'_>,
    statistics: Statistics,
    epsilon: f64,
    other: Option<&Tensor>,
    relu: bool,
) -> Result<Tensor, TorchError> {
    let (of_batch, momentum) = match statistics {
        Statistics::Running => (false, 0.0),
        Statistics::Batch(momentum) => (true, momentum),
    };
    let Norm { weight, bias, running_mean, running_var } = norm;
    let other = other.map_or(std::ptr::null(), |other| other.as_ptr());
    // SAFETY: the pointers are of live tensors, `other` is one or null, and the output is written on success.
    unsafe {
        output(|result| {
            let (mean, var) = (running_mean.as_ptr(), running_var.as_ptr());
            let (x, weight, bias) = (x.as_ptr(), weight.as_ptr(), bias.as_ptr());
            assay_norm(x, other, weight, bias, mean, var, of_batch, momentum, epsilon, relu, result)
        })
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::fused::channels_last;
    use crate::testing::{furthest, wave};

    const EPSILON: f64 = 1e-5;
    const SHAPE: [i64; 4] = [3, 17, 20, 19];

    struct Case {
        x: Tensor,
        other: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
    }

    impl Case {
        fn new(kind: Kind) -> Case {
            let innermost = |tensor: Tensor| channels_last(&tensor).to_kind(kind).detach();
            // Channels far from zero, where squares cancel out.
            let levels = Tensor::arange(17, (Kind::Float, Device::Cpu)).view([1, 17, 1, 1]) * 3.0;
            Case {
                x: innermost(wave(&SHAPE, 0.3) + levels).set_requires_grad(true),
                other: innermost(wave(&SHAPE, 1.1)).set_requires_grad(true),
                weight: (wave(&[17], 0.5) + 1.5).set_requires_grad(true),
                bias: wave(&[17], 2.5).set_requires_grad(true),
                running_mean: wave(&[17], 3.5),
                running_var: wave(&[17], 4.5) + 1.5,
            }
        }

        /// Output, gradients, running statistics: from one pass, and by libtorch's own operations.
        fn results(kind: Kind, statistics: Statistics, add: bool, relu: bool) -> [Vec<Tensor>; 2] {
            [true, false].map(|one_pass| {
                let case = Case::new(kind);
                let other = add.then_some(&case.other);
                let y = if one_pass {
                    case.in_one_pass(statistics, other, relu)
                } else {
                    case.separately(statistics, other, relu)
                };
                (y.to_kind(Kind::Float) * wave(&SHAPE, 0.9)).sum(Kind::Float).backward();
                let mut results = vec![y, case.x.grad(), case.weight.grad(), case.bias.grad()];
                results.extend(add.then(|| case.other.grad()));
                results.extend([case.running_mean, case.running_var]);
                results.iter().map(|tensor| tensor.to_kind(Kind::Float).detach()).collect()
            })
        }

        fn in_one_pass(&self, statistics: Statistics, other: Option<&Tensor>, relu: bool) -> Tensor {
            let Case { weight, bias, running_mean, running_var, .. } = self;
            let norm = Norm { weight, bias, running_mean, running_var };
            forward(&self.x, norm, statistics, EPSILON, other, relu).unwrap()
        }

        fn separately(&self, statistics: Statistics, other: Option<&Tensor>, relu: bool) -> Tensor {
            let (of_batch, momentum) = match statistics {
                Statistics::Running => (false, 0.0),
                Statistics::Batch(momentum) => (true, momentum),
            };
            let x = self.x.to_kind(Kind::Float);
            let (weight, bias) = (Some(&self.weight), Some(&self.bias));
            let (mean, var) = (Some(&self.running_mean), Some(&self.running_var));
            let mut y = x.batch_norm(weight, bias, mean, var, of_batch, momentum, EPSILON, false);
            if let Some(other) = other {
                y += other.to_kind(Kind::Float);
            }
            if relu { y.relu() } else { y }
        }
    }

    #[test]
    fn one_pass_gives_what_separate_operations_give_and_so_do_its_gradients() {
        for statistics in [Statistics::Running, Statistics::Batch(0.1), Statistics::Batch(0.0)] {
            for (add, relu) in [(false, false), (false, true), (true, false), (true, true)] {
                let [found, wanted] = Case::results(Kind::Float, statistics, add, relu);
                for (place, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                    let most = f64::try_from(wanted.abs().max()).unwrap().max(1.0);
                    let apart = furthest(found, wanted) / most;
                    assert!(apart < 2e-5, "{statistics:?}, add {add}, relu {relu}, result {place}: {apart}");
                }
            }
        }
    }

    #[test]
    fn in_bf16_only_the_activations_are_rounded() {
        for (add, relu) in [(false, true), (true, true)] {
            let [found, wanted] = Case::results(Kind::BFloat16, Statistics::Batch(0.1), add, relu);
            for (place, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                let (product, lengths) = ((found * wanted).sum(Kind::Double), found.norm() * wanted.norm());
                let likeness = f64::try_from(product / lengths).unwrap();
                assert!(likeness > 0.999, "add {add}, result {place}: {likeness}");
            }
        }
    }

    #[test]
    fn nan_stays_nan() {
        let case = Case::new(Kind::BFloat16);
        let _no_grad = tch::no_grad_guard();
        let _ = case.x.get(0).get(0).get(0).get(0).fill_(f64::NAN);
        let y = case.in_one_pass(Statistics::Running, None, true);
        assert!(f64::try_from(y.get(0).get(0).get(0).get(0).to_kind(Kind::Double)).unwrap().is_nan());
    }
}
