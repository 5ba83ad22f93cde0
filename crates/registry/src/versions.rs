//! The port to the model registry.
//!
//! Promises that every implementation keeps, and that `tests/it/contracts.rs` checks on each:
//! - a registered version never changes; registering the very same again changes nothing;
//! - promotions are only ever added; the active model is that of the last one;
//! - a promotion names what it replaces, and fails if that is no longer active: of two at once, one wins.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::RegistryError;
use crate::leases::By;
use crate::model::{Model, NewModel, Registered};
use crate::promotion::{Change, Promotion};

/// The registry as people, jobs and workers see it.
#[async_trait]
pub trait Registry: Send + Sync {
    async fn register(&self, model: &NewModel, by: By<'_>) -> Result<Registered, RegistryError>;

    async fn model(&self, version: &str) -> Result<Option<Model>, RegistryError>;

    /// All of them, the newest first.
    async fn models(&self) -> Result<Vec<Model>, RegistryError>;

    /// The last promotion: its version is the active one.
    async fn active(&self) -> Result<Option<Promotion>, RegistryError>;

    /// Every promotion, in order.
    async fn promotions(&self) -> Result<Vec<Promotion>, RegistryError>;

    /// Makes a version the active one, if what it replaces still is. A version that is active already stays so, and the
    /// answer is the promotion that made it.
    async fn promote(&self, change: &Change, by: By<'_>) -> Result<Promotion, RegistryError>;

    /// Waits until a promotion is announced, and no longer than `most`. It may return though there was none.
    async fn wait_for_promotion(&self, most: Duration);
}
