//! How far two people say the same of the same images.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Estimate, wilson};
use crate::vote::{Answer, Vote};

/// What two reviewers said of the items that both voted on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairAgreement {
    /// In the order of their names.
    pub reviewers: [String; 2],
    /// How often they gave the same answer of the three.
    pub same: Estimate,
    /// Cohen's κ: how much more often than by chance, from -1 to 1, where 1 is always and 0 is chance alone. null where chance
    /// would let them agree always, as both gave one answer only.
    pub kappa: Estimate,
}

/// The agreement of every pair that has voted on common items; one entry of `items` holds the votes on one item, in their order.
///
/// Only votes that hid the others' count: those that were blind, and the first one on each item.
pub fn agreement<'a>(items: impl IntoIterator<Item = &'a [Vote]>) -> Vec<PairAgreement> {
    let mut pairs: BTreeMap<[&str; 2], Table> = BTreeMap::new();
    for votes in items {
        let is_independent = |(place, vote): &(usize, &Vote)| *place == 0 || vote.blind;
        let independent: Vec<&Vote> = votes.iter().enumerate().filter(is_independent).map(|(_, vote)| vote).collect();
        for (place, one) in independent.iter().enumerate() {
            for other in &independent[place + 1..] {
                let (first, second) = if one.reviewer <= other.reviewer { (one, other) } else { (other, one) };
                if first.reviewer != second.reviewer {
                    let names = [first.reviewer.as_str(), second.reviewer.as_str()];
                    pairs.entry(names).or_default().add(first.answer, second.answer);
                }
            }
        }
    }
    let numbers = |(names, table): ([&str; 2], Table)| PairAgreement {
        reviewers: names.map(Into::into),
        same: table.same(),
        kappa: table.kappa(),
    };
    pairs.into_iter().map(numbers).collect()
}

/// How often one gave the answer of the row and the other that of the column.
#[derive(Clone, Copy, Debug, Default)]
struct Table([[f64; 3]; 3]);

/// What a table comes to.
#[derive(Clone, Copy, Debug)]
struct Kappa {
    kappa: f64,
    observed: f64,
    by_chance: f64,
    /// Of κ, times the number of items.
    variance: f64,
}

impl Table {
    fn add(&mut self, first: Answer, second: Answer) {
        self.0[first as usize][second as usize] += 1.0;
    }

    fn items(&self) -> f64 {
        self.0.iter().flatten().sum()
    }

    fn observed(&self) -> f64 {
        (0..3).map(|answer| self.0[answer][answer]).sum()
    }

    fn same(&self) -> Estimate {
        Estimate::counted(self.observed() as u64, self.items() as u64)
    }

    /// Cohen's κ (Educational and Psychological Measurement 20, 1960). The interval is Wilson's for the share of agreement, with the
    /// number of items that would give the large-sample variance of κ (Fleiss, Cohen and Everitt, Psychological Bulletin 72, 1969);
    /// that variance is taken of the table with two items more that agree by chance, else a handful that all agree would be
    /// certainty. Chosen by trial, which a test repeats for tables of 10 to 200 items.
    fn kappa(&self) -> Estimate {
        let items = self.items();
        let Some(found) = self.measure() else { return Estimate { items: items as u64, ..Estimate::default() } };
        let effective = self.with_chance(2.0).measure().map_or(items, |smooth| {
            let independent = smooth.observed * (1.0 - smooth.observed) / (1.0 - smooth.by_chance).powi(2);
            // Bounded, as the variance of a small table is known badly.
            (items * independent / smooth.variance.max(f64::MIN_POSITIVE)).clamp(items / 4.0, items * 2.0)
        });
        let kappa = |agreement: f64| (agreement - found.by_chance) / (1.0 - found.by_chance);
        let interval = wilson(found.observed, effective).map(kappa);
        Estimate { value: Some(found.kappa), interval: Some(interval.map(|k| k.clamp(-1.0, 1.0))), items: items as u64 }
    }

    /// `None` without items, or where chance alone would make all answers the same.
    fn measure(&self) -> Option<Kappa> {
        let items = self.items();
        if items <= 0.0 {
            return None;
        }
        let part = self.0.map(|row| row.map(|count| count / items));
        let (rows, columns) = (self.rows(), self.columns());
        let observed = self.observed() / items;
        let by_chance: f64 = rows.iter().zip(columns).map(|(row, column)| row * column).sum();
        if by_chance > 1.0 - 1e-12 {
            return None;
        }
        let kappa = (observed - by_chance) / (1.0 - by_chance);
        let (mut same, mut different) = (0.0, 0.0);
        for (row, column) in (0..9).map(|place| (place / 3, place % 3)) {
            if row == column {
                same += part[row][row] * (1.0 - (rows[row] + columns[row]) * (1.0 - kappa)).powi(2);
            } else {
                different += part[row][column] * (columns[row] + rows[column]).powi(2);
            }
        }
        let mean = kappa - by_chance * (1.0 - kappa);
        let variance = (same + (1.0 - kappa).powi(2) * different - mean * mean) / (1.0 - by_chance).powi(2);
        Some(Kappa { kappa, observed, by_chance, variance: variance.max(0.0) })
    }

    /// What part of the first one's answers each is.
    fn rows(&self) -> [f64; 3] {
        let items = self.items();
        self.0.map(|row| row.iter().sum::<f64>() / items)
    }

    fn columns(&self) -> [f64; 3] {
        let items = self.items();
        [0, 1, 2].map(|column| self.0.iter().map(|row| row[column]).sum::<f64>() / items)
    }

    /// With so many items more, answered as both answer, but independently of each other. Each answer counts as if half an item
    /// more had got it, so that none is impossible.
    fn with_chance(&self, more: f64) -> Table {
        let items = self.items();
        let likely = |parts: [f64; 3]| parts.map(|part| (part * items + 0.5) / (items + 1.5));
        let (rows, columns) = (likely(self.rows()), likely(self.columns()));
        let mut table = *self;
        for (row, column) in (0..9).map(|place| (place / 3, place % 3)) {
            table.0[row][column] += more * rows[row] * columns[column];
        }
        table
    }
}

#[cfg(test)]
mod tests;
