#![no_main]

use artefact::manifest::Manifest;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(manifest) = Manifest::of_bytes(data) {
        // What is asked of a manifest before its weights are opened.
        manifest.architecture.artefact(manifest.labels.generators.len());
        manifest.card();
        let written = serde_json::to_vec(&manifest).expect("a manifest is written as JSON");
        assert_eq!(Manifest::of_bytes(&written).as_ref(), Ok(&manifest));
    }
});
