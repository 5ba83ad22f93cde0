//! What campaigns are, have changed or would change, for people and as JSON.

use serde_json::json;
use uuid::Uuid;

use super::{Groups, known};
use crate::commands::End;
use crate::commands::print::say;
use crate::moment::moment;
use campaign::{By, Campaign, Changes, Group, Postgres, Selection};
use domain::{Policy, Thresholds};

/// What other thresholds would change. Nothing is fetched, judged or written.
pub(super) async fn suppose(
    postgres: &Postgres,
    selection: &Selection,
    policy: &Policy,
    json: bool,
) -> Result<(), End> {
    let changes = postgres.supposed(selection, policy).await?;
    if json {
        say!(
            "{}",
            json!({"selection": selection, "thresholds": policy.thresholds, "calibration": policy.calibration,
                          "changes": groups(&changes)})
        );
    } else {
        let Thresholds { low, high } = policy.thresholds;
        say!("{selection}, with real below {low} and synthetic from {high}");
        changes.lines().iter().for_each(|line| say!("{line}"));
    }
    if changes.0.is_empty() {
        return Err(End::work(format!("{selection} matches no verdict in force whose document is kept")));
    }
    Ok(())
}

pub(super) async fn list(postgres: &Postgres, json: bool) -> Result<(), End> {
    let campaigns = postgres.campaigns().await?;
    if json {
        say!("{}", serde_json::Value::Array(campaigns.iter().map(document).collect()));
        return Ok(());
    }
    if campaigns.is_empty() {
        say!("there are no campaigns; `assay reverdict plan` says what one would cost");
    }
    for campaign in &campaigns {
        say!("{}", line(campaign));
    }
    Ok(())
}

fn line(campaign: &Campaign) -> String {
    let Campaign { id, state, items, awaited, flips, model, selection, .. } = campaign;
    let why = campaign.why.as_ref().map_or(String::new(), |why| format!(" ({why})"));
    format!(
        "{id}  {}  {state:<8} {items:>8} items, {} left, {awaited} awaited, {flips} changed  {selection}, by {model}: {}{why}",
        moment(campaign.created_at),
        campaign.left(),
        campaign.reason
    )
}

fn document(campaign: &Campaign) -> serde_json::Value {
    json!({
        "campaign_id": campaign.id, "actor": campaign.actor, "reason": campaign.reason, "selection": campaign.selection,
        "model": campaign.model, "state": campaign.state, "why": campaign.why, "items": campaign.items, "left": campaign.left(),
        "awaited": campaign.awaited, "flips": campaign.flips, "stop_after_flips": campaign.stop_after_flips,
        "created_at": moment(campaign.created_at), "ended_at": campaign.ended_at.map(moment),
    })
}

pub(super) async fn show(postgres: &Postgres, id: Uuid, by: Groups, json: bool) -> Result<(), End> {
    let campaign = known(postgres, id).await?;
    let by = match by {
        Groups::All => By::All,
        Groups::Tenant => By::Tenant,
        Groups::Generator => By::Generator,
        Groups::Format => By::Format,
        Groups::Label => By::Label,
    };
    let changes = postgres.changes(id, by).await?;
    if json {
        let mut document = document(&campaign);
        document["changes"] = groups(&changes);
        say!("{document}");
        return Ok(());
    }
    say!("{}", line(&campaign));
    changes.lines().iter().for_each(|line| say!("{line}"));
    Ok(())
}

fn groups(changes: &Changes) -> serde_json::Value {
    let group = |group: &Group| json!({"group": group.name, "before": group.before, "after": group.after, "items": group.items});
    changes.0.iter().map(group).collect()
}
