//! Parts of the images that are left out by turns: whole sources and whole generators, or those that show the same thing.

use std::collections::BTreeMap;

use super::stratum::Stratum;
use augment::Rng;

/// Why images can't be dealt into folds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    #[error(
        "there are {parts} parts of sources and generators that can be left out by themselves, too few for {folds} folds; name \
         more sources in the annotations, or fewer folds"
    )]
    TooFew { parts: usize, folds: usize },
    #[error(
        "fold {fold} has no {class} images; name more sources in the annotations, fewer folds, or fix others to it"
    )]
    OneClass { fold: usize, class: &'static str },
    #[error("{name:?} is fixed to fold {fold}, but there are folds 0 to {last}")]
    Beyond { name: String, fold: usize, last: usize },
    #[error(
        "{one:?} and {other:?} hold images that show the same thing, so they are left out together; fix them to the same fold"
    )]
    Torn { one: String, other: String },
}

/// The fold of each row. All rows of a source or a generator are in one fold, and so are those of a group (images that show the
/// same thing): sources and generators that share a group stay together. Folds get as equal shares of the real and of the
/// synthetic images as that allows. `fixed` names the folds of some; `seed` decides between equals.
pub fn by_source(
    strata: &[Stratum],
    groups: &[usize],
    folds: usize,
    fixed: &BTreeMap<Stratum, usize>,
    seed: u64,
) -> Result<Vec<usize>, FoldError> {
    let parts = parts(strata, groups);
    let fixed = fixed_parts(&parts, folds, fixed)?;
    if parts.names.len() < folds {
        return Err(FoldError::TooFew { parts: parts.names.len(), folds });
    }
    let count = |synthetic: bool| strata.iter().filter(|stratum| stratum.is_synthetic() == synthetic).count().max(1);
    let all = [count(false) as f64, count(true) as f64];
    let mut sizes = vec![[0.0; 2]; parts.names.len()];
    for (stratum, &part) in strata.iter().zip(&parts.of_row) {
        let class = usize::from(stratum.is_synthetic());
        sizes[part][class] += 1.0 / all[class];
    }
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    Rng::of(seed, &[b"folds"]).shuffle(&mut order);
    // Those that are fixed first, then the largest, which are the hardest to place.
    let size = |part: usize| sizes[part][0] + sizes[part][1];
    order.sort_by(|&one, &other| {
        let is_free = |part: usize| !fixed.contains_key(&part);
        is_free(one).cmp(&is_free(other)).then(size(other).total_cmp(&size(one)))
    });
    let mut loads = vec![[0.0_f64; 2]; folds];
    let mut fold_of = vec![0; sizes.len()];
    for part in order {
        let after = |fold: usize| -> f64 {
            (0..2).map(|class| (loads[fold][class] + sizes[part][class]).powi(2) - loads[fold][class].powi(2)).sum()
        };
        let least = (0..folds).min_by(|&one, &other| after(one).total_cmp(&after(other))).unwrap_or_default();
        let fold = fixed.get(&part).copied().unwrap_or(least);
        (0..2).for_each(|class| loads[fold][class] += sizes[part][class]);
        fold_of[part] = fold;
    }
    for (fold, load) in loads.iter().enumerate() {
        if let Some(class) = (0..2).find(|&class| load[class] == 0.0) {
            return Err(FoldError::OneClass { fold, class: ["real", "synthetic"][class] });
        }
    }
    Ok(parts.of_row.into_iter().map(|part| fold_of[part]).collect())
}

/// The fold of each row where only images that show the same thing stay together.
pub fn by_group(groups: &[usize], folds: usize) -> Vec<usize> {
    groups.iter().map(|group| group % folds).collect()
}

/// What can only be left out as a whole.
struct Parts<'a> {
    of_row: Vec<usize>,
    /// The sources and generators of each.
    names: Vec<Vec<&'a Stratum>>,
}

fn parts<'a>(strata: &'a [Stratum], groups: &[usize]) -> Parts<'a> {
    let names: Vec<&Stratum> = super::stratum::rows(strata).into_keys().collect();
    let number = |stratum: &Stratum| super::stratum::place(&names, stratum);
    let mut joined: Vec<usize> = (0..names.len()).collect();
    let mut first_of_group = BTreeMap::<usize, usize>::new();
    for (stratum, group) in strata.iter().zip(groups) {
        let own = number(stratum);
        let first = *first_of_group.entry(*group).or_insert(own);
        let (one, other) = (root(&joined, first), root(&joined, own));
        joined[one.max(other)] = one.min(other);
    }
    let mut numbers = BTreeMap::<usize, usize>::new();
    let mut members: Vec<Vec<&Stratum>> = Vec::new();
    let mut part_of = Vec::with_capacity(names.len());
    for (place, name) in names.iter().enumerate() {
        let part = *numbers.entry(root(&joined, place)).or_insert(members.len());
        if part == members.len() {
            members.push(Vec::new());
        }
        members[part].push(name);
        part_of.push(part);
    }
    Parts { of_row: strata.iter().map(|stratum| part_of[number(stratum)]).collect(), names: members }
}

fn root(joined: &[usize], mut place: usize) -> usize {
    while joined[place] != place {
        place = joined[place];
    }
    place
}

/// The folds of those parts of which something is fixed.
fn fixed_parts(
    parts: &Parts<'_>,
    folds: usize,
    fixed: &BTreeMap<Stratum, usize>,
) -> Result<BTreeMap<usize, usize>, FoldError> {
    if let Some((stratum, &fold)) = fixed.iter().find(|(_, fold)| **fold >= folds) {
        return Err(FoldError::Beyond { name: stratum.name().into(), fold, last: folds.saturating_sub(1) });
    }
    let mut found = BTreeMap::new();
    for (part, names) in parts.names.iter().enumerate() {
        let mut said = names.iter().filter_map(|name| Some((*name, *fixed.get(*name)?)));
        let Some((one, fold)) = said.next() else { continue };
        if let Some((other, _)) = said.find(|(_, other)| *other != fold) {
            return Err(FoldError::Torn { one: one.name().into(), other: other.name().into() });
        }
        found.insert(part, fold);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str) -> Stratum {
        Stratum::Source(name.into())
    }

    fn generator(name: &str) -> Stratum {
        Stratum::Generator(name.into())
    }

    /// Eight sources and six generators of different sizes; every image shows something of its own.
    fn images() -> (Vec<Stratum>, Vec<usize>) {
        let sources = [40, 30, 30, 20, 20, 10, 10, 5].into_iter().enumerate();
        let mut strata: Vec<Stratum> = sources.flat_map(|(n, size)| vec![source(&n.to_string()); size]).collect();
        let generators = [60, 50, 40, 20, 10, 5].into_iter().enumerate();
        strata.extend(generators.flat_map(|(n, size)| vec![generator(&n.to_string()); size]));
        let groups = (0..strata.len()).collect();
        (strata, groups)
    }

    fn folds_of(strata: &[Stratum], folds: &[usize], wanted: &Stratum) -> Vec<usize> {
        let mut found: Vec<usize> =
            strata.iter().zip(folds).filter(|(own, _)| *own == wanted).map(|(_, fold)| *fold).collect();
        found.dedup();
        found
    }

    #[test]
    fn whole_sources_and_generators_go_into_folds_of_like_sizes() {
        let (strata, groups) = images();
        let folds = by_source(&strata, &groups, 3, &BTreeMap::new(), 1).unwrap();
        for stratum in &strata {
            assert_eq!(folds_of(&strata, &folds, stratum).len(), 1, "{stratum:?}");
        }
        for (fold, synthetic, all) in (0..3).flat_map(|fold| [(fold, false, 165), (fold, true, 185)]) {
            let own = strata.iter().zip(&folds).filter(|(own, of)| own.is_synthetic() == synthetic && **of == fold);
            let share = own.count() as f64 / f64::from(all);
            assert!((share - 1.0 / 3.0).abs() < 0.08, "{fold} {synthetic} {share}");
        }
        assert_eq!(folds, by_source(&strata, &groups, 3, &BTreeMap::new(), 1).unwrap());
    }

    #[test]
    fn what_shows_the_same_thing_is_left_out_together() {
        let (strata, mut groups) = images();
        // Generator 5 reconstructs images of source 3, and some of these are also in source 6.
        let row = |wanted: &Stratum| strata.iter().position(|own| own == wanted).unwrap();
        groups[row(&generator("5"))] = groups[row(&source("3"))];
        groups[row(&source("6"))] = groups[row(&source("3")) + 1];
        groups[row(&source("3")) + 1] = groups[row(&source("6"))];
        let folds = by_source(&strata, &groups, 3, &BTreeMap::new(), 1).unwrap();
        let own = folds_of(&strata, &folds, &source("3"));
        assert_eq!(own, folds_of(&strata, &folds, &generator("5")));
        assert_eq!(own, folds_of(&strata, &folds, &source("6")));
    }

    #[test]
    fn what_is_fixed_stays_where_it_was_put() {
        let (strata, groups) = images();
        let fixed = BTreeMap::from([(source("0"), 2), (generator("5"), 2), (generator("0"), 1)]);
        let folds = by_source(&strata, &groups, 3, &fixed, 1).unwrap();
        for (stratum, fold) in &fixed {
            assert_eq!(folds_of(&strata, &folds, stratum), [*fold]);
        }
    }

    #[test]
    fn what_cannot_be_dealt_is_refused_by_name() {
        let (strata, mut groups) = images();
        let none = BTreeMap::new();
        let refused = |folds, fixed: &BTreeMap<Stratum, usize>, groups: &[usize]| {
            by_source(&strata, groups, folds, fixed, 1).unwrap_err().to_string()
        };
        assert!(refused(20, &none, &groups).contains("14 parts"));
        assert!(refused(9, &none, &groups).contains("has no"), "{}", refused(9, &none, &groups));
        assert!(refused(3, &BTreeMap::from([(source("1"), 3)]), &groups).contains("\"1\" is fixed to fold 3"));
        groups[0] = groups[40];
        let torn = BTreeMap::from([(source("0"), 0), (source("1"), 1)]);
        assert!(refused(3, &torn, &groups).contains("\"0\" and \"1\""));
    }

    #[test]
    fn groups_alone_are_dealt_by_their_numbers() {
        assert_eq!(by_group(&[0, 1, 5, 1, 6], 5), [0, 1, 0, 1, 1]);
    }
}
