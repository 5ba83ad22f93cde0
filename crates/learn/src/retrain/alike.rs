//! Which of the images to learn from show the same thing.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::dataset::LabelledImage;
use super::image_cache::CachedImages;
use super::prefetch::in_order;
use crate::augment::likeness;
use decoder::StartError;

/// The group of each image, in order: those that show the same thing are in one. `None` for one that can't be decoded.
pub fn groups(gallery: &CachedImages<'_>, threads: usize) -> Result<Vec<Option<usize>>, StartError> {
    let all = gallery.items().len() as u64;
    let mut likenesses = Vec::new();
    let mut seen = Vec::new();
    let look = |place: u64| gallery.likeness(place as usize);
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

/// Those images that show nothing of what others show. `groups`: of the others first, then of these.
pub fn unlike(items: &[LabelledImage], groups: &[Option<usize>]) -> Vec<LabelledImage> {
    let (others, own) = groups.split_at(groups.len() - items.len());
    let shown: HashSet<usize> = others.iter().flatten().copied().collect();
    let is_unlike = |group: &Option<usize>| group.is_none_or(|group| !shown.contains(&group));
    items.iter().zip(own).filter(|(_, group)| is_unlike(group)).map(|(item, _)| item.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::LabelledOrigin;

    #[test]
    fn what_shows_the_same_as_one_of_the_others_is_left_out() {
        let item = |name: &str| LabelledImage {
            location: name.into(),
            sha256: name.into(),
            origin: LabelledOrigin::Real,
            content_type: None,
            generator: None,
            source: None,
        };
        let items = ["a", "twin", "b", "torn", "b again"].map(item);
        // Two others, of which one can't be decoded.
        let groups = [Some(0), None, Some(1), Some(0), Some(2), None, Some(2)];
        let kept = unlike(&items, &groups);
        assert_eq!(kept.iter().map(|item| item.sha256.as_str()).collect::<Vec<_>>(), ["a", "b", "torn", "b again"]);
    }
}
