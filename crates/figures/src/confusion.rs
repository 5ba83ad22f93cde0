//! Which generator: figures of the names that a detector gives.

use serde::Serialize;

/// What an image's generator was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Naming {
    pub image: usize,
    /// Places among the labels.
    pub truth: usize,
    pub named: usize,
}

/// How many images of each generator were called what.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Confusion {
    pub labels: Vec<String>,
    /// A row for each true label, in it a column for each label given.
    pub counts: Vec<Vec<f64>>,
}

impl Confusion {
    pub fn of(labels: &[String], namings: &[Naming], weights: &[f64]) -> Confusion {
        let mut counts = vec![vec![0.0; labels.len()]; labels.len()];
        for naming in namings {
            counts[naming.truth][naming.named] += weights[naming.image];
        }
        Confusion { labels: labels.to_vec(), counts }
    }

    /// Share of images whose generator is named rightly.
    pub fn top1(&self) -> Option<f64> {
        let all: f64 = self.counts.iter().flatten().sum();
        let right: f64 = (0..self.labels.len()).map(|label| self.counts[label][label]).sum();
        (all > 0.0).then(|| right / all)
    }

    /// Mean over the labels, rare ones counting as much as others, of the harmonic mean of precision and recall. A label
    /// that is neither true nor given anywhere does not count.
    pub fn macro_f1(&self) -> Option<f64> {
        let each: Vec<f64> = (0..self.labels.len())
            .filter_map(|label| {
                let occurs = self.row(label) + self.column(label);
                (occurs > 0.0).then(|| 2.0 * self.counts[label][label] / occurs)
            })
            .collect();
        (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
    }

    /// Images of this label.
    pub fn row(&self, label: usize) -> f64 {
        self.counts[label].iter().sum()
    }

    fn column(&self, label: usize) -> f64 {
        self.counts.iter().map(|row| row[label]).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_that_a_hand_computes() {
        let labels = ["a", "b", "c", "d"].map(String::from);
        // a: three, two of them rightly; b: one, called a; c: one, rightly; d never occurs.
        let pairs = [(0, 0), (0, 0), (0, 1), (1, 0), (2, 2)];
        let namings: Vec<Naming> =
            pairs.into_iter().enumerate().map(|(image, (truth, named))| Naming { image, truth, named }).collect();
        let confusion = Confusion::of(&labels, &namings, &[1.0; 5]);
        assert_eq!(confusion.counts[0], [2.0, 1.0, 0.0, 0.0]);
        assert_eq!(confusion.top1(), Some(0.6));
        // a: precision 2/3, recall 2/3; b: 0; c: 1.
        assert!((confusion.macro_f1().unwrap() - (2.0 / 3.0 + 0.0 + 1.0) / 3.0).abs() < 1e-12);
        assert_eq!(confusion.row(0), 3.0);
        let twice = Confusion::of(&labels, &namings, &[1.0, 1.0, 0.0, 0.0, 2.0]);
        assert_eq!((twice.top1(), twice.macro_f1()), (Some(1.0), Some(1.0)));
        let none = Confusion::of(&labels, &[], &[]);
        assert_eq!((none.top1(), none.macro_f1()), (None, None));
    }
}
