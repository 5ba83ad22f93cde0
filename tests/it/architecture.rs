//! Who may use whom: the table of ARCHITECTURE.md, held against the source.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each room and the rooms that it may name.
const ROOMS: &[(&str, &[&str])] = &[
    ("delivery", &[]),
    ("imaging", &[]),
    ("picture", &["imaging"]),
    ("moderation", &["imaging"]),
    ("decoding", &["imaging", "moderation"]),
    // The child: a crate of its own, of whose modules two are the library's.
    ("bin", &["imaging"]),
    ("telemetry", &["moderation"]),
    ("shutdown", &[]),
    ("tls", &[]),
    ("broker", &["delivery", "moderation", "tls"]),
    ("objects", &["moderation", "tls"]),
    ("database", &["tls"]),
    ("ledger", &["database", "moderation"]),
    ("labels", &["broker", "database", "ledger", "moderation", "objects"]),
    ("detector", &["imaging", "moderation"]),
    ("registry", &["database", "detector", "moderation", "objects"]),
    ("training", &["detector", "imaging", "moderation", "picture"]),
    ("evaluation", &["decoding", "detector", "imaging", "labels", "moderation", "picture", "training"]),
    (
        "retrain",
        &[
            "database",
            "decoding",
            "detector",
            "evaluation",
            "imaging",
            "labels",
            "moderation",
            "objects",
            "picture",
            "registry",
            "training",
        ],
    ),
    (
        "worker",
        &[
            "broker",
            "decoding",
            "delivery",
            "detector",
            "imaging",
            "ledger",
            "moderation",
            "objects",
            "registry",
            "shutdown",
            "telemetry",
        ],
    ),
    ("admin", &["worker"]),
    (
        "config",
        &[
            "admin",
            "broker",
            "decoding",
            "detector",
            "imaging",
            "labels",
            "ledger",
            "objects",
            "registry",
            "retrain",
            "telemetry",
            "worker",
        ],
    ),
    (
        "commands",
        &[
            "admin",
            "broker",
            "config",
            "database",
            "decoding",
            "delivery",
            "detector",
            "evaluation",
            "imaging",
            "labels",
            "ledger",
            "moderation",
            "objects",
            "picture",
            "registry",
            "retrain",
            "shutdown",
            "telemetry",
            "training",
            "worker",
        ],
    ),
];

/// Libraries that only these rooms may name.
const LIBRARIES: &[(&str, &str)] = &[
    ("lapin", "broker"),
    ("aws_sdk_s3", "objects"),
    ("aws_config", "objects"),
    ("aws_smithy_http_client", "objects"),
    ("rustls", "tls"),
    ("minisign_verify", "detector"),
    ("sqlx", "database"),
    ("sqlx", "ledger"),
    ("sqlx", "labels"),
    ("sqlx", "registry"),
    ("tch", "detector"),
    ("tch", "training"),
    ("torch_sys", "detector"),
    ("torch_sys", "training"),
    ("turbojpeg_sys", "imaging"),
    ("turbojpeg_sys", "picture"),
    ("libwebp_sys", "imaging"),
    ("libwebp_sys", "picture"),
    ("fast_image_resize", "picture"),
    ("image_hasher", "picture"),
    ("plotters", "evaluation"),
    ("minijinja", "evaluation"),
    ("landlock", "bin"),
    ("seccompiler", "bin"),
    ("axum", "admin"),
    ("opentelemetry", "telemetry"),
    ("opentelemetry_http", "telemetry"),
    ("opentelemetry_otlp", "telemetry"),
    ("opentelemetry_sdk", "telemetry"),
    ("tracing_opentelemetry", "telemetry"),
    ("prometheus", "telemetry"),
    ("clap", "commands"),
];

struct Source {
    path: PathBuf,
    room: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = walkdir::WalkDir::new(&root)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "rs") && entry.depth() > 0);
    let files = files.filter_map(|entry| {
        let path = entry.path().strip_prefix(&root).unwrap().to_owned();
        let first = path.components().next()?.as_os_str().to_str()?.trim_end_matches(".rs").to_string();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        // The map and the entry name every room.
        (first != "lib" && first != "main").then_some(Source { path, room: first, text })
    });
    files.collect()
}

/// The words that follow `prefix` in code, comments left out.
fn named_after<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).flat_map(move |line| {
        line.match_indices(prefix).map(move |(at, _)| {
            let rest = &line[at + prefix.len()..];
            rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
        })
    })
}

#[test]
fn rooms_use_only_those_below_them() {
    let mut wrong = BTreeSet::new();
    for Source { path, room, text } in sources() {
        let allowed = ROOMS.iter().find(|(name, _)| *name == room);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{} is in no room of ARCHITECTURE.md", path.display()));
        // Names in braces would slip through: they are written out, except where everything may be used.
        assert!(!text.contains("use crate::{") || room == "config" || room == "commands", "{}", path.display());
        for used in named_after(&text, "crate::") {
            let known = ROOMS.iter().any(|(name, _)| *name == used);
            if known && used != room && !allowed.contains(&used) {
                wrong.insert(format!("{}: {room} may not use {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn libraries_keep_to_their_rooms() {
    let mut wrong = BTreeSet::new();
    for Source { path, room, text } in sources() {
        for (library, _) in LIBRARIES {
            let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            let names = |line: &str| {
                line.match_indices(&format!("{library}::"))
                    .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
            };
            if !LIBRARIES.contains(&(library, room.as_str())) && code.clone().any(names) {
                wrong.insert(format!("{}: {room}/ may not name {library}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_document_lists_the_same_rooms() {
    let document = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    for (room, _) in ROOMS {
        assert!(
            document.contains(&format!("| `{room}.rs` |")) || document.contains(&format!("| `{room}/` |")),
            "ARCHITECTURE.md has no row for {room}"
        );
    }
}
