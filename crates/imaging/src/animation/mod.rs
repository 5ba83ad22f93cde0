//! Animations: which frames are judged, and what a viewer shows when it comes to them.
//!
//! Judged are the first frame, the middle one and the last. A frame is drawn over those before it as browsers do, but only within
//! the window that is judged; frames that leave no trace in what is judged are not decoded.
//!
//! The work is bounded: [`MAX_FRAMES`] frames are looked at, and all that is decoded beyond the first frame has no more pixels than
//! the largest image may have. Where that is not enough, the first frame, the middle one and the last of a beginning of the animation
//! are judged, so long as fits. Nothing depends on time: the same bytes give the same frames.

mod canvas;
#[cfg(test)]
mod files;

use canvas::Canvas;

use super::crop::Window;
use super::{DecodeError, Limits, Quality};

/// Frames that are judged of one animation, at most.
pub const MAX_JUDGED: usize = 3;
/// Frames that are looked at of one animation: what comes behind them is counted, and not judged.
pub(super) const MAX_FRAMES: usize = 4096;
/// What decoding a frame costs beside its pixels, in pixels.
const FRAME_COST: u64 = 4096;

/// What becomes of a frame's place before the next frame is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposal {
    Keep,
    /// Nothing is there any more.
    Background,
    /// What was there before the frame is there again.
    Previous,
}

/// What is known of a frame before it is decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// On the canvas; it may reach over it.
    pub place: Window,
    pub disposal: Disposal,
    /// Nothing shows through it, whatever its pixels are.
    pub is_opaque: bool,
    /// It takes the place of what was there, alpha included, in place of being drawn over it.
    pub replaces: bool,
}

/// A file of several frames, or one whose frame is not the picture that a still image has in its place.
pub(super) trait Animation {
    /// Its sides in pixels.
    fn canvas(&self) -> (u32, u32);
    /// What is to be seen where nothing was drawn, once alpha is dropped.
    fn background(&self) -> [u8; 3];
    /// The first ones, at most [`MAX_FRAMES`] and at least one.
    fn frames(&self) -> &[Frame];
    /// How many there are.
    fn count(&self) -> u32;
    /// RGBA of a part of a frame, in the frame's own coordinates.
    fn decode(&self, frame: usize, part: &Window, limits: &Limits) -> Result<Vec<u8>, DecodeError>;
    /// Of its pixels.
    fn quality(&self) -> Vec<Quality>;
    /// Frames are missing or unreadable.
    fn is_damaged(&self) -> bool;
}

/// What a viewer shows of the frames that are judged.
pub(super) struct Shown {
    /// RGB of the window, for each of them; at least one.
    pub windows: Vec<Vec<u8>>,
    /// Which frames they are of; the first is 1.
    pub numbers: Vec<u32>,
    /// A frame could not be decoded.
    pub is_damaged: bool,
}

/// Draws at most `most` frames to judge; an error where none of them can be decoded.
pub(super) fn shown(
    animation: &dyn Animation,
    window: &Window,
    most: usize,
    limits: &Limits,
) -> Result<Shown, DecodeError> {
    let frames = animation.frames();
    let mut canvas = Canvas::new(*window, animation.background());
    let (mut windows, mut numbers, mut trouble) = (Vec::new(), Vec::new(), None);
    for step in plan(frames, window, most, limits.max_pixels) {
        let frame = &frames[step.frame];
        if step.is_first_of_chain {
            canvas.clear(window);
        }
        let before = (frame.disposal == Disposal::Previous).then(|| canvas.rgba.clone());
        if step.is_drawn {
            let drawn = match frame.place.overlap(window) {
                Some(overlap) => draw(animation, step.frame, &overlap, &mut canvas, limits),
                None => Ok(()),
            };
            match drawn {
                Ok(()) if step.is_judged => {
                    windows.push(canvas.rgb());
                    numbers.push(step.frame as u32 + 1);
                }
                Ok(()) => {}
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        match (frame.disposal, before) {
            (Disposal::Previous, Some(before)) => canvas.rgba = before,
            (Disposal::Background, _) => canvas.clear(&frame.place),
            _ => {}
        }
    }
    match trouble {
        Some(error) if windows.is_empty() => Err(error),
        trouble => Ok(Shown { windows, numbers, is_damaged: trouble.is_some() }),
    }
}

fn draw(
    animation: &dyn Animation,
    number: usize,
    overlap: &Window,
    canvas: &mut Canvas,
    limits: &Limits,
) -> Result<(), DecodeError> {
    let frame = &animation.frames()[number];
    let part = Window { left: overlap.left - frame.place.left, top: overlap.top - frame.place.top, ..*overlap };
    let pixels = animation.decode(number, &part, limits)?;
    // What lies below the first frame is nothing: its colours stay what they are where it is transparent, as in a still image.
    canvas.draw(overlap, &pixels, frame.replaces || number == 0);
    Ok(())
}

/// One frame on the way to those that are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    frame: usize,
    /// Nothing that was drawn before it is to be seen from here on.
    is_first_of_chain: bool,
    /// Otherwise only its disposal counts.
    is_drawn: bool,
    is_judged: bool,
}

/// The way to as many frames as `pixels` suffice for. The first frame is always among them.
fn plan(frames: &[Frame], window: &Window, most: usize, pixels: u64) -> Vec<Step> {
    let mut length = frames.len();
    loop {
        let steps = way_to(&chosen(length, most), frames, window);
        let cost = |step: &Step| match step.is_drawn && step.frame > 0 {
            true => (frames[step.frame].place.width * frames[step.frame].place.height) as u64 + FRAME_COST,
            false => 0,
        };
        if length == 1 || steps.iter().map(cost).sum::<u64>() <= pixels {
            return steps;
        }
        length /= 2;
    }
}

/// The first frame, the middle one and the last.
fn chosen(length: usize, most: usize) -> Vec<usize> {
    let mut chosen = vec![0, length / 2, length - 1];
    chosen.dedup();
    chosen.truncate(most);
    chosen
}

fn way_to(chosen: &[usize], frames: &[Frame], window: &Window) -> Vec<Step> {
    let key = |target: usize| (0..=target).rev().find(|&frame| begins_anew(frame, target, frames, window));
    let mut keys: Vec<usize> = chosen.iter().map(|&target| key(target).unwrap_or(0)).collect();
    // What a later one needs from before this one is drawn on the way to this one.
    for n in (1..keys.len()).rev() {
        if keys[n] <= chosen[n - 1] {
            keys[n - 1] = keys[n - 1].min(keys[n]);
        }
    }
    let (mut steps, mut next) = (Vec::new(), 0);
    for (&target, key) in chosen.iter().zip(keys) {
        for (frame, &Frame { disposal, .. }) in frames.iter().enumerate().take(target + 1).skip(key.max(next)) {
            let is_judged = frame == target;
            if is_judged || frame == key || disposal != Disposal::Previous {
                let is_drawn = is_judged || disposal == Disposal::Keep;
                steps.push(Step { frame, is_first_of_chain: frame == key, is_drawn, is_judged });
            }
        }
        next = target + 1;
    }
    steps
}

/// Whether what is to be seen in the window at `target` can be drawn without the frames before `frame`.
fn begins_anew(frame: usize, target: usize, frames: &[Frame], window: &Window) -> bool {
    let covers = |frame: &Frame| frame.place.overlap(window) == Some(*window);
    let Some(before) = frame.checked_sub(1) else { return true };
    let (this, before) = (&frames[frame], &frames[before]);
    let hides_all = covers(this) && (this.replaces || this.is_opaque);
    (hides_all && (frame == target || this.disposal != Disposal::Previous))
        || (before.disposal == Disposal::Background && covers(before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;

    const LIMITS: Limits = Limits { max_pixels: 1_000_000, max_decoded_bytes: 1 << 20 };

    fn place(left: usize, top: usize, width: usize, height: usize) -> Window {
        Window { left, top, width, height }
    }

    /// Frames of one colour each; what has no colour can't be decoded.
    struct Coloured {
        frames: Vec<Frame>,
        colours: Vec<Option<[u8; 4]>>,
    }

    impl Animation for Coloured {
        fn canvas(&self) -> (u32, u32) {
            (8, 4)
        }

        fn background(&self) -> [u8; 3] {
            [9; 3]
        }

        fn frames(&self) -> &[Frame] {
            &self.frames
        }

        fn count(&self) -> u32 {
            self.frames.len() as u32
        }

        fn decode(&self, frame: usize, part: &Window, _: &Limits) -> Result<Vec<u8>, DecodeError> {
            let colour = self.colours[frame].ok_or_else(|| Format::Gif.damaged(format_args!("frame {frame}")))?;
            Ok(colour.repeat(part.width * part.height))
        }

        fn quality(&self) -> Vec<Quality> {
            Vec::new()
        }

        fn is_damaged(&self) -> bool {
            false
        }
    }

    const WHOLE: Window = Window { left: 0, top: 0, width: 8, height: 4 };

    fn animation(frames: &[(Window, Disposal, Option<[u8; 4]>)]) -> Coloured {
        let frame = |&(place, disposal, _): &(Window, Disposal, _)| Frame {
            place,
            disposal,
            is_opaque: false,
            replaces: false,
        };
        Coloured {
            frames: frames.iter().map(frame).collect(),
            colours: frames.iter().map(|&(.., colour)| colour).collect(),
        }
    }

    /// Red of the left and the right half, for each frame that is judged.
    fn halves(animation: &Coloured) -> Vec<(u8, u8)> {
        let shown = shown(animation, &WHOLE, MAX_JUDGED, &LIMITS).unwrap();
        assert_eq!(shown.is_damaged, animation.colours.contains(&None));
        shown.windows.iter().map(|window| (window[0], window[window.len() - 3])).collect()
    }

    const RED: Option<[u8; 4]> = Some([200, 0, 0, 255]);
    const DARK: Option<[u8; 4]> = Some([100, 0, 0, 255]);

    #[test]
    fn frames_are_drawn_over_those_before_as_their_disposal_says() {
        let right = place(4, 0, 4, 4);
        let of = |first, second| {
            animation(&[(WHOLE, Disposal::Keep, RED), (right, first, DARK), (place(0, 0, 4, 4), second, Some([50; 4]))])
        };
        let mixed = ((50 * 50 + 200 * 205 + 127) / 255) as u8;
        assert_eq!(halves(&of(Disposal::Keep, Disposal::Keep)), [(200, 200), (200, 100), (mixed, 100)]);
        assert_eq!(halves(&of(Disposal::Background, Disposal::Keep)), [(200, 200), (200, 100), (mixed, 9)]);
        assert_eq!(halves(&of(Disposal::Previous, Disposal::Keep)), [(200, 200), (200, 100), (mixed, 200)]);
    }

    #[test]
    fn what_can_not_be_decoded_is_left_out_and_an_error_only_if_it_is_all() {
        let right = place(4, 0, 4, 4);
        let of = |colours: [Option<[u8; 4]>; 3]| {
            animation(&colours.map(|colour| (if colour == DARK { right } else { WHOLE }, Disposal::Keep, colour)))
        };
        assert_eq!(halves(&of([RED, None, DARK])), [(200, 200), (200, 100)]);
        assert_eq!(halves(&of([None, DARK, RED])), [(9, 100), (200, 200)]);
        let error = shown(&of([None, None, None]), &WHOLE, MAX_JUDGED, &LIMITS).err().unwrap();
        assert!(error.to_string().contains("frame 0"), "{error}");
    }

    #[test]
    fn the_first_the_middle_and_the_last_are_judged() {
        assert_eq!(chosen(1, 3), [0]);
        assert_eq!(chosen(2, 3), [0, 1]);
        assert_eq!(chosen(3, 3), [0, 1, 2]);
        assert_eq!(chosen(100, 3), [0, 50, 99]);
        assert_eq!(chosen(100, 1), [0]);
    }

    #[test]
    fn frames_that_nothing_is_seen_of_are_not_decoded() {
        let frame = |disposal, replaces| Frame { place: WHOLE, disposal, is_opaque: false, replaces };
        let drawn = |frames: &[Frame]| -> Vec<usize> {
            let steps = plan(frames, &WHOLE, MAX_JUDGED, u64::MAX);
            steps.iter().filter(|step| step.is_drawn).map(|step| step.frame).collect()
        };
        assert_eq!(drawn(&[frame(Disposal::Keep, false); 5]), [0, 1, 2, 3, 4]);
        assert_eq!(drawn(&[frame(Disposal::Keep, true); 50]), [0, 25, 49]);
        assert_eq!(drawn(&[frame(Disposal::Background, false); 50]), [0, 25, 49]);
        assert_eq!(drawn(&[frame(Disposal::Previous, false); 50]), [0, 25, 49]);
    }

    #[test]
    fn a_long_animation_is_judged_by_a_beginning_that_the_limit_allows() {
        let frame = Frame { place: WHOLE, disposal: Disposal::Keep, is_opaque: false, replaces: false };
        let judged = |pixels| -> Vec<usize> {
            let steps = plan(&[frame; 1000], &WHOLE, MAX_JUDGED, pixels);
            steps.iter().filter(|step| step.is_judged).map(|step| step.frame).collect()
        };
        let cost = 32 + FRAME_COST;
        assert_eq!(judged(999 * cost), [0, 500, 999]);
        assert_eq!(judged(998 * cost), [0, 250, 499]);
        assert_eq!(judged(2 * cost), [0, 1, 2]);
        assert_eq!(judged(cost), [0]);
        assert_eq!(judged(0), [0]);
    }

    #[test]
    fn skipping_frames_changes_nothing_that_is_seen() {
        // Every mixture of disposals, places and kinds of frames, against drawing all of them.
        let places = [WHOLE, place(2, 1, 9, 9), place(0, 0, 4, 4), place(20, 0, 3, 3)];
        let mut state = 1_u32;
        for _ in 0..2000 {
            let mut pick = |n: u32| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) % n
            };
            let mut animation = Coloured { frames: Vec::new(), colours: Vec::new() };
            for n in 0..3 + pick(7) {
                let disposal = [Disposal::Keep, Disposal::Background, Disposal::Previous][pick(3) as usize];
                let (is_opaque, replaces) = (pick(2) == 0, pick(3) == 0);
                let alpha = if is_opaque { 255 } else { [0, 128, 255][pick(3) as usize] };
                animation.frames.push(Frame { place: places[pick(4) as usize], disposal, is_opaque, replaces });
                animation.colours.push(Some([20 * n as u8 + 10, 7, 8, alpha]));
            }
            let judged = chosen(animation.frames.len(), MAX_JUDGED);
            let mut canvas = Canvas::new(WHOLE, animation.background());
            let mut want = Vec::new();
            for (number, frame) in animation.frames.iter().enumerate() {
                let before = canvas.rgba.clone();
                if let Some(overlap) = frame.place.overlap(&WHOLE) {
                    draw(&animation, number, &overlap, &mut canvas, &LIMITS).unwrap();
                }
                if judged.contains(&number) {
                    want.push(canvas.rgb());
                }
                match frame.disposal {
                    Disposal::Keep => {}
                    Disposal::Background => canvas.clear(&frame.place),
                    Disposal::Previous => canvas.rgba = before,
                }
            }
            let found = shown(&animation, &WHOLE, MAX_JUDGED, &LIMITS).unwrap();
            assert!(found.windows == want, "{:?}", animation.frames);
        }
    }
}
