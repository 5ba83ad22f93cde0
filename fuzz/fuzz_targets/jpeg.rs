#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    assay::decode_as(b"\xff\xd8\xff", data);
});
