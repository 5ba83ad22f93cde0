#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::decode_as(b"\0\0\0\x20ftypavif", data);
});
