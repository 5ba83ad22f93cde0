#![no_main]

libfuzzer_sys::fuzz_target!(
    // Without libheif, only our reader of its files is tried.
    init: {
        let _ = imaging::heic::open();
    },
    |data: &[u8]| {
        targets::decode_as(b"\0\0\0\x1cftypheic", data);
    }
);
