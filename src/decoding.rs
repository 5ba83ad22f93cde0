//! The results and errors of decoders in the vocabulary of verdicts and failures.

use decoder::Error;
use domain::{
    C2pa, Claim, FailureCode, Frames, Hint, HintKind, ImageFormat, JudgedImage, Observed, Provenance, QualityFlag,
};
use imaging::{Crop, DecodeError, Decoded, Format, Quality};

/// The code of the failure that ends a submission whose image could not be decoded.
pub fn failure_code(error: &Error) -> FailureCode {
    match error {
        Error::Refused(DecodeError::UnsupportedFormat { .. } | DecodeError::UnsupportedKind { .. }) => {
            FailureCode::UnsupportedFormat
        }
        Error::Refused(DecodeError::TooManyPixels { .. } | DecodeError::TooManyDecodedBytes { .. })
        | Error::OutOfMemory { .. } => FailureCode::TooLarge,
        Error::Refused(DecodeError::Empty | DecodeError::Damaged { .. })
        | Error::TooSlow { .. }
        | Error::Died { .. } => FailureCode::DecodeFailed,
        Error::NotStarted(_) => FailureCode::DecoderUnavailable,
    }
}

pub fn image_format(format: Format) -> ImageFormat {
    match format {
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Png => ImageFormat::Png,
        Format::Webp => ImageFormat::Webp,
        Format::Gif => ImageFormat::Gif,
        Format::Bmp => ImageFormat::Bmp,
        Format::Tiff => ImageFormat::Tiff,
        Format::Avif => ImageFormat::Avif,
        Format::Jxl => ImageFormat::Jxl,
        Format::Heic => ImageFormat::Heic,
    }
}

/// What is said of an image beside its scores, and what is scored: one crop, or those of several frames.
pub fn observed(image: JudgedImage, decoded: Decoded) -> (Observed, Vec<Crop>) {
    let Decoded { crop, mut later, frames, quality, provenance, .. } = decoded;
    later.insert(0, crop);
    let frames = frames.map(|of| Frames { judged: later.len() as u32, of });
    let (quality, provenance) = (quality_flags(&quality), provenance_of(&provenance));
    (Observed { image, quality, frames, provenance }, later)
}

fn provenance_of(found: &imaging::Provenance) -> Provenance {
    use imaging::provenance::{Claim as Claimed, HintKind as Kind};
    let hint = |hint: &imaging::provenance::Hint| Hint {
        kind: match hint.kind {
            Kind::DigitalSourceType => HintKind::DigitalSourceType,
            Kind::GeneratorSettings => HintKind::GeneratorSettings,
            Kind::Software => HintKind::Software,
            Kind::CameraMake => HintKind::CameraMake,
        },
        name: hint.name.map(|name| name.as_str().to_string()),
    };
    let claims = |claim| found.hints.iter().any(|hint| hint.claim() == Some(claim));
    let class = if claims(Claimed::Synthetic) {
        Claim::ClaimedSynthetic
    } else if claims(Claimed::Edit) {
        Claim::ClaimedEdit
    } else if claims(Claimed::Capture) {
        Claim::ClaimedCapture
    } else {
        Claim::None
    };
    let c2pa = found.has_c2pa.then_some(C2pa::Present);
    Provenance { class, hints: found.hints.iter().map(hint).collect(), c2pa }
}

fn quality_flags(quality: &[Quality]) -> Vec<QualityFlag> {
    let flag = |quality: &Quality| match quality {
        Quality::LowResolution => QualityFlag::LowResolution,
        Quality::Animated => QualityFlag::Animated,
        Quality::Transparent => QualityFlag::Transparent,
        Quality::Greyscale => QualityFlag::Greyscale,
        Quality::Damaged => QualityFlag::Damaged,
        Quality::UnfamiliarCodec => QualityFlag::UnfamiliarCodec,
    };
    quality.iter().map(flag).collect()
}
