//! Where binaries and tests find libtorch at run time, so that nobody sets LD_LIBRARY_PATH.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=migrations");
    // torch-sys links libtorch and publishes where it lies.
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") else {
        panic!("torch-sys did not say where libtorch lies; run `make toolchain`, which puts it under .local/libtorch");
    };
    let lib = std::fs::canonicalize(&lib).unwrap_or_else(|error| panic!("{lib}: {error}; run `make toolchain`"));
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags");
}
