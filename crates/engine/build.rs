//! Compiles what tch does not bind, and tells those that depend on this package where libtorch lies at run time.

use std::path::{Path, PathBuf};

const SHIMS: [&str; 5] = ["src/fused.cpp", "src/norm.cpp", "src/staging.cpp", "src/status.cpp", "src/winograd.cpp"];

/// Set (by `.ci/run`), a warning about our C++ ends the build. Not otherwise: whoever builds with a newer compiler, which
/// warns of more, sees the warnings and gets the program.
const DENY_WARNINGS: &str = "ASSAY_DENY_CPP_WARNINGS";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/status.h");
    println!("cargo:rerun-if-env-changed={DENY_WARNINGS}");
    SHIMS.iter().for_each(|shim| println!("cargo:rerun-if-changed={shim}"));
    let lib = libtorch();
    let include = lib.parent().unwrap_or(Path::new("/")).join("include");
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++20")
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(std::env::var_os(DENY_WARNINGS).is_some())
        // Line numbers for backtraces; more of libtorch's templates would be a third of the binary.
        .debug(false)
        .flag("-g1")
        .files(SHIMS);
    // As headers of the system, about which the compiler doesn't warn; but GCC's guesses about what may be uninitialised
    // come after inlining, when it takes their code for ours.
    build.flag_if_supported("-Wno-maybe-uninitialized");
    for headers in [include.join("torch/csrc/api/include"), include] {
        build.flag("-isystem").flag(headers);
    }
    // libtorch's threads are those of GCC's OpenMP; another compiler brings others, and what we compile then uses one.
    if build.get_compiler().is_like_gnu() {
        build.flag("-fopenmp");
    }
    build.compile("assay_shims");
    // Nobody sets LD_LIBRARY_PATH: whoever links this package repeats these two lines with DEP_ASSAY_ENGINE_LIBTORCH.
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags");
    println!("cargo:libtorch={}", lib.display());
}

/// The folder that torch-sys links against, which it publishes to those that depend on it.
fn libtorch() -> PathBuf {
    let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") else {
        panic!("torch-sys did not say where libtorch lies; run `make toolchain`, which puts it under .local/libtorch");
    };
    std::fs::canonicalize(&lib).unwrap_or_else(|error| panic!("{lib}: {error}; run `make toolchain`"))
}
