#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // A bare code stream, or one in boxes.
    let is_bare = data.first().is_some_and(|byte| *byte == 0xff);
    targets::decode_as(if is_bare { b"\xff\x0a" } else { b"\0\0\0\x0cJXL \r\n\x87\n" }, data);
});
