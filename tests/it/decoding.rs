//! Decoders in processes of their own: what they answer, what they may do, and what is lost when one dies.

use std::sync::Arc;
use std::time::Duration;

use decoder::{Error, Pool};
use domain::FailureCode;
use engine::Scripted;
use imaging::{DecodeError, Limits};

use crate::support::children::Child;
use crate::support::hostile;
use crate::support::images::{self, Inks};
use crate::support::rig::{BUCKET, Rig, decoders, failed, plan};

fn pool(settings: decoder::Settings) -> (Arc<Pool>, Child) {
    let pool = Arc::new(Pool::open(settings).unwrap());
    let child = Child::with_id(pool.idle_decoders()[0].id);
    (pool, child)
}

/// Decodes on a thread of its own.
fn decode(pool: &Arc<Pool>, bytes: Vec<u8>) -> std::thread::JoinHandle<Result<imaging::Decoded, Error>> {
    let pool = pool.clone();
    std::thread::spawn(move || pool.decode(&bytes))
}

#[test]
fn a_decoder_answers_what_decoding_in_the_process_gives() {
    let settings = decoders();
    let (pool, _) = pool(settings.clone());
    imaging::heic::open().unwrap();
    let mut files = images::one_of_each();
    files.extend([
        ("empty", vec![]),
        ("text", b"no image at all".to_vec()),
        ("cut off", images::jpeg(300, 300, Inks::Rgb)[..2000].to_vec()),
        ("claims too much", hostile::bmp_that_claims_too_many_pixels()),
    ]);
    for (name, bytes) in files {
        match (pool.decode(&bytes), imaging::decode(&bytes, &settings.limits)) {
            (Ok(there), Ok(here)) => assert!(there == here, "{name}"),
            (Err(Error::Refused(there)), Err(here)) => assert_eq!(there, here, "{name}"),
            (there, here) => panic!("{name}: {there:?} there, {here:?} here"),
        }
        match (pool.window(&bytes, 200), imaging::window(&bytes, 200, &settings.limits)) {
            (Ok(there), Ok(here)) => assert!(there == here, "a window of {name}"),
            (Err(Error::Refused(there)), Err(here)) => assert_eq!(there, here, "a window of {name}"),
            (there, here) => panic!("a window of {name}: {there:?} there, {here:?} here"),
        }
    }
    assert_eq!(pool.idle_decoders().len(), 2, "one decoder did it all, and one the HEIC");
}

#[test]
fn a_decoder_is_refused_everything_but_decoding() {
    let (pool, _) = pool(decoders());
    let (protections, attempts) = pool.probe().unwrap();
    assert!(protections.seccomp, "{protections:?}");
    assert!(attempts.len() > 8);
    for attempt in &attempts {
        assert!(attempt.refused, "{attempt:?}");
    }
    // It decodes as before.
    pool.decode(&imaging::sample()).unwrap();
}

#[test]
fn a_decoder_has_no_descriptor_but_its_socket_and_no_environment() {
    let (_pool, child) = pool(decoders());
    let open: Vec<_> = std::fs::read_dir(child.path("fd")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(open, ["0"]);
    assert_eq!(std::fs::read(child.path("environ")).unwrap(), b"");
    let maps = std::fs::read_to_string(child.path("maps")).unwrap();
    assert!(!maps.contains("torch"), "it is linked to libtorch");
}

#[test]
fn a_decoder_killed_in_the_middle_of_an_image_fails_that_image_alone() {
    let (pool, child) = pool(decoders());
    let slow = decode(&pool, hostile::slow_jpeg());
    child.wait_until_busy();
    child.kill();
    let error = slow.join().unwrap().unwrap_err();
    assert!(matches!(&error, Error::Died { how } if how == "was killed by signal 9 (SIGKILL)"), "{error}");
    assert_eq!((assay::decoding::failure_code(&error), error.is_transient()), (FailureCode::DecodeFailed, false));
    pool.decode(&imaging::sample()).unwrap();
}

#[test]
fn an_idle_decoder_that_is_killed_costs_no_image() {
    let (pool, child) = pool(decoders());
    child.kill();
    pool.decode(&imaging::sample()).unwrap();
}

#[test]
fn a_decoder_killed_before_it_has_read_an_image_costs_none_either() {
    let (pool, child) = pool(decoders());
    child.stop();
    // More than a socket holds, so it can't be all sent.
    let image = decode(&pool, images::bmp(1200, 7));
    child.kill();
    image.join().unwrap().unwrap();

    let child = Child::with_id(pool.idle_decoders()[0].id);
    child.stop();
    let image = decode(&pool, imaging::sample());
    child.kill();
    image.join().unwrap().unwrap();
}

#[test]
fn an_image_that_takes_too_long_is_given_up_and_the_next_one_is_decoded() {
    let (pool, child) = pool(decoder::Settings { timeout: Duration::from_millis(200), ..decoders() });
    child.stop();
    let error = pool.decode(&imaging::sample()).unwrap_err();
    assert!(matches!(error, Error::TooSlow { .. }), "{error}");
    assert!(error.to_string().contains("0.2 s of imaging.timeout_s"), "{error}");
    assert_eq!((assay::decoding::failure_code(&error), error.is_transient()), (FailureCode::DecodeFailed, false));
    pool.decode(&imaging::sample()).unwrap();
}

#[test]
fn memory_is_limited_in_rust_and_in_c() {
    let limits = Limits { max_pixels: 120_000_000, max_decoded_bytes: 512 << 20 };
    let (pool, _) = pool(decoder::Settings { limits, memory: 96 << 20, ..decoders() });
    // 300 MB in Rust's allocator, which the limits would let pass.
    let error = pool.decode(&hostile::wide_bmp()).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    assert_eq!((assay::decoding::failure_code(&error), error.is_transient()), (FailureCode::TooLarge, false));
    // 600 MB in libwebp's, which no header announces.
    let error = pool.decode(&hostile::webp_of_many_codes()).unwrap_err();
    assert!(matches!(error, Error::Refused(DecodeError::TooManyDecodedBytes { .. })), "{error}");
    assert_eq!(assay::decoding::failure_code(&error), FailureCode::TooLarge);
    pool.decode(&imaging::sample()).unwrap();
}

#[test]
fn a_decoder_that_is_not_there_is_named_and_is_no_fault_of_the_image() {
    let settings = decoder::Settings { program: "/nowhere/assay-decoder".into(), ..decoders() };
    let error = Pool::open(settings).err().unwrap();
    assert!(error.to_string().contains("/nowhere/assay-decoder"), "{error}");
    assert!(error.to_string().contains("make build"), "it says how to fix it: {error}");
    let error = Error::from(error);
    assert!(error.is_transient());
    assert_eq!(assay::decoding::failure_code(&error), FailureCode::DecoderUnavailable);

    // Another program in its place.
    let error = Pool::open(decoder::Settings { program: "/bin/false".into(), ..decoders() }).err().unwrap();
    assert!(error.to_string().contains("ended with code 1"), "{error}");
}

#[test]
fn decoders_end_with_their_pool() {
    let (pool, child) = pool(decoders());
    drop(pool);
    assert!(child.is_gone());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_image_in_a_full_batch_fails_alone() {
    const INNOCENT: usize = 63;
    let settings = decoder::Settings { memory: 96 << 20, ..decoders() };
    let rig = Rig::start_with(Scripted::new(), plan(), settings);
    rig.objects.put(BUCKET, "good", images::bmp(64, 40));
    // It ends the process that decodes it.
    rig.objects.put(BUCKET, "poison", hostile::wide_bmp());
    for number in 0..INNOCENT {
        rig.submit(&format!("s-{number}"), "good");
        if number == INNOCENT / 2 {
            rig.submit("poison", "poison");
        }
    }
    rig.idle().await;
    assert_eq!(rig.broker.counts().later, 0, "nothing is tried again");
    let outcomes = rig.end().await;
    assert_eq!(outcomes.len(), INNOCENT + 1);
    for (id, outcome) in outcomes {
        assert_eq!(failed(&outcome), (id == "poison").then_some(FailureCode::TooLarge), "{id}");
    }
}
