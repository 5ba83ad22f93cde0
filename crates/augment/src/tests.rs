//! Pixels against those of other libraries, and the same bytes for the same seed.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::perturbation::{Compression, Social};
use super::{
    Augmentation, Axis, Chroma, Colour, Degradation, Flip, History, Mask, Perturbation, Picture, Qualities, Rng, Scale,
    Shuffle,
};
use crate::{Codecs, Filters, Geometry, Resize};
use imaging::CROP_SIDE;

/// Slopes with a ripple: every pixel differs from its neighbours, and no transformation leaves it as it is.
fn sample(width: usize, height: usize) -> Picture {
    let level = |n: usize| {
        let (x, y, channel) = (n / 3 % width, n / 3 / width, n % 3);
        ((x * 2 + y) / 4 + (x * y) % 31 + channel * 40) as u8
    };
    Picture::new(width, height, (0..width * height * 3).map(level).collect()).unwrap()
}

fn digest(picture: &Picture) -> String {
    hex::encode(&Sha256::digest(picture.rgb())[..8])
}

/// All that a recipe can ask for.
fn everything() -> Augmentation {
    Augmentation {
        sides: vec![96, 128],
        history: Some(History::default()),
        scale: Some(Scale::default()),
        social: 0.6,
        degradations: vec![Degradation::Blur, Degradation::Noise, Degradation::Median, Degradation::Sharpen],
        colour: Some(Colour::default()),
        shuffle: Some(Shuffle::default()),
        mask: Some(Mask::default()),
        ..Augmentation::default()
    }
}

/// Red of the pixels of a row.
fn reds(picture: &Picture, y: usize, columns: std::ops::Range<usize>) -> Vec<u8> {
    columns.map(|x| picture.rgb()[(y * picture.width() + x) * 3]).collect()
}

#[test]
fn the_middle_is_the_crop_that_the_detector_sees() {
    for (width, height) in [(300, 270), (1, 1), (256, 256), (20, 900), (255, 257), (3, 2)] {
        let picture = sample(width, height);
        assert!(picture.centre(CROP_SIDE).rgb() == picture.to_crop().pixels(), "{width}×{height}");
    }
}

#[test]
fn a_picture_that_is_too_small_is_filled_up_by_reflection() {
    let row = Picture::new(3, 1, [10, 20, 30].iter().flat_map(|&n| [n; 3]).collect()).unwrap();
    assert_eq!(reds(&row.centre(8), 0, 0..8), [30, 20, 10, 20, 30, 20, 10, 20]);
}

#[test]
fn turning_and_mirroring_move_pixels_as_they_say() {
    let picture = Picture::new(2, 3, (0..6).flat_map(|n| [n; 3]).collect()).unwrap();
    let all = |picture: &Picture| picture.rgb().iter().step_by(3).copied().collect::<Vec<_>>();
    // numpy.rot90 of [[0, 1], [2, 3], [4, 5]].
    assert_eq!(all(&picture.turned(1)), [1, 3, 5, 0, 2, 4]);
    assert_eq!(all(&picture.turned(3)), [4, 2, 0, 5, 3, 1]);
    assert_eq!((picture.turned(1).width(), picture.turned(1).height()), (3, 2));
    assert_eq!(all(&picture.turned(2)), [5, 4, 3, 2, 1, 0]);
    assert_eq!(all(&picture.flipped(Flip::Horizontal)), [1, 0, 3, 2, 5, 4]);
    assert_eq!(all(&picture.flipped(Flip::Vertical)), [4, 5, 2, 3, 0, 1]);
    assert!(picture.turned(1).turned(3) == picture && picture.turned(4) == picture);
}

#[test]
fn squares_come_from_everywhere() {
    let picture = Picture::new(4, 1, (0..4).flat_map(|n| [n; 3]).collect()).unwrap();
    let mut rng = Rng::new(0);
    let mut seen = [false; 4];
    (0..100).for_each(|_| seen[usize::from(picture.random_square(1, &mut rng).rgb()[0])] = true);
    assert_eq!(seen, [true; 4]);
}

#[test]
fn resizing_and_blurring_give_what_opencv_gives() {
    let picture = sample(300, 280);
    // cv2.resize(…, interpolation=cv2.INTER_LANCZOS4); OpenCV's weights have 11 bits, so a level more or less is no fault.
    for ((width, height), (y, x), wanted) in [
        ((256, 200), (100, 100), [106, 117, 120, 110, 128, 106, 103, 104, 110, 100, 117, 103, 117, 114, 111, 120]),
        ((417, 333), (150, 200), [112, 113, 114, 116, 118, 120, 122, 124, 125, 127, 129, 131, 131, 136, 139, 122]),
        ((80, 75), (40, 30), [102, 125, 109, 128, 113, 134, 114, 134, 131, 124, 129, 118, 131, 143, 127, 129]),
    ] {
        let found = reds(&picture.resized(width, height), y, x..x + 16);
        let near = found.iter().zip(wanted).all(|(found, wanted)| found.abs_diff(wanted) <= 1);
        assert!(near, "{width}×{height}: {found:?} instead of {wanted:?}");
    }
    // cv2.GaussianBlur(…, (n, n), 0), all of it.
    let blurred = [3, 5, 7].map(|kernel| digest(&picture.blurred(kernel)));
    assert_eq!(blurred, ["cf134d1593d0c0a1", "eabc21f8817d207d", "fa69cba9e1a94e1d"]);
}

#[test]
fn noise_has_the_variance_that_was_asked_for() {
    let grey = Picture::new(200, 200, vec![128; 120_000]).unwrap();
    let noisy = grey.noisy(9.0, &mut Rng::new(3));
    let squares: f64 = noisy.rgb().iter().map(|&level| (f64::from(level) - 128.0).powi(2)).sum();
    // Rounding adds a twelfth.
    assert!((squares / 120_000.0 - 9.08).abs() < 0.2, "{}", squares / 120_000.0);
    assert_eq!(grey.noisy(0.0, &mut Rng::new(3)), grey);
}

#[test]
fn compression_costs_more_the_lower_the_quality() {
    let picture = sample(256, 256);
    let error = |other: &Picture| -> u64 {
        picture.rgb().iter().zip(other.rgb()).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum()
    };
    for through in [Picture::through_jpeg, Picture::through_webp] {
        let errors = [100, 80, 40].map(|quality| error(&through(&picture, quality)));
        assert!(0 < errors[0] && errors[0] < errors[1] && errors[1] < errors[2], "{errors:?}");
    }
}

#[test]
fn social_conditions_are_those_of_the_paper() {
    let mut rng = Rng::new(5);
    for (short_side, longest) in [(90, 256), (256, 256), (500, 500), (1000, 1000), (1024, 1000)] {
        let drawn: Vec<Social> = (0..4000).map(|_| Social::drawn(short_side, &mut rng)).collect();
        let sides = || drawn.iter().map(|social| social.side);
        let spread = longest - 256;
        assert!(sides().min().unwrap() - 256 <= spread / 100 && longest - sides().max().unwrap() <= spread / 100);
        let qualities = |jpeg: bool| {
            let quality = move |social: &Social| match social.compression {
                Some(Compression::Jpeg(quality)) if jpeg => Some(quality),
                Some(Compression::Webp(quality)) if !jpeg => Some(quality),
                _ => None,
            };
            drawn.iter().filter_map(quality)
        };
        for jpeg in [true, false] {
            let share = qualities(jpeg).count() as f64 / drawn.len() as f64;
            assert!((share - 0.375).abs() < 0.04, "{share}");
            assert_eq!((qualities(jpeg).min(), qualities(jpeg).max()), (Some(60), Some(100)));
        }
    }
}

#[test]
fn every_perturbation_gives_a_crop_and_the_mildest_give_the_plain_one() {
    for (width, height) in [(700, 520), (40, 300)] {
        let picture = sample(width, height);
        for axis in Axis::ALL {
            let points = axis.points();
            assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0), "{axis:?}");
            for (place, point) in points {
                let crop = point.apply(&picture, &mut Rng::new(1));
                let mild = matches!(
                    point,
                    Perturbation::Resize { twelfths: 12 }
                        | Perturbation::Blur { kernel: 1 }
                        | Perturbation::Noise { variance: 0 }
                        | Perturbation::Crop { side: 256 }
                );
                assert_eq!(crop == picture.to_crop(), mild, "{} at {place}", point.name());
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    let picture = sample(640, 480);
    let social = |seed| Picture::from(Perturbation::Social.apply(&picture, &mut Rng::new(seed)));
    let training = |seed| Augmentation::default().apply(&picture, 96, Qualities::UNKNOWN, &mut Rng::new(seed));
    let everything_of = |seed| everything().apply(&picture, 96, Qualities::UNKNOWN, &mut Rng::new(seed));
    for seed in 0..8 {
        assert_eq!(digest(&social(seed)), digest(&social(seed)));
        assert_eq!(digest(&training(seed)), digest(&training(seed)));
        assert_eq!((training(seed).width(), training(seed).height()), (96, 96));
        assert_eq!(digest(&everything_of(seed)), digest(&everything_of(seed)));
    }
    let different: std::collections::BTreeSet<_> = (0..8).map(|seed| digest(&social(seed))).collect();
    assert_eq!(different.len(), 8);
}

#[test]
fn the_bytes_are_those_of_every_machine() {
    let picture = sample(300, 280);
    let mut rng = Rng::new(7);
    let all = |seeds: std::ops::Range<u64>, make: &dyn Fn(&mut Rng) -> Picture| {
        let mut digest = Sha256::new();
        seeds.for_each(|seed| digest.update(make(&mut Rng::new(seed)).rgb()));
        hex::encode(&digest.finalize()[..8])
    };
    let training = Augmentation { social: 0.5, ..Augmentation::default() };
    let found = [
        ("jpeg 85", digest(&picture.through_jpeg(85))),
        ("webp 75", digest(&picture.through_webp(75))),
        ("resized", digest(&picture.resized(256, 200))),
        ("enlarged", digest(&picture.resized(417, 333))),
        ("blurred", digest(&picture.blurred(7))),
        ("noisy", digest(&picture.noisy(5.5, &mut rng))),
        ("social", all(0..16, &|rng| Perturbation::Social.apply(&sample(640, 480), rng).into())),
        ("training", all(0..64, &|rng| training.apply(&picture, 96, Qualities::UNKNOWN, rng))),
    ];
    // The first two and `blurred` are also what OpenCV 4 makes of the picture.
    let wanted = [
        ("jpeg 85", "8136130532de23dd"),
        ("webp 75", "50fa529ca0fdf0a9"),
        ("resized", "d881166493fe557d"),
        ("enlarged", "827d6c297b5313b3"),
        ("blurred", "fa69cba9e1a94e1d"),
        ("noisy", "eb92e7cd8fb78557"),
        ("social", "b45c81e95262ca8f"),
        ("training", "c3bbd764eb20eb10"),
    ];
    assert_eq!(
        found.map(|(name, digest)| format!("{name}: {digest}")),
        wanted.map(|(name, digest)| format!("{name}: {digest}"))
    );
}

#[test]
fn a_history_of_avif_is_what_libheif_leaves_of_the_picture() {
    let picture = sample(320, 200);
    let history =
        History { share: 1.0, webp: 0.0, avif: 1.0, avif_quality: [60, 60], twice: 0.0, ..History::default() };
    let all = |rng: &mut Rng| history.apply(Cow::Borrowed(&picture), Qualities::UNKNOWN, rng).into_owned();
    let seen = all(&mut Rng::new(1));
    assert_eq!(seen, picture.through_avif(60));
    assert_ne!(seen, picture);
    let good = Augmentation { history: Some(history), ..Augmentation::default() };
    good.validate().unwrap();
}

#[test]
fn parameters_that_make_no_sense_are_refused() {
    let good = Augmentation::default();
    good.validate().unwrap();
    for (bad, name) in [
        (Augmentation { flip: 1.5, ..good.clone() }, "flip"),
        (Augmentation { social: f64::NAN, ..good.clone() }, "social"),
        (Augmentation { sides: vec![96, 0], ..good.clone() }, "sides"),
        (Augmentation { degradations: Vec::new(), ..good.clone() }, "degradations"),
        (Augmentation { history: Some(History { twice: 2.0, ..History::default() }), ..good.clone() }, "history.twice"),
        (Augmentation { history: Some(History { avif: 0.9, ..History::default() }), ..good.clone() }, "history.webp"),
        (
            Augmentation { history: Some(History { avif_quality: [9, 8], ..History::default() }), ..good.clone() },
            "history.avif_quality",
        ),
        (
            Augmentation { history: Some(History { quality: [0, 9], ..History::default() }), ..good.clone() },
            "history.quality",
        ),
        (
            Augmentation { scale: Some(Scale { factor: [0.0, 1.0], ..Scale::default() }), ..good.clone() },
            "scale.factor",
        ),
        (
            Augmentation { scale: Some(Scale { kernels: Vec::new(), ..Scale::default() }), ..good.clone() },
            "scale.kernels",
        ),
        (Augmentation { colour: Some(Colour { range: -0.1, ..Colour::default() }), ..good.clone() }, "colour.range"),
        (
            Augmentation { shuffle: Some(Shuffle { blocks: vec![2], ..Shuffle::default() }), ..good.clone() },
            "shuffle.blocks",
        ),
        (Augmentation { mask: Some(Mask { tile: 0, ..Mask::default() }), ..good.clone() }, "mask.tile"),
        (Augmentation { quality: [90, 50], ..good.clone() }, "quality"),
        (Augmentation { blur: [3, 8], ..good.clone() }, "blur"),
        (Augmentation { noise_variance: [-1.0, 2.0], ..good.clone() }, "noise_variance"),
    ] {
        assert!(bad.validate().unwrap_err().contains(name), "{name}");
    }
}

#[test]
fn the_median_and_sharpening_give_what_pillow_gives() {
    let ramp =
        Picture::new(3, 3, [10, 20, 30, 40, 200, 60, 70, 80, 90].iter().flat_map(|&n| [n; 3]).collect()).unwrap();
    assert_eq!(ramp.median().rgb()[4 * 3], 60);
    // (32 · 200 − 2 · 400) / 16 lies above 255; with 60 in the middle it is (1920 − 800) / 16.
    assert_eq!(ramp.sharpened().rgb()[4 * 3], 255);
    let flat = Picture::new(3, 3, [10, 20, 30, 40, 60, 60, 70, 80, 90].iter().flat_map(|&n| [n; 3]).collect()).unwrap();
    assert_eq!(flat.sharpened().rgb()[4 * 3], 70);
}

#[test]
fn full_chroma_keeps_more_colour_than_a_quarter_of_it() {
    // Columns of red and blue by turns.
    let rgb = (0..64 * 64).flat_map(|n| if n % 2 == 0 { [200, 30, 30] } else { [30, 30, 200] }).collect();
    let picture = Picture::new(64, 64, rgb).unwrap();
    let error = |chroma| {
        let through = picture.through_jpeg_with(95, chroma);
        picture.rgb().iter().zip(through.rgb()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>()
    };
    assert!(2 * error(Chroma::Full) < error(Chroma::Quarter));
    assert!(picture.through_jpeg_with(95, Chroma::Quarter) == picture.through_jpeg(95));
}

#[test]
fn a_second_compression_comes_after_a_cut_of_one_to_seven_pixels() {
    let picture = sample(100, 80);
    let twice = History { share: 1.0, twice: 1.0, ..History::default() };
    let apply = |history: &History, picture: &Picture, seed| {
        history.apply(Cow::Borrowed(picture), Qualities::UNKNOWN, &mut Rng::new(seed)).into_owned()
    };
    for seed in 0..40 {
        let seen = apply(&twice, &picture, seed);
        assert!((93..=99).contains(&seen.width()) && (73..=79).contains(&seen.height()), "{seen:?}");
        let once = apply(&History { twice: 0.0, ..twice.clone() }, &picture, seed);
        assert_eq!((once.width(), once.height()), (100, 80));
    }
    // Too small to cut.
    let small = apply(&twice, &sample(9, 9), 1);
    assert_eq!((small.width(), small.height()), (9, 9));
}

#[test]
fn a_file_of_higher_quality_is_compressed_as_one_of_the_other_class_is() {
    let picture = sample(64, 64);
    let matching = History { matched: 1.0, share: 0.0, full_chroma: 0.0, ..History::default() };
    let seen =
        |own, others| matching.apply(Cow::Borrowed(&picture), Qualities { own, others }, &mut Rng::new(1)).into_owned();
    for own in [None, Some(95), Some(64)] {
        assert!(seen(own, Some(60)) == picture.through_jpeg(60), "{own:?}");
    }
    for (own, others) in [(Some(50), Some(60)), (Some(62), Some(60)), (None, None), (Some(90), None)] {
        assert!(seen(own, others) == picture, "{own:?} {others:?}");
    }
}

#[test]
fn scaling_leaves_a_crop_s_worth_of_pixels() {
    let scale = Scale { factor: [0.2, 3.5], ..Scale::default() };
    for seed in 0..60 {
        let seen = scale.apply(&sample(300, 200), 128, &mut Rng::new(seed));
        assert!(seen.width() >= 192 && seen.height() >= 128, "{seen:?}");
        let ratio = seen.width() as f64 / seen.height() as f64;
        assert!((ratio - 1.5).abs() < 0.02, "{seen:?}");
        // What was smaller before does not shrink.
        let seen = scale.apply(&sample(60, 50), 128, &mut Rng::new(seed));
        assert!(seen.width() >= 60 && seen.height() >= 50, "{seen:?}");
    }
}

#[test]
fn every_step_has_one_of_the_sides() {
    let sides: Vec<usize> = (0..200).map(|step| everything().side_of_step(1, step)).collect();
    let small = sides.iter().filter(|&&side| side == 96).count();
    assert!((70..130).contains(&small) && sides.iter().all(|side| [96, 128].contains(side)), "{small}");
    for side in [96, 128] {
        let seen = everything().apply(&sample(300, 200), side, Qualities::UNKNOWN, &mut Rng::new(3));
        assert_eq!((seen.width(), seen.height()), (side, side));
    }
}
