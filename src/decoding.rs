//! The results and errors of decoders in the vocabulary of verdicts and failures.

use decoder::Error;
use domain::{FailureCode, ImageFormat, QualityFlag};
use imaging::{DecodeError, Format, Quality};

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

pub fn quality_flags(quality: &[Quality]) -> Vec<QualityFlag> {
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
