#![no_main]

use artefact::pickle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(pickle) = pickle::read(data) {
        pickle.value(pickle.root);
        pickle.entries(pickle.root).count();
    }
});
