#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    assay::read_message("submission_id", data);
});
