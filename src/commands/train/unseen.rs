//! What was measured when a model was made, for people: on held-out images, and on sources and generators that were left out.

use serde_json::Value;

/// So many of the worst sources and generators are named.
const WORST: usize = 3;
const FIGURES: [&str; 4] = ["auc", "false_alarms", "missed", "uncertain"];

/// Of `metrics` of a manifest; empty where nothing was measured.
pub(in crate::commands) fn figures(metrics: &Value) -> String {
    let mut lines = Vec::new();
    let figure = |name: &str| metrics[name].as_f64().map_or("–".into(), |value| format!("{value:.3}"));
    if !metrics["auc"].is_null() {
        lines.push(format!(
            "held out   AUC {}, balanced accuracy {}, generator {}, ECE {} (uncalibrated {})",
            figure("auc"),
            figure("balanced_accuracy"),
            figure("generator_top1"),
            figure("ece"),
            figure("ece_uncalibrated"),
        ));
    }
    if !metrics["unseen"].is_null() {
        lines.push(table(&metrics["unseen"]));
    }
    lines.join("\n")
}

/// Of `metrics.unseen`.
fn table(unseen: &Value) -> String {
    let mut lines = vec![
        format!(
            "left out   {} images of {} sources and {} generators; intervals are over these",
            unseen["images"], unseen["sources"], unseen["generators"]
        ),
        format!(
            "           {:<14} {:<20} {:<20} {:<20} uncertain",
            "", "AUC", "real called synth.", "synth. called real"
        ),
    ];
    for group in ["conditions", "content_types"] {
        let rows = unseen[group].as_object().into_iter().flatten();
        lines.extend(rows.map(|(name, figures)| {
            let [auc, false_alarms, missed, uncertain] = FIGURES.map(|figure| cell(figures, figure));
            format!("           {name:<14} {auc:<20} {false_alarms:<20} {missed:<20} {uncertain}")
        }));
    }
    for (list, words) in [("by_source", "called synthetic"), ("by_generator", "called real")] {
        let worst = unseen[list].as_array().into_iter().flatten().take(WORST);
        let worst: Vec<String> = worst
            .map(|one| format!("{} {}", one["name"].as_str().unwrap_or_default(), percent(&one["wrong"])))
            .collect();
        lines.push(format!("           most {words}: {}", worst.join(", ")));
    }
    lines.join("\n")
}

/// A figure and its interval.
fn cell(figures: &Value, name: &str) -> String {
    let value = &figures[name];
    let interval = &figures[format!("{name}_interval")];
    let write = |value: &Value| match (name, value.as_f64()) {
        (_, None) => "–".into(),
        ("auc", Some(value)) => format!("{value:.3}"),
        (_, Some(_)) => percent(value),
    };
    match interval.is_null() {
        true => write(value),
        false => format!("{} ({}–{})", write(value), write(&interval[0]), write(&interval[1])),
    }
}

fn percent(share: &Value) -> String {
    share.as_f64().map_or("–".into(), |share| format!("{:.1} %", 100.0 * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_with_their_intervals_and_the_worst_are_named() {
        let unseen = serde_json::json!({
            "images": 40, "sources": 2, "generators": 3,
            "conditions": {"social": {"auc": 0.9, "auc_interval": [0.8, 0.95], "false_alarms": 0.03, "false_alarms_interval": [0.01, 0.06],
                "missed": 0.1, "missed_interval": null, "uncertain": null, "uncertain_interval": null}},
            "content_types": {},
            "by_source": [{"name": "asp", "images": 9, "wrong": 0.25, "uncertain": 0.5}],
            "by_generator": [],
        });
        let table = table(&unseen);
        assert!(table.contains("0.900 (0.800–0.950)") && table.contains("3.0 % (1.0 %–6.0 %)"), "{table}");
        assert!(table.contains("most called synthetic: asp 25.0 %") && table.contains("10.0 %"), "{table}");
    }
}
