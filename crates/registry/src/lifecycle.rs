//! From a folder to the model that serves: artefact and record together, each step checked.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::RegistryError;
use crate::leases::By;
use crate::model::{Model, NewModel};
use crate::promotion::{Change, Kind, Promotion, rollback_target};
use crate::store::{ArtefactError, Store};
use crate::versions::Registry;
use artefact::Manifest;

/// A folder that is to become a version.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    pub folder: &'a Path,
    /// What was measured of it.
    pub metrics: Value,
    /// The version that it was trained from.
    pub parent: Option<String>,
    pub actor: String,
    /// Of minisign; "" asks for no signature.
    pub public_key: &'a str,
}

/// Checks a folder (signature, digest, names and shapes), copies it into the store and registers it. Doing it again, also
/// after an end half-way, leads to the same.
pub async fn register(
    registry: &dyn Registry,
    store: &Store,
    candidate: Candidate<'_>,
    by: By<'_>,
) -> Result<Model, RegistryError> {
    let Candidate { folder, metrics, parent, actor, public_key } = candidate;
    let (manifest, text) = checked(folder, public_key).await?;
    let location = store.put(folder, &manifest).await?;
    let (version, sha256) = (manifest.version, manifest.weights.sha256);
    let entry = NewModel { version: version.clone(), sha256, location, manifest: text, metrics, parent, actor };
    registry.register(&entry, by).await?;
    registry.model(&version).await?.ok_or(RegistryError::Unknown { version })
}

/// Makes a version the active one, if its artefact is what was registered.
pub async fn promote(
    registry: &dyn Registry,
    store: &Store,
    public_key: &str,
    change: &Change,
    by: By<'_>,
) -> Result<Promotion, RegistryError> {
    let version = change.version.clone();
    let model = registry.model(&version).await?.ok_or(RegistryError::Unknown { version })?;
    let folder = store.fetch(&model).await?;
    checked(&folder, public_key).await?;
    registry.promote(change, by).await
}

/// Makes the version active again that was so before the active one.
pub async fn roll_back(
    registry: &dyn Registry,
    store: &Store,
    public_key: &str,
    actor: String,
    reason: Option<String>,
) -> Result<Promotion, RegistryError> {
    let promotions = registry.promotions().await?;
    let active = promotions.last().ok_or(RegistryError::NothingActive)?.version.clone();
    let Some(version) = rollback_target(&promotions) else { return Err(RegistryError::NothingBefore { active }) };
    let change = Change { version: version.into(), replaces: Some(active), kind: Kind::Rollback, actor, reason };
    promote(registry, store, public_key, &change, By::Person).await
}

/// The active model, and a local folder that holds it, its digests checked.
pub async fn fetch_active(registry: &dyn Registry, store: &Store) -> Result<(Model, PathBuf), RegistryError> {
    let version = registry.active().await?.ok_or(RegistryError::NothingActive)?.version;
    let model = registry.model(&version).await?.ok_or(RegistryError::Unknown { version })?;
    let folder = store.fetch(&model).await?;
    Ok((model, folder))
}

/// What a folder says of itself, if signature and weights fit; and the very bytes by which it says so.
async fn checked(folder: &Path, public_key: &str) -> Result<(Manifest, String), ArtefactError> {
    let (folder, public_key) = (folder.to_owned(), public_key.to_string());
    let checking = tokio::task::spawn_blocking(move || {
        let manifest = Manifest::read(&folder, &public_key)?;
        manifest.verify(&folder)?;
        let path = folder.join(Manifest::FILE);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ArtefactError::Unreadable { path: path.clone(), source })?;
        Ok((manifest, text))
    });
    checking.await?
}
