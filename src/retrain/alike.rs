//! Which of the images to learn from show the same thing.

use std::ops::ControlFlow;

use super::ahead::in_order;
use super::gallery::Gallery;
use crate::decoding::StartError;
use crate::picture::{Likeness, likeness};

/// The group of each image, in order: those that show the same thing are in one. `None` for one that can't be decoded.
pub fn groups(gallery: &Gallery<'_>, threads: usize) -> Result<Vec<Option<usize>>, StartError> {
    let all = gallery.items().len() as u64;
    let mut likenesses = Vec::new();
    let mut seen = Vec::new();
    let look = |place: u64| -> Result<Option<Likeness>, StartError> {
        Ok(gallery.picture(place as usize)?.map(|picture| Likeness::of(&picture)))
    };
    let end = in_order(threads, 0..all, look, |_, likeness| match likeness {
        Ok(likeness) => {
            seen.push(likeness.is_some());
            likenesses.extend(likeness);
            ControlFlow::Continue(())
        }
        Err(error) => ControlFlow::Break(error),
    });
    if let ControlFlow::Break(error) = end {
        return Err(error);
    }
    let mut groups = likeness::groups(&likenesses).into_iter();
    Ok(seen.into_iter().map(|seen| if seen { groups.next() } else { None }).collect())
}
