//! What a campaign has changed: decisions before and after, three by three, in groups.

use std::collections::BTreeMap;

/// By what decisions are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    #[default]
    All,
    Tenant,
    /// That of the verdict before.
    Generator,
    /// Of the file.
    Format,
    /// What people say of the image.
    Label,
}

impl By {
    /// The campaign is $1.
    pub(crate) fn statement(self) -> &'static str {
        match self {
            By::All => {
                "SELECT '' AS name, decision, result, count(*) AS items FROM campaign_items
                 WHERE campaign_id = $1 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
            }
            By::Tenant => {
                "SELECT tenant AS name, decision, result, count(*) AS items FROM campaign_items
                 WHERE campaign_id = $1 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
            }
            By::Generator => {
                "SELECT coalesce(v.generator, 'none') AS name, i.decision, result, count(*) AS items
                 FROM campaign_items AS i LEFT JOIN verdicts AS v USING (recorded_at, verdict_id)
                 WHERE campaign_id = $1 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
            }
            By::Format => {
                "SELECT coalesce(CASE WHEN strpos(v.remainder::text, '\\u0000') = 0 THEN v.remainder->'image'->>'format' END, 'not known')
                     AS name, i.decision, result, count(*) AS items
                 FROM campaign_items AS i LEFT JOIN verdicts AS v USING (recorded_at, verdict_id)
                 WHERE campaign_id = $1 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
            }
            By::Label => {
                "SELECT coalesce('labelled ' || l.origin, 'no label') AS name, i.decision, result, count(*) AS items
                 FROM campaign_items AS i LEFT JOIN verdicts AS v USING (recorded_at, verdict_id)
                 LEFT JOIN labels_in_force AS l ON l.sha256 = encode(v.image_sha256, 'hex')
                 WHERE campaign_id = $1 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
            }
        }
    }
}

/// How many items of a group went from one decision to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub before: String,
    /// `failed`: the image could not be judged again; `None`: the result is awaited.
    pub after: Option<String>,
    pub items: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(pub Vec<Group>);

/// The order of rows and columns.
const DECISIONS: [&str; 3] = ["real", "uncertain", "synthetic"];

impl Changes {
    /// A table for each group: decisions before in rows, after in columns, then those that failed and those awaited.
    pub fn lines(&self) -> Vec<String> {
        let mut groups: BTreeMap<&str, Vec<&Group>> = BTreeMap::new();
        for group in &self.0 {
            groups.entry(&group.name).or_default().push(group);
        }
        let mut lines = Vec::new();
        for (name, groups) in groups {
            let head = ["before \\ after", "real", "uncertain", "synthetic", "failed", "awaited"];
            if !name.is_empty() {
                lines.push(name.to_string());
            }
            lines.push(row(&head.map(String::from)));
            for before in DECISIONS {
                let count = |after: Option<&str>| {
                    let those = groups.iter().filter(|group| group.before == before && group.after.as_deref() == after);
                    those.map(|group| group.items).sum::<u64>().to_string()
                };
                let after = [DECISIONS[0], DECISIONS[1], DECISIONS[2], "failed"].map(|after| count(Some(after)));
                let [real, uncertain, synthetic, failed] = after;
                lines.push(row(&[before.to_string(), real, uncertain, synthetic, failed, count(None)]));
            }
        }
        lines
    }
}

fn row(cells: &[String; 6]) -> String {
    let [first, rest @ ..] = cells;
    let rest: String = rest.iter().map(|cell| format!("{cell:>11}")).collect();
    format!("  {first:<14}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_shown_three_by_three() {
        let group = |before: &str, after: Option<&str>, items| Group {
            name: String::new(),
            before: before.into(),
            after: after.map(String::from),
            items,
        };
        let changes = Changes(vec![
            group("synthetic", Some("real"), 3),
            group("synthetic", Some("synthetic"), 20),
            group("real", Some("failed"), 1),
            group("uncertain", None, 7),
        ]);
        let expected = [
            "  before \\ after       real  uncertain  synthetic     failed    awaited",
            "  real                    0          0          0          1          0",
            "  uncertain               0          0          0          0          7",
            "  synthetic               3          0         20          0          0",
        ];
        assert_eq!(changes.lines(), expected);
    }
}
