//! Why an item is in the queue, and how many of them a day has room for.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why an item is in the queue; what comes first here is reviewed first. Of several reasons the first counts.
///
/// More will come, so what is stored is the code. A process of an earlier version leaves alone what it does not know: it takes
/// from the queue only items whose source is one of [`Source::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[schemars(rename = "ReviewSource")]
pub enum Source {
    /// Somebody whose image it is objects to the verdict.
    Appeal,
    /// A rule of the tenant's policy asks for a person.
    Policy,
    /// Drawn for the audit.
    Audit,
    /// The verdict is uncertain.
    Uncertain,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no source of review items; this version knows appeal, policy, audit and uncertain")]
pub struct UnknownSource(String);

/// Items of one source that have come in on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrivals {
    pub source: Source,
    /// Somebody has taken them: part of the budget is spent on them.
    pub begun: u64,
    /// Nobody has taken them yet.
    pub waiting: u64,
}

/// What the budget means for the waiting items of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intake {
    pub source: Source,
    /// There is room for so many.
    pub taken: u64,
    /// There is none for so many: when the day ends they are counted as not reviewed.
    pub not_reviewed: u64,
}

impl Source {
    pub const ALL: [Source; 4] = [Source::Appeal, Source::Policy, Source::Audit, Source::Uncertain];

    pub fn as_str(self) -> &'static str {
        match self {
            Source::Appeal => "appeal",
            Source::Policy => "policy",
            Source::Audit => "audit",
            Source::Uncertain => "uncertain",
        }
    }

    /// Lower is reviewed earlier. There is room between them for sources to come; a stored priority stays true.
    pub fn priority(self) -> i16 {
        match self {
            Source::Appeal => 100,
            Source::Policy => 200,
            Source::Audit => 300,
            Source::Uncertain => 400,
        }
    }

    /// Whether items are taken even where the budget is used up. Somebody waits for the answer to an appeal, and no machine
    /// may give it.
    fn is_always_taken(self) -> bool {
        self == Source::Appeal
    }
}

/// Shares a day's budget out to what waits, in the order of the sources; one entry for each source, in that order.
///
/// Before the day is over it may be asked again and again: what came later but goes first then takes room from what nobody has
/// begun. Appeals are all taken; they use the budget up, and beyond it nothing else is taken. Which items of a source are
/// taken is for the caller to say: of the audit those with the lowest rank (see [`crate::audit::Drawn`]), of others the oldest.
pub fn share_out(budget: u64, arrivals: &[Arrivals]) -> Vec<Intake> {
    let mut waiting: BTreeMap<(i16, Source), u64> = BTreeMap::new();
    for arrival in arrivals {
        let sum = waiting.entry((arrival.source.priority(), arrival.source)).or_default();
        *sum = sum.saturating_add(arrival.waiting);
    }
    let begun = arrivals.iter().fold(0_u64, |sum, arrival| sum.saturating_add(arrival.begun));
    let mut room = budget.saturating_sub(begun);
    let intake = |((_, source), waiting): ((i16, Source), u64)| {
        let taken = if source.is_always_taken() { waiting } else { waiting.min(room) };
        room = room.saturating_sub(taken);
        Intake { source, taken, not_reviewed: waiting - taken }
    };
    waiting.into_iter().map(intake).collect()
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Source {
    type Err = UnknownSource;

    fn from_str(code: &str) -> Result<Source, UnknownSource> {
        Source::ALL.into_iter().find(|source| source.as_str() == code).ok_or_else(|| UnknownSource(code.into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arrivals(counts: [(u64, u64); 4]) -> Vec<Arrivals> {
        let each = Source::ALL.into_iter().zip(counts);
        each.map(|(source, (begun, waiting))| Arrivals { source, begun, waiting }).collect()
    }

    fn taken(budget: u64, counts: [(u64, u64); 4]) -> Vec<(u64, u64)> {
        share_out(budget, &arrivals(counts)).iter().map(|intake| (intake.taken, intake.not_reviewed)).collect()
    }

    #[test]
    fn the_budget_goes_to_the_sources_in_their_order_and_the_rest_is_counted() {
        assert_eq!(taken(100, [(0, 10), (0, 20), (0, 30), (0, 500)]), [(10, 0), (20, 0), (30, 0), (40, 460)]);
        assert_eq!(taken(25, [(0, 10), (0, 20), (0, 30), (0, 500)]), [(10, 0), (15, 5), (0, 30), (0, 500)]);
        assert_eq!(share_out(5, &[]), []);
    }

    #[test]
    fn what_was_begun_is_spent_and_what_comes_later_but_goes_first_takes_the_room_that_is_left() {
        assert_eq!(taken(100, [(0, 0), (0, 0), (0, 0), (60, 500)]), [(0, 0), (0, 0), (0, 0), (40, 460)]);
        assert_eq!(taken(100, [(0, 0), (0, 35), (0, 0), (60, 500)]), [(0, 0), (35, 0), (0, 0), (5, 495)]);
        assert_eq!(taken(50, [(0, 0), (0, 1), (0, 0), (60, 0)]), [(0, 0), (0, 1), (0, 0), (0, 0)]);
    }

    #[test]
    fn an_appeal_is_taken_whatever_the_budget() {
        assert_eq!(taken(0, [(3, 10), (0, 1), (0, 0), (0, 0)]), [(10, 0), (0, 1), (0, 0), (0, 0)]);
    }

    #[test]
    fn the_order_and_the_number_of_entries_given_do_not_matter() {
        let each = |source, waiting| Arrivals { source, begun: 1, waiting };
        let given = [each(Source::Uncertain, 5), each(Source::Policy, 2), each(Source::Uncertain, 5)];
        let wanted = [
            Intake { source: Source::Policy, taken: 2, not_reviewed: 0 },
            Intake { source: Source::Uncertain, taken: 5, not_reviewed: 5 },
        ];
        assert_eq!(share_out(10, &given), wanted);
    }

    #[test]
    fn a_source_is_its_code_everywhere() {
        for source in Source::ALL {
            assert_eq!(source.as_str().parse(), Ok(source));
            assert_eq!(serde_json::to_value(source).unwrap(), source.as_str());
            assert_eq!(source.to_string(), source.as_str());
        }
        assert!(Source::ALL.is_sorted_by_key(|source| source.priority()) && Source::ALL.is_sorted());
        let error = "tip-off".parse::<Source>().unwrap_err().to_string();
        assert!(error.contains("`tip-off`") && Source::ALL.iter().all(|known| error.contains(known.as_str())));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_later_source_is_taken_before_an_earlier_one(
            budget in 0..200_u64, counts in prop::array::uniform4((0..50_u64, 0..50_u64)),
        ) {
            let found = share_out(budget, &arrivals(counts));
            for (intake, (_, waiting)) in found.iter().zip(counts) {
                prop_assert_eq!(intake.taken + intake.not_reviewed, waiting);
            }
            let begun: u64 = counts.iter().map(|(begun, _)| begun).sum();
            let others: u64 = found.iter().filter(|i| i.source != Source::Appeal).map(|i| i.taken).sum();
            prop_assert!(others == 0 || others + found[0].taken + begun <= budget);
            for pair in found.windows(2) {
                prop_assert!(pair[0].not_reviewed == 0 || pair[1].taken == 0);
            }
        }
    }
}
