//! Lets libheif find the function by which `assay-decoder-heif` keeps libde265 from starting threads.

fn main() {
    println!("cargo::rustc-link-arg-bin=assay-decoder-heif=-Wl,--export-dynamic-symbol=de265_start_worker_threads");
    println!("cargo::rerun-if-changed=build.rs");
}
