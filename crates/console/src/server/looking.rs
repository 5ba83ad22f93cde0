//! What one person may see of an image: the item as a page has it.

use time::OffsetDateTime;
use uuid::Uuid;

use domain::Verdict;
use pictures::{Outline, Trouble};
use review::{Caller, History, ItemView, Sight};

use super::asked::Asked;
use super::contexts::{Bytes, Crop, Evidence, Generation, Item, Known, KnownLabel, Picture};
use super::links;
use super::refusal::Refusal;
use super::state::Console;

/// Who decided, where it was no model.
const BY_PEOPLE: &str = "review";

/// An item with what may be seen of it.
pub(super) struct Seen {
    pub(super) item: Item,
    /// `None`: what was known of it is not kept any more.
    pub(super) verdict: Option<Verdict>,
    /// Why there is no picture.
    pub(super) trouble: Option<Trouble>,
}

impl Console {
    pub(super) async fn seen(&self, asked: &Asked, view: &ItemView) -> Result<Seen, Refusal> {
        let caller = asked.caller()?;
        let verdict = self.server.reviews.verdict(&caller, view.outcome).await?;
        let history = self.open_history(&caller, view).await?;
        let (picture, trouble) = match &verdict {
            Some(verdict) => self.picture(&view.tenant, view.id.0, verdict).await,
            None => (None, None),
        };
        let mut item = self.item_of(view, history.is_none());
        if let Some(verdict) = &verdict {
            item.known = Known::of(verdict);
            item.evidence = history.map(|history| evidence(verdict, history));
        }
        if item.blind {
            item.because = None;
        }
        item.picture_problem = trouble.as_ref().map(words);
        item.picture = picture;
        Ok(Seen { item, verdict, trouble })
    }

    /// What is known of the submission; `None` where this person is not to see it yet. Whoever is given it has seen it.
    async fn open_history(&self, caller: &Caller, view: &ItemView) -> Result<Option<History>, Refusal> {
        if view.sight == Sight::Blind {
            return Ok(None);
        }
        let history = self.server.reviews.history(caller, &view.tenant, &view.submission_id).await?;
        Ok(history.filter(|history| !history.hidden))
    }

    /// How large the judged picture is and where its crops lie; its bytes are compared with the verdict's for that.
    async fn picture(&self, tenant: &str, id: Uuid, verdict: &Verdict) -> (Option<Picture>, Option<Trouble>) {
        match self.server.pictures.outline(tenant, &verdict.image).await {
            Ok(outline) => (Some(picture(&format!("/pictures/{id}"), outline)), None),
            Err(trouble) => (None, Some(trouble)),
        }
    }

    fn item_of(&self, view: &ItemView, blind: bool) -> Item {
        Item {
            id: view.id.0,
            lease: view.lease,
            why_no_vote: view.why_no_vote.clone(),
            may_claim: view.may_claim,
            vote: Uuid::new_v4(),
            undo_ms: u64::from(self.server.reviews.settings().undo_s) * 1000,
            source: view.source.as_str(),
            tenant: view.tenant.clone(),
            submission_id: view.submission_id.clone(),
            outcome_id: view.outcome.0,
            generation: view.generation,
            age_s: view.age_s,
            because: view.because.clone(),
            blind,
            history_href: (!blind).then(|| links::history(&view.tenant, &view.submission_id)),
            picture: None,
            picture_problem: None,
            known: Known::default(),
            evidence: None,
        }
    }
}

/// With addresses below this one.
pub(super) fn picture(base: &str, outline: Outline) -> Picture {
    let crops = outline.crops.iter().enumerate().map(|(number, crop)| Crop {
        src: format!("{base}/crops/{number}"),
        frame: crop.frame,
        x: crop.x,
        y: crop.y,
        width: crop.width,
        height: crop.height,
    });
    Picture {
        src: format!("{base}/fit"),
        actual_src: format!("{base}/actual"),
        width: outline.width,
        height: outline.height,
        crops: crops.collect(),
        sha256: outline.sha256,
    }
}

/// For people. What the object store said stays in the log.
pub(super) fn words(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Changed { .. } => "The object has changed since it was judged: what lies there now is not shown.",
        Trouble::Missing => "The object is no longer there.",
        Trouble::Unreadable(_) | Trouble::NoSuchCrop => "The picture can’t be made of these bytes.",
        Trouble::TooLarge(_) => "The picture is too large to be shown here.",
        Trouble::NotAllowed(_) => "This tenant may not have this object read.",
        Trouble::Unreachable(_) => "The object store did not answer: load the page again.",
    }
    .into()
}

/// What was judged, and when.
pub(super) fn judged(verdict: &Verdict) -> Bytes {
    let image = &verdict.image;
    Bytes {
        sha256: image.sha256.clone(),
        bytes: image.bytes,
        version_id: image.version_id.clone(),
        at: verdict.decided_at,
    }
}

pub(super) fn found(trouble: &Trouble) -> Option<Bytes> {
    let found = trouble.found()?;
    Some(Bytes {
        sha256: found.sha256.clone(),
        bytes: found.bytes,
        version_id: found.version_id.clone(),
        at: OffsetDateTime::now_utc(),
    })
}

fn evidence(verdict: &Verdict, history: History) -> Evidence {
    let generations = history.generations.into_iter().map(generation).collect();
    let labels = history.labels.into_iter().map(label).collect();
    Evidence::of(verdict, generations, labels)
}

pub(super) fn generation(of: review::Generation) -> Generation {
    Generation {
        generation: of.generation,
        decision: of.decision,
        failure: of.failure,
        synthetic: of.synthetic,
        by: of.by.map(|by| if by == BY_PEOPLE { by } else { format!("model {by}") }),
        at: of.at,
    }
}

pub(super) fn label(of: review::LabelRow) -> KnownLabel {
    KnownLabel {
        origin: of.origin,
        generator: of.generator,
        ground: of.grounds.into_iter().next(),
        actor: of.actor,
        at: of.at,
    }
}
