//! Tells binaries and tests where libtorch lies at run time, so that nobody sets LD_LIBRARY_PATH.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let Ok(lib) = std::env::var("DEP_ASSAY_ENGINE_LIBTORCH") else {
        panic!("the package `engine` did not say where libtorch lies");
    };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags");
    // Line numbers for backtraces take a third of the space; the standard library reads them compressed too.
    println!("cargo:rustc-link-arg=-Wl,--compress-debug-sections=zlib");
}
