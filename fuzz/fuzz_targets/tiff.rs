#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // Either order of bytes, by the first bit.
    let magic: &[u8] = if data.first().is_some_and(|byte| byte & 1 == 0) { b"II\x2a\0" } else { b"MM\0\x2a" };
    targets::decode_as(magic, data);
});
