//! What is balanced, and what is held out as a whole: the real images of a source, the synthetic ones of a generator.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::LabelledOrigin;

/// Where an image comes from, as far as training has a use for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stratum {
    /// A real image of this source: a data set, a camera, a site.
    Source(Arc<str>),
    /// A synthetic image of this generator.
    Generator(Arc<str>),
    /// A synthetic image of this source, by a generator that nobody has named.
    Unnamed(Arc<str>),
}

impl Stratum {
    /// Of an image about which this was said.
    pub fn of(origin: LabelledOrigin, source: Option<&str>, generator: Option<&str>) -> Stratum {
        let source = source.unwrap_or_default();
        match (origin, generator) {
            (LabelledOrigin::Real, _) => Stratum::Source(source.into()),
            (LabelledOrigin::Synthetic, Some(generator)) => Stratum::Generator(generator.into()),
            (LabelledOrigin::Synthetic, None) => Stratum::Unnamed(source.into()),
        }
    }

    pub fn is_synthetic(&self) -> bool {
        !matches!(self, Stratum::Source(_))
    }

    /// The source or the generator.
    pub fn name(&self) -> &str {
        match self {
            Stratum::Source(name) | Stratum::Generator(name) | Stratum::Unnamed(name) => name,
        }
    }
}

/// Where a stratum stands among these, which are in order and hold it.
pub fn place(strata: &[&Stratum], wanted: &Stratum) -> usize {
    strata.partition_point(|other| *other < wanted)
}

/// The rows of each stratum.
pub fn rows(strata: &[Stratum]) -> BTreeMap<&Stratum, Vec<usize>> {
    let mut rows = BTreeMap::<&Stratum, Vec<usize>>::new();
    strata.iter().enumerate().for_each(|(row, stratum)| rows.entry(stratum).or_default().push(row));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_images_belong_to_sources_and_synthetic_ones_to_generators() {
        let of = |origin, generator| Stratum::of(origin, Some("a"), generator);
        assert_eq!(of(LabelledOrigin::Real, None), Stratum::Source("a".into()));
        assert_eq!(of(LabelledOrigin::Synthetic, Some("flux-1")), Stratum::Generator("flux-1".into()));
        assert_eq!(of(LabelledOrigin::Synthetic, None), Stratum::Unnamed("a".into()));
        assert_eq!(Stratum::of(LabelledOrigin::Real, None, None).name(), "");
    }
}
