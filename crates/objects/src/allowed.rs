//! Which objects may be read, and for whom. Pure: it looks at names, never at the store.

use std::collections::BTreeMap;

use domain::request::validate_tenant;

/// The tenant that stands for those that `objects.tenants` does not list.
const OTHERS: &str = "*";

/// Buckets that may be read, and the tenants that may read only some prefixes in them.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    pub buckets: Vec<String>,
    /// Tenant → `bucket/prefix/`, as the configuration has it.
    pub tenants: BTreeMap<String, Vec<String>>,
}

impl Allowed {
    /// What the types do not hold; the error names the key and how to fix it.
    pub fn validate(&self) -> Result<(), String> {
        if let Some(bucket) = self.buckets.iter().find(|bucket| bucket.is_empty() || bucket.contains('/')) {
            return Err(format!(
                "objects.allowed_buckets holds {bucket:?}, which is no bucket's name; prefixes belong into objects.tenants"
            ));
        }
        for (tenant, places) in &self.tenants {
            if tenant != OTHERS {
                validate_tenant(tenant).map_err(|error| format!("objects.tenants.{tenant}: {error}"))?;
            }
            for place in places {
                self.check_place(place).map_err(|problem| format!("objects.tenants.{tenant}: {place:?} {problem}"))?;
            }
        }
        Ok(())
    }

    fn check_place(&self, place: &str) -> Result<(), String> {
        // Without the slash at the end, "uploads/acme" would open "uploads/acme2/" as well.
        if !place.ends_with('/') {
            return Err(format!("must end in a slash: write \"{place}/\""));
        }
        let (bucket, prefix) = place.split_once('/').unwrap_or_default();
        if ambiguous(prefix) {
            return Err("has a part `.` or `..`; write the prefix out".into());
        }
        if !self.buckets.iter().any(|allowed| allowed == bucket) {
            return Err(format!("is in bucket {bucket:?}, which objects.allowed_buckets does not hold; add it there"));
        }
        Ok(())
    }

    /// Whether this tenant may have this object read; the error says why not, and how to change that.
    pub fn admits(&self, tenant: &str, bucket: &str, key: &str) -> Result<(), String> {
        if !self.buckets.iter().any(|allowed| allowed == bucket) {
            return Err(format!("bucket {bucket:?} is not in objects.allowed_buckets; add it there if it may be read"));
        }
        if ambiguous(key) {
            return Err(format!(
                "key {key:?} has a part `.` or `..`, by which some servers would leave the bucket; store the object \
                 under another key"
            ));
        }
        let Some(places) = self.tenants.get(tenant).or_else(|| self.tenants.get(OTHERS)) else { return Ok(()) };
        let inside = |place: &String| {
            let rest = place.strip_prefix(bucket).and_then(|rest| rest.strip_prefix('/'));
            rest.is_some_and(|prefix| key.starts_with(prefix))
        };
        if places.iter().any(inside) {
            return Ok(());
        }
        Err(format!(
            "tenant {tenant:?} may not have s3://{bucket}/{key} read: objects.tenants confines it to {places:?}; add \
             \"{bucket}/PREFIX/\" there if it may"
        ))
    }
}

/// Whether a server that takes a key for a path could read it as another one.
fn ambiguous(key: &str) -> bool {
    key.split(['/', '\\']).any(|part| matches!(part, "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(tenants: &[(&str, &[&str])]) -> Allowed {
        let places = |places: &[&str]| places.iter().map(|place| place.to_string()).collect();
        Allowed {
            buckets: vec!["uploads".into(), "shared".into()],
            tenants: tenants.iter().map(|(tenant, list)| (tenant.to_string(), places(list))).collect(),
        }
    }

    #[test]
    fn a_listed_tenant_has_its_prefixes_and_nothing_else() {
        let allowed = allowed(&[("acme", &["uploads/acme/", "shared/"]), ("nothing", &[])]);
        allowed.validate().unwrap();
        let may = |tenant, bucket, key| allowed.admits(tenant, bucket, key).is_ok();
        assert!(may("acme", "uploads", "acme/1.jpg") && may("acme", "uploads", "acme/"));
        assert!(may("acme", "shared", "anything"), "a bucket with its slash is all of it");
        for key in ["1.jpg", "acme", "acme2/1.jpg", "ACME/1.jpg", "/acme/1.jpg", "x/acme/1.jpg", "acme%2f1.jpg"] {
            assert!(!may("acme", "uploads", key), "{key}");
        }
        assert!(!may("acme", "elsewhere", "acme/1.jpg"));
        assert!(!may("nothing", "uploads", "acme/1.jpg"));
        assert!(may("other", "uploads", "acme/1.jpg"), "who is not listed has the allowed buckets");
        let refused = allowed.admits("acme", "uploads", "b/1.jpg").unwrap_err();
        assert!(refused.contains("objects.tenants") && refused.contains("uploads/acme/"), "{refused}");
    }

    #[test]
    fn a_star_stands_for_the_tenants_that_are_not_listed() {
        let allowed = allowed(&[("acme", &["uploads/acme/"]), ("*", &["shared/"])]);
        allowed.validate().unwrap();
        assert!(allowed.admits("other", "shared", "1.jpg").is_ok());
        assert!(allowed.admits("other", "uploads", "acme/1.jpg").is_err());
        assert!(allowed.admits("acme", "shared", "1.jpg").is_err());
    }

    #[test]
    fn no_key_leads_out_of_its_prefix() {
        let allowed = allowed(&[("acme", &["uploads/acme/"])]);
        for key in ["acme/../b/1.jpg", "acme/./../b", "acme/..", "..", "acme/..\\b", "../shared/1.jpg"] {
            for tenant in ["acme", "other"] {
                assert!(allowed.admits(tenant, "uploads", key).unwrap_err().contains("`..`"), "{key}");
            }
        }
        assert!(allowed.admits("acme", "uploads", "acme/..a/b..c/...").is_ok());
    }

    #[test]
    fn places_that_would_open_more_than_they_seem_are_refused() {
        let problem = |place: &str| allowed(&[("acme", &[place])]).validate().unwrap_err();
        assert!(problem("uploads/acme").contains("write \"uploads/acme/\""), "{}", problem("uploads/acme"));
        assert!(problem("uploads").contains("write \"uploads/\""));
        assert!(problem("").contains("slash"));
        assert!(problem("elsewhere/acme/").contains("objects.allowed_buckets"));
        assert!(problem("uploads/../b/").contains("`..`"));
        assert!(allowed(&[("a.b", &[])]).validate().unwrap_err().contains("objects.tenants.a.b"));
        let buckets = Allowed { buckets: vec!["uploads/acme/".into()], ..Allowed::default() };
        assert!(buckets.validate().unwrap_err().contains("objects.tenants"));
    }
}
