#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    assay::read_message("specversion", data);
});
