//! Choosing the device and the precision. One binary serves machines with and without a GPU: libtorch's CUDA
//! part is opened here, when a GPU is asked for.

use std::ffi::{CStr, CString};
use std::path::Path;

use tch::{Cuda, Device, Kind};

use crate::conv::Placement;
use crate::{OpenError, Precision, Settings, fused, kernels};

/// Present where NVIDIA's driver is loaded.
const DRIVER: &str = "/dev/nvidiactl";
const LIBRARY: &str = "libtorch_cuda.so";

/// Makes this process ready to compute as `[detector]` says: device, precision, threads, and an allocator that keeps its
/// pages.
pub fn prepare(settings: &Settings) -> Result<Placement, OpenError> {
    if settings.threads > 0 {
        tch::set_num_threads(i32::try_from(settings.threads).unwrap_or(i32::MAX));
    }
    fused::keep_pages()?;
    choose(&settings.device, settings.precision)
}

/// Resolves `detector.device` and `detector.precision`.
pub fn choose(device: &str, precision: Precision) -> Result<Placement, OpenError> {
    let device = match device {
        "auto" if Path::new(DRIVER).exists() => match open_cuda(0) {
            Ok(device) => device,
            Err(reason) => {
                tracing::warn!(%reason, "there is a GPU but it can't be used: computing on the CPU");
                Device::Cpu
            }
        },
        "auto" | "cpu" => Device::Cpu,
        named => {
            let index = match named.strip_prefix("cuda") {
                Some("") => Some(0),
                Some(rest) => rest.strip_prefix(':').and_then(|index| index.parse().ok()),
                None => None,
            };
            let wrong = || {
                OpenError::Device(format!("detector.device = {named:?} is no device: auto, cpu, cuda and cuda:N are"))
            };
            open_cuda(index.ok_or_else(wrong)?).map_err(OpenError::Device)?
        }
    };
    let kind = match precision {
        Precision::Fp32 => Kind::Float,
        Precision::Bf16 if device == Device::Cpu && !cpu_takes_bf16() => {
            return Err(OpenError::Device(
                "detector.precision = \"bf16\" wants a processor with AVX-512, which this one lacks: set it to \"auto\" or \
                 \"fp32\""
                    .into(),
            ));
        }
        Precision::Bf16 => Kind::BFloat16,
        Precision::Auto if device.is_cuda() => Kind::BFloat16,
        Precision::Auto => kernels::measured().kind(),
    };
    Ok(Placement { device, kind })
}

/// `cpu` or `cuda:0`.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".into(),
    }
}

/// Whether oneDNN computes bf16 here at all, be it by way of fp32.
fn cpu_takes_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512dq");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Opens libtorch's CUDA part; must come before any question about CUDA, whose first answer libtorch keeps.
fn open_cuda(index: usize) -> Result<Device, String> {
    let name = CString::new(LIBRARY).expect("the name holds no NUL");
    // SAFETY: `name` is a NUL-terminated string; the library's initialisers are libtorch's own. The handle is kept
    // for the life of the process on purpose.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if handle.is_null() {
        // SAFETY: dlerror gives a NUL-terminated string, or null, that lives until the next call of this thread.
        let reason = unsafe {
            let text = libc::dlerror();
            if text.is_null() { "no reason given".into() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
        };
        return Err(format!(
            "{LIBRARY} can't be opened: {reason}; put the lib folder of the CUDA build of the same libtorch release \
             on LD_LIBRARY_PATH, or set detector.device = \"cpu\""
        ));
    }
    let count = Cuda::device_count();
    if !Cuda::is_available() || count <= 0 {
        return Err("libtorch finds no CUDA device; check `nvidia-smi` and the driver's version".into());
    }
    if index as i64 >= count {
        return Err(format!("cuda:{index} does not exist: there are {count} CUDA devices, from cuda:0 on"));
    }
    Ok(Device::Cuda(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_can_always_be_chosen() {
        assert_eq!(choose("cpu", Precision::Fp32).unwrap(), Placement { device: Device::Cpu, kind: Kind::Float });
    }

    #[test]
    fn bf16_is_refused_where_the_processor_has_no_instructions_for_it() {
        match choose("cpu", Precision::Bf16) {
            Ok(place) => assert!(cpu_takes_bf16() && place.kind == Kind::BFloat16),
            Err(error) => assert!(!cpu_takes_bf16() && error.to_string().contains("detector.precision"), "{error}"),
        }
    }

    #[test]
    fn auto_is_what_was_measured() {
        assert_eq!(choose("cpu", Precision::Auto).unwrap().kind, kernels::measured().kind());
    }

    #[test]
    fn an_unknown_device_is_refused_and_named() {
        for name in ["gpu", "cuda:x", "cuda0", ""] {
            assert!(choose(name, Precision::Auto).unwrap_err().to_string().contains(&format!("{name:?}")));
        }
    }

    #[test]
    fn the_error_for_missing_cuda_names_the_library() {
        // Where the tests run on a machine with a GPU there is nothing to miss.
        if let Err(error) = choose("cuda", Precision::Auto) {
            let text = error.to_string();
            assert!(text.contains(LIBRARY) || text.contains("CUDA device"), "{text}");
        }
    }
}
