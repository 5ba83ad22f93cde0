#![no_main]

// The fuzzer ends at a panic, also at one that is caught.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    imaging::provenance::of(data);
});
