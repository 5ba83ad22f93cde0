//! Who has an item, and for how long.
//!
//! These are the rules that the statements in PostgreSQL carry out too. All times are one clock's, the database's: what a browser
//! or a console says of the time decides nothing.
//!
//! - An item is held by one person at most, and until a time. Then anybody else may take it; until somebody does, it is still
//!   theirs, so a vote that comes after the lease counts as long as nobody else has taken, been assigned or handed on the item.
//!   Whether that is so does not depend on the clock.
//! - Whoever has voted on an item or skipped it never gets it again. Whoever let a lease run out may.
//! - An item that is assigned, or handed to the leads, is theirs alone until they vote or skip (of an item for the leads: until one of them votes), whatever becomes of leases.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::resolution::{Step, Wanted};
use crate::roles::Role;

/// Who has one item, who had it, and who may have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claims {
    /// `None` while nobody has it; present also after the time, until somebody else takes it.
    pub(crate) holder: Option<Holder>,
    pub(crate) assigned_to: Option<String>,
    /// Handed to the leads.
    pub(crate) for_leads: bool,
    /// Nobody is to vote any more.
    pub(crate) done: bool,
    pub(crate) voted: BTreeSet<String>,
    pub(crate) skipped: BTreeSet<String>,
    /// Of an appeal: who has reviewed the submission before.
    pub(crate) barred: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    pub name: String,
    /// The lease runs out at this time.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub until: OffsetDateTime,
}

/// Somebody who works on items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub name: String,
    pub role: Role,
}

/// Why somebody does not get an item, or may not do this to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimRefused {
    #[error("this needs the role {needed}, and a {role} asked for it")]
    Role { needed: Role, role: Role },
    #[error("this item is decided already")]
    Done,
    #[error("whoever has voted on an item does not get it again")]
    Voted,
    #[error("whoever has skipped an item does not get it again")]
    Skipped,
    #[error("whoever has reviewed the submission before, or filed the appeal, does not decide on it")]
    ReviewedBefore,
    #[error("this item waits for a lead")]
    LeadsOnly,
    #[error("this item is assigned to somebody else; a lead can take it back")]
    Assigned,
    #[error("somebody else holds this item until {until}: take another one")]
    Held { until: OffsetDateTime },
    #[error(
        "you don't hold this item: it was never yours, or the lease ran out and it went to somebody else; nothing was recorded"
    )]
    NotHeld,
}

/// What becomes of an item once a vote is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterVote {
    /// Somebody else's vote is wanted.
    Free,
    /// A lead's is.
    LeadsOnly,
    Done,
}

impl AfterVote {
    pub fn of(step: &Step) -> AfterVote {
        match step {
            Step::Wanted(Wanted::Lead) => AfterVote::LeadsOnly,
            Step::Wanted(_) => AfterVote::Free,
            Step::Resolved(_) | Step::Unresolved(_) => AfterVote::Done,
        }
    }
}

/// Each of these either does what it says or refuses, and then nothing has changed.
impl Claims {
    /// An item that nobody has had yet. `barred` may never have it.
    pub fn new(barred: BTreeSet<String>) -> Claims {
        Claims { barred, ..Claims::default() }
    }

    /// Who holds the item at this time.
    pub fn held_by(&self, now: OffsetDateTime) -> Option<&Holder> {
        self.holder.as_ref().filter(|holder| holder.until > now)
    }

    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Takes the item for the time of a lease. Who holds it already renews the lease.
    pub fn claim(&mut self, who: &Person, now: OffsetDateTime, lease: Duration) -> Result<(), ClaimRefused> {
        self.may_have(who)?;
        if let Some(assigned) = &self.assigned_to
            && *assigned != who.name
        {
            return Err(ClaimRefused::Assigned);
        }
        self.is_free_for(who, now)?;
        if self.is_with(who) {
            return self.renew(who, now, lease);
        }
        self.holder = Some(Holder { name: who.name.clone(), until: now.saturating_add(lease) });
        Ok(())
    }

    /// Lengthens the lease of who has the item, also after it ran out; never shortens it, should the clock go back. Holding an
    /// item for later is the same with a longer time.
    pub fn renew(&mut self, who: &Person, now: OffsetDateTime, lease: Duration) -> Result<(), ClaimRefused> {
        match &mut self.holder {
            Some(holder) if holder.name == who.name => {
                holder.until = holder.until.max(now.saturating_add(lease));
                Ok(())
            }
            _ => Err(ClaimRefused::NotHeld),
        }
    }

    /// Records that who has the item has voted, also after the lease ran out.
    pub fn vote(&mut self, who: &Person, after: AfterVote) -> Result<(), ClaimRefused> {
        self.give_back(who)?;
        self.voted.insert(who.name.clone());
        match after {
            // Handed to the leads, it has had a lead's vote now: a second one may be anybody's, or a single lead could not end it.
            AfterVote::Free => self.for_leads = false,
            AfterVote::LeadsOnly => self.for_leads = true,
            AfterVote::Done => self.done = true,
        }
        Ok(())
    }

    /// Gives the item back, not to get it again.
    pub fn skip(&mut self, who: &Person) -> Result<(), ClaimRefused> {
        self.give_back(who)?;
        self.skipped.insert(who.name.clone());
        Ok(())
    }

    /// Hands the item to the leads: by who has it, or by a lead unless somebody else holds it.
    pub fn escalate(&mut self, who: &Person, now: OffsetDateTime) -> Result<(), ClaimRefused> {
        self.is_open()?;
        if !self.is_with(who) {
            if !who.role.leads() {
                return Err(ClaimRefused::NotHeld);
            }
            self.is_free_for(who, now)?;
        }
        (self.holder, self.assigned_to, self.for_leads) = (None, None, true);
        Ok(())
    }

    /// Sets the item aside for somebody, by a lead, unless somebody else holds it.
    pub fn assign(&mut self, lead: &Person, to: &Person, now: OffsetDateTime) -> Result<(), ClaimRefused> {
        needs(Role::Lead, lead)?;
        self.may_have(to)?;
        self.is_free_for(to, now)?;
        if !self.is_with(to) {
            self.holder = None;
        }
        self.assigned_to = Some(to.name.clone());
        Ok(())
    }

    /// Takes an assignment back, by a lead, unless the one it was assigned to holds the item.
    pub fn unassign(&mut self, lead: &Person, now: OffsetDateTime) -> Result<(), ClaimRefused> {
        needs(Role::Lead, lead)?;
        self.is_open()?;
        self.is_free_for(lead, now)?;
        if !self.is_with(lead) {
            self.holder = None;
        }
        self.assigned_to = None;
        Ok(())
    }

    fn is_open(&self) -> Result<(), ClaimRefused> {
        if self.done { Err(ClaimRefused::Done) } else { Ok(()) }
    }

    /// Whether somebody may have the item at all, whoever has it now.
    fn may_have(&self, who: &Person) -> Result<(), ClaimRefused> {
        self.is_open()?;
        needs(Role::Reviewer, who)?;
        if self.voted.contains(&who.name) {
            return Err(ClaimRefused::Voted);
        }
        if self.skipped.contains(&who.name) {
            return Err(ClaimRefused::Skipped);
        }
        if self.barred.contains(&who.name) {
            return Err(ClaimRefused::ReviewedBefore);
        }
        if self.for_leads && !who.role.leads() { Err(ClaimRefused::LeadsOnly) } else { Ok(()) }
    }

    /// Whether nobody else holds the item at this time.
    fn is_free_for(&self, who: &Person, now: OffsetDateTime) -> Result<(), ClaimRefused> {
        match self.held_by(now) {
            Some(other) if other.name != who.name => Err(ClaimRefused::Held { until: other.until }),
            _ => Ok(()),
        }
    }

    /// Whether it is somebody's, by a lease that may have run out.
    fn is_with(&self, who: &Person) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.name == who.name)
    }

    fn give_back(&mut self, who: &Person) -> Result<(), ClaimRefused> {
        self.is_open()?;
        if !self.is_with(who) {
            return Err(ClaimRefused::NotHeld);
        }
        (self.holder, self.assigned_to) = (None, None);
        Ok(())
    }
}

fn needs(needed: Role, who: &Person) -> Result<(), ClaimRefused> {
    if who.role < needed { Err(ClaimRefused::Role { needed, role: who.role }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
