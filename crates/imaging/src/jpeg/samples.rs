//! JPEGs of many kinds for the tests, which libjpeg-turbo writes.

use std::ffi::c_int;

use proptest::prelude::*;
use turbojpeg_sys as tj;

#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub width: usize,
    pub height: usize,
    pub sampling: tj::TJSAMP,
    /// Stored as CMYK, with the inks as they are or as YCCK.
    pub cmyk: Option<tj::TJCS>,
    pub quality: i32,
    pub progressive: bool,
    pub arithmetic: bool,
    /// With Huffman codes made for this image.
    pub optimised: bool,
    /// MCUs between restart markers; none for 0.
    pub restart: i32,
    /// Predicted instead of transformed: such a JPEG has no regions.
    pub lossless: bool,
}

pub(super) const PLAIN: Kind = Kind {
    width: 640,
    height: 480,
    sampling: tj::TJSAMP_TJSAMP_420,
    cmyk: None,
    quality: 85,
    progressive: false,
    arithmetic: false,
    optimised: false,
    restart: 0,
    lossless: false,
};

/// Noise on slopes: every pixel and every chroma sample differs from its neighbours.
fn pixels(width: usize, height: usize, channels: usize) -> Vec<u8> {
    let mut state = (width * 31 + height) as u32 | 1;
    let mut pixels = Vec::with_capacity(width * height * channels);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..channels {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                pixels.push(((x * (channel + 1) + y * 2) as u32 / 3 + (state >> 26)) as u8);
            }
        }
    }
    pixels
}

pub(super) fn encoded(kind: &Kind) -> Vec<u8> {
    let (format, channels) = if kind.cmyk.is_some() { (tj::TJPF_TJPF_CMYK, 4) } else { (tj::TJPF_TJPF_RGB, 3) };
    let pixels = pixels(kind.width, kind.height, channels);
    let settings = [
        (tj::TJPARAM_TJPARAM_QUALITY, kind.quality),
        (tj::TJPARAM_TJPARAM_SUBSAMP, kind.sampling),
        (tj::TJPARAM_TJPARAM_PROGRESSIVE, kind.progressive.into()),
        (tj::TJPARAM_TJPARAM_ARITHMETIC, kind.arithmetic.into()),
        (tj::TJPARAM_TJPARAM_OPTIMIZE, kind.optimised.into()),
        (tj::TJPARAM_TJPARAM_RESTARTBLOCKS, kind.restart),
        (tj::TJPARAM_TJPARAM_LOSSLESS, kind.lossless.into()),
    ];
    // SAFETY: the handle lives until the end of the block, the pixels are as many as the call is told, and the
    // output, which libjpeg-turbo allocates, is copied before it is freed.
    unsafe {
        let handle = tj::tj3Init(tj::TJINIT_TJINIT_COMPRESS as c_int);
        for (parameter, value) in settings {
            assert_eq!(tj::tj3Set(handle, parameter as c_int, value), 0);
        }
        if let Some(space) = kind.cmyk {
            assert_eq!(tj::tj3Set(handle, tj::TJPARAM_TJPARAM_COLORSPACE as c_int, space as c_int), 0);
        }
        let (mut output, mut size) = (std::ptr::null_mut(), 0);
        let (width, height) = (kind.width as c_int, kind.height as c_int);
        let status =
            tj::tj3Compress8(handle, pixels.as_ptr(), width, 0, height, format as c_int, &mut output, &mut size);
        assert_eq!(status, 0, "{kind:?}: {:?}", std::ffi::CStr::from_ptr(tj::tj3GetErrorStr(handle)));
        let bytes = std::slice::from_raw_parts(output, size as usize).to_vec();
        tj::tj3Free(output.cast());
        tj::tj3Destroy(handle);
        bytes
    }
}

prop_compose! {
    pub(super) fn kinds()(
        // Sides around the crop's own, where regions begin and end in the first and last iMCU, and larger ones.
        width in prop_oneof![1usize..40, 225usize..330, 300usize..800],
        height in prop_oneof![1usize..40, 225usize..330, 300usize..800],
        sampling in prop::sample::select(vec![
            tj::TJSAMP_TJSAMP_444, tj::TJSAMP_TJSAMP_422, tj::TJSAMP_TJSAMP_420, tj::TJSAMP_TJSAMP_440,
            tj::TJSAMP_TJSAMP_411, tj::TJSAMP_TJSAMP_441, tj::TJSAMP_TJSAMP_GRAY,
        ]),
        cmyk in prop_oneof![3 => Just(None), 1 => Just(Some(tj::TJCS_TJCS_CMYK)), 1 => Just(Some(tj::TJCS_TJCS_YCCK))],
        quality in 5..100,
        progressive: bool,
        arithmetic in prop::bool::weighted(0.2),
        optimised: bool,
        restart in prop_oneof![3 => Just(0), 1 => 1..50],
        lossless in prop::bool::weighted(0.3),
    ) -> Kind {
        // Greyscale has no inks, and inks that are stored as they are have no chroma to sample.
        let cmyk = cmyk.filter(|_| sampling != tj::TJSAMP_TJSAMP_GRAY);
        let sampling = if cmyk == Some(tj::TJCS_TJCS_CMYK) { tj::TJSAMP_TJSAMP_444 } else { sampling };
        // Prediction knows Huffman codes alone, and libjpeg-turbo stores what it is given, without subsampling.
        let lossless = lossless && !arithmetic && !progressive && restart == 0 && sampling == tj::TJSAMP_TJSAMP_444;
        let optimised = optimised && !arithmetic;
        Kind { width, height, sampling, cmyk, quality, progressive, arithmetic, optimised, restart, lossless }
    }
}
