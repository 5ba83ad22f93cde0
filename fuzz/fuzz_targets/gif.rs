#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::decode_as(b"GIF8", data);
});
