//! Whether the servers beside the broker do their part. Pure.

/// Why the database and the object store can't be used, while they can't.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Edges {
    pub database: Option<String>,
    pub store: Option<String>,
}

impl Edges {
    /// Why no work can be done.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.database.as_deref().or(self.store.as_deref())
    }

    pub(crate) fn is_well(&self) -> bool {
        self.trouble().is_none()
    }
}
