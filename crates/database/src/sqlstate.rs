//! What the codes mean by which PostgreSQL names its errors (its manual, appendix A). Pure.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// No connection, or none any more.
    Unreachable,
    /// Wrong user or password, or no such database.
    LoginRefused,
    NotMigrated,
    Forbidden,
    /// It passes by itself, or when somebody makes room.
    Hindered,
    /// The same call fails again.
    Permanent,
}

pub(crate) fn meaning(code: &str) -> Meaning {
    match code {
        // Undefined schema, table or column.
        "3F000" | "42P01" | "42703" => Meaning::NotMigrated,
        "42501" => Meaning::Forbidden,
        // No such database, or it was dropped.
        "3D000" | "57P04" => Meaning::LoginRefused,
        // Too many connections.
        "53300" => Meaning::Unreachable,
        // A statement that took too long, what somebody else holds, and a server that takes no writes, as after it lost its
        // place as the primary.
        "57014" | "55006" | "55P03" | "25006" => Meaning::Hindered,
        _ => match code.get(..2).unwrap_or_default() {
            "08" => Meaning::Unreachable,
            "28" => Meaning::LoginRefused,
            // Going down, coming up, crashed.
            "57" => Meaning::Unreachable,
            // Transactions undone, resources short (a full disk, memory), input and output.
            "40" | "53" | "58" => Meaning::Hindered,
            _ => Meaning::Permanent,
        },
    }
}

/// Whether the server is going away, or takes no writes: another connection may lead to another one.
pub(crate) fn is_of_another_server(code: &str) -> bool {
    matches!(code, "25006" | "57P01" | "57P02" | "57P03")
}

/// Whether it is about a value: text that the encoding lacks, a number out of range, a key that is too long for an index.
pub(crate) fn is_about_a_value(code: &str) -> bool {
    code.starts_with("22") || matches!(code, "23514" | "54000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_told_from_a_table_and_from_trouble() {
        assert!(["22021", "22P05", "22001", "54000"].into_iter().all(is_about_a_value));
        assert!(!["42P01", "40001", "53100", "23505", ""].into_iter().any(is_about_a_value));
    }

    #[test]
    fn each_code_has_its_meaning() {
        use Meaning::{Forbidden, Hindered, LoginRefused, NotMigrated, Permanent, Unreachable};
        for (codes, expected) in [
            (&["08000", "08006", "57P01", "57P02", "57P03", "53300"][..], Unreachable),
            (&["28P01", "28000", "3D000", "57P04"], LoginRefused),
            (&["3F000", "42P01", "42703"], NotMigrated),
            (&["42501"], Forbidden),
            (&["40001", "40P01", "53100", "53200", "55P03", "57014", "58030", "25006"], Hindered),
            (&["22021", "23503", "23505", "42601", "0A000", "XX001", ""], Permanent),
        ] {
            for code in codes {
                assert_eq!(meaning(code), expected, "{code}");
            }
        }
    }
}
