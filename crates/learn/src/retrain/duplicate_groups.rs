//! Which of the labelled images show the same thing.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::dataset::LabelledImage;
use super::image_cache::CachedImages;
use super::prefetch::in_order;
use augment::likeness;
use decoder::StartError;

/// The group of each image, in order: those that show the same thing are in one. `None` for one that can't be decoded.
pub fn groups(gallery: &CachedImages<'_>, threads: usize) -> Result<Vec<Option<usize>>, StartError> {
    let all = gallery.items().len() as u64;
    let mut likenesses = Vec::new();
    let mut is_decoded = Vec::new();
    let look = |place: u64| gallery.likeness(place as usize);
    let end = in_order(threads, 0..all, look, |_, likeness| match likeness {
        Ok(likeness) => {
            is_decoded.push(likeness.is_some());
            likenesses.extend(likeness);
            ControlFlow::Continue(())
        }
        Err(error) => ControlFlow::Break(error),
    });
    if let ControlFlow::Break(error) = end {
        return Err(error);
    }
    let mut groups = likeness::groups(&likenesses).into_iter();
    Ok(is_decoded.into_iter().map(|decoded| if decoded { groups.next() } else { None }).collect())
}

/// Those images that show nothing of what the other images show. `groups`: of the others first, then of these.
pub fn without_duplicates_of_others(items: &[LabelledImage], groups: &[Option<usize>]) -> Vec<LabelledImage> {
    let (others, own) = groups.split_at(groups.len() - items.len());
    let of_others: HashSet<usize> = others.iter().flatten().copied().collect();
    let is_new = |group: &Option<usize>| group.is_none_or(|group| !of_others.contains(&group));
    items.iter().zip(own).filter(|(_, group)| is_new(group)).map(|(item, _)| item.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::LabelledOrigin;

    #[test]
    fn an_image_that_shows_what_another_shows_is_left_out() {
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
        let kept = without_duplicates_of_others(&items, &groups);
        assert_eq!(kept.iter().map(|item| item.sha256.as_str()).collect::<Vec<_>>(), ["a", "b", "torn", "b again"]);
    }
}
