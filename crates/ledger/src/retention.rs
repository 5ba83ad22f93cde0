//! `[retention]` of the configuration: how long what is kept, by tenant.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use time::OffsetDateTime;

use crate::maintenance::{Kind, Partition};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A hundred years.
const MOST_DAYS: u32 = 36_525;

/// Days for which something is kept; 0: for good.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub documents_days: u32,
    pub verdicts_days: u32,
    pub failures_days: u32,
    pub keys_days: u32,
    /// Where partitions are written to before they are dropped: s3://bucket/prefix; "" for nowhere.
    pub export: String,
    /// What is not said of a tenant is as for all.
    #[serde(default)]
    pub tenants: BTreeMap<String, Tenant>,
}

/// For one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    pub documents_days: Option<u32>,
    pub verdicts_days: Option<u32>,
    pub failures_days: Option<u32>,
    pub keys_days: Option<u32>,
}

/// What can be kept for a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// What of a verdict stands in no column.
    VerdictDocuments,
    FailureDocuments,
    Verdicts,
    Failures,
    Keys,
}

impl What {
    /// In the order in which they may go: a key outlives its row.
    pub const ALL: [What; 5] =
        [What::VerdictDocuments, What::FailureDocuments, What::Verdicts, What::Failures, What::Keys];

    pub fn as_str(self) -> &'static str {
        match self {
            What::VerdictDocuments => "documents of verdicts",
            What::FailureDocuments => "documents of failures",
            What::Verdicts => "verdicts",
            What::Failures => "failures",
            What::Keys => "keys",
        }
    }
}

/// Whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    Tenant(String),
    /// All but those that have a time of their own.
    AllBut(Vec<String>),
}

/// What was recorded before `before` is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    pub what: What,
    pub whose: Whose,
    pub before: OffsetDateTime,
}

impl Settings {
    /// What the types do not hold; the error names the key and how to fix it.
    pub fn validate(&self) -> Result<(), String> {
        if !self.export.is_empty() && self.export_to().is_none() {
            return Err(format!(
                "retention.export = {:?} must be s3://bucket/prefix, or \"\" for nowhere",
                self.export
            ));
        }
        let all = std::iter::once(None).chain(self.tenants.keys().map(|tenant| Some(tenant.as_str())));
        for tenant in all {
            let place = tenant.map_or("retention".to_string(), |tenant| format!("retention.tenants.{tenant}"));
            let keys = self.days(What::Keys, tenant);
            for (what, name) in [(What::Verdicts, "verdicts_days"), (What::Failures, "failures_days")] {
                let rows = self.days(what, tenant);
                if keys != 0 && (rows == 0 || keys < rows) {
                    let kept = if rows == 0 { "kept for good".to_string() } else { format!("kept for {rows} days") };
                    return Err(format!(
                        "{place}: keys_days = {keys}, and {name} are {kept}: a repeated message would be judged a second time \
                         while its first outcome is there; raise keys_days or lower {name}"
                    ));
                }
            }
            if What::ALL.iter().any(|what| self.days(*what, tenant) > MOST_DAYS) {
                return Err(format!("{place}: more than {MOST_DAYS} days; 0 keeps it for good"));
            }
        }
        Ok(())
    }

    /// The bucket, and what keys begin with, without a slash at its end.
    pub fn export_to(&self) -> Option<(&str, &str)> {
        let (bucket, prefix) = self.export.strip_prefix("s3://")?.split_once('/')?;
        let prefix = prefix.trim_end_matches('/');
        (!bucket.is_empty() && !prefix.is_empty()).then_some((bucket, prefix))
    }

    /// A partition is dropped when all of it is old enough, so a time below its own means nothing.
    pub fn check_against(&self, partition_days: u32) -> Result<(), String> {
        let short = |what: What, tenant: Option<&str>| (1..partition_days).contains(&self.days(what, tenant));
        let all = std::iter::once(None).chain(self.tenants.keys().map(|tenant| Some(tenant.as_str())));
        for tenant in all {
            if let Some(what) = What::ALL.into_iter().find(|what| short(*what, tenant)) {
                let whose = tenant.map_or(String::new(), |tenant| format!(" of the tenant {tenant}"));
                return Err(format!(
                    "retention keeps {}{whose} for {} days, which is shorter than a partition ({partition_days} days); raise it, \
                     or have shorter partitions: `assay ledger maintain --partition-days 1`",
                    what.as_str(),
                    self.days(what, tenant)
                ));
            }
        }
        Ok(())
    }

    /// For how long any tenant's rows of this kind are kept; `None`: for good.
    pub fn longest(&self, kind: Kind) -> Option<Duration> {
        let what = rows(kind);
        let tenants = self.tenants.keys().map(|tenant| self.days(what, Some(tenant)));
        let all: Vec<u32> = tenants.chain([self.days(what, None)]).collect();
        (!all.contains(&0)).then(|| DAY * all.into_iter().max().unwrap_or_default())
    }

    /// What is to be removed row by row at `now`. Rows that are kept longest are not: their partitions are dropped.
    pub fn removals(&self, partitions: &[Partition], now: OffsetDateTime) -> Vec<Removal> {
        let mut removals = Vec::new();
        for what in What::ALL {
            let own: Vec<&String> =
                self.tenants.keys().filter(|tenant| self.own_days(what, tenant).is_some()).collect();
            let all_but = Whose::AllBut(own.iter().map(|tenant| (*tenant).clone()).collect());
            let whose = own.into_iter().map(|tenant| (Some(tenant), Whose::Tenant(tenant.clone())));
            for (tenant, whose) in whose.chain([(None, all_but)]) {
                let tenant = tenant.map(String::as_str);
                if let Some(before) = self.before(what, tenant, partitions, now) {
                    removals.push(Removal { what, whose, before });
                }
            }
        }
        removals
    }

    fn before(
        &self,
        what: What,
        tenant: Option<&str>,
        partitions: &[Partition],
        now: OffsetDateTime,
    ) -> Option<OffsetDateTime> {
        let days = self.days(what, tenant);
        let keep = (days > 0).then(|| DAY * days)?;
        let before = now.checked_sub(keep.try_into().ok()?)?;
        match what {
            What::Verdicts if self.longest(Kind::Verdict) == Some(keep) => None,
            What::Failures if self.longest(Kind::Failure) == Some(keep) => None,
            // Rows that go with their partition are there until it goes, and as long as they are, their keys are.
            What::Keys => Kind::ALL.into_iter().try_fold(before, |before, kind| {
                let rows = self.days(rows(kind), tenant);
                if self.longest(kind) != Some(DAY * rows) {
                    return Some(before);
                }
                let oldest = partitions.iter().filter(|one| one.kind == kind).map(|one| one.lower).min();
                oldest.map(|oldest| before.min(oldest))
            }),
            _ => Some(before),
        }
    }

    fn days(&self, what: What, tenant: Option<&str>) -> u32 {
        let own = tenant.and_then(|tenant| self.own_days(what, tenant));
        own.unwrap_or(match what {
            What::VerdictDocuments | What::FailureDocuments => self.documents_days,
            What::Verdicts => self.verdicts_days,
            What::Failures => self.failures_days,
            What::Keys => self.keys_days,
        })
    }

    fn own_days(&self, what: What, tenant: &str) -> Option<u32> {
        let own = self.tenants.get(tenant)?;
        match what {
            What::VerdictDocuments | What::FailureDocuments => own.documents_days,
            What::Verdicts => own.verdicts_days,
            What::Failures => own.failures_days,
            What::Keys => own.keys_days,
        }
    }
}

fn rows(kind: Kind) -> What {
    match kind {
        Kind::Verdict => What::Verdicts,
        Kind::Failure => What::Failures,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeping(documents_days: u32, verdicts_days: u32, failures_days: u32, keys_days: u32) -> Settings {
        let (export, tenants) = (String::new(), BTreeMap::new());
        Settings { documents_days, verdicts_days, failures_days, keys_days, export, tenants }
    }

    fn at(day: u32) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + DAY * day
    }

    fn week(kind: Kind, day: u32) -> Partition {
        Partition { kind, name: String::new(), lower: at(day), upper: at(day + 7), detaching: false }
    }

    #[test]
    fn a_key_goes_with_its_outcome_or_after_it() {
        assert_eq!(keeping(0, 0, 0, 0).validate(), Ok(()));
        assert_eq!(keeping(10, 30, 30, 30).validate(), Ok(()));
        for wrong in [keeping(0, 0, 30, 30), keeping(0, 30, 40, 30), keeping(0, 10, 0, 20)] {
            assert!(wrong.validate().unwrap_err().contains("keys_days"), "{wrong:?}");
        }
        let mut of_one = keeping(0, 30, 30, 30);
        of_one.tenants.insert("acme".into(), Tenant { verdicts_days: Some(60), ..Tenant::default() });
        assert!(of_one.validate().unwrap_err().starts_with("retention.tenants.acme: keys_days = 30"));
        assert!(keeping(0, MOST_DAYS + 1, 0, 0).validate().is_err());
    }

    #[test]
    fn less_than_a_partition_is_refused() {
        assert_eq!(keeping(0, 7, 7, 7).check_against(7), Ok(()));
        let error = keeping(3, 0, 0, 0).check_against(7).unwrap_err();
        assert!(error.contains("3 days") && error.contains("--partition-days 1"), "{error}");
        assert_eq!(keeping(3, 0, 0, 0).check_against(1), Ok(()));
    }

    #[test]
    fn rows_that_are_kept_longest_go_with_their_partition_and_keys_not_before_it() {
        let partitions = [week(Kind::Verdict, 70), week(Kind::Failure, 77)];
        let settings = keeping(5, 30, 30, 30);
        assert_eq!(settings.longest(Kind::Verdict), Some(DAY * 30));
        let all = Whose::AllBut(Vec::new());
        let removal = |what, before| Removal { what, whose: all.clone(), before: at(before) };
        let wanted =
            [removal(What::VerdictDocuments, 95), removal(What::FailureDocuments, 95), removal(What::Keys, 70)];
        assert_eq!(settings.removals(&partitions, at(100)), wanted);
        assert!(keeping(0, 0, 0, 0).removals(&partitions, at(100)).is_empty());
    }

    #[test]
    fn a_tenant_may_have_times_of_its_own() {
        let mut settings = keeping(0, 0, 0, 0);
        let own =
            Tenant { verdicts_days: Some(10), failures_days: Some(10), keys_days: Some(20), documents_days: None };
        settings.tenants.insert("acme".into(), own);
        assert_eq!((settings.validate(), settings.longest(Kind::Verdict)), (Ok(()), None));
        let removals = settings.removals(&[week(Kind::Verdict, 0)], at(100));
        let whose = Whose::Tenant("acme".into());
        let removal = |what, before| Removal { what, whose: whose.clone(), before: at(before) };
        assert_eq!(removals, [removal(What::Verdicts, 90), removal(What::Failures, 90), removal(What::Keys, 80)]);
    }

    #[test]
    fn an_export_goes_to_a_bucket_under_a_prefix() {
        let to = |export: &str| Settings { export: export.into(), ..keeping(0, 0, 0, 0) };
        assert_eq!(to("s3://b/years/past/").export_to(), Some(("b", "years/past")));
        assert_eq!(to("").validate(), Ok(()));
        for wrong in ["s3://b", "s3://b/", "s3:///p", "b/p", "/tmp/x"] {
            assert!(to(wrong).validate().unwrap_err().contains("retention.export"), "{wrong}");
        }
    }
}
