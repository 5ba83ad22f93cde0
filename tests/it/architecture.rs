//! The table of packages in ARCHITECTURE.md, held against Cargo's manifests; and what Cargo can't say: how long files are,
//! and that no two of a package's files use each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Lines that a source file may have. Beyond it there is a second subject in it.
const MOST_LINES: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The packages of the workspace, each with what it depends on, other than for its tests.
fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let dependencies = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|one| one["kind"].is_null()).map(|one| text(&one["name"])).collect()
    };
    document["packages"].as_array().unwrap().iter().map(|one| (text(&one["name"]), dependencies(one))).collect()
}

/// The names between backquotes.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_string).collect()
}

#[test]
fn packages_use_those_that_the_document_lists_and_no_others() {
    let document = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = document.split("| package |").nth(1).expect("ARCHITECTURE.md has the table of packages");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let listed: BTreeMap<String, BTreeSet<String>> = rows
        .map(|row| {
            let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
            (quoted(cells[0]).into_iter().next().expect("the first cell names a package"), quoted(cells[2]))
        })
        .collect();
    let packages = packages();
    let ours: BTreeSet<_> = packages.keys().cloned().collect();
    let used = packages.into_iter().map(|(name, uses)| (name, uses.intersection(&ours).cloned().collect()));
    assert_eq!(used.collect::<BTreeMap<String, BTreeSet<String>>>(), listed);
}

#[test]
fn libtorch_is_needed_by_the_engine_and_those_who_use_it_only() {
    let needs = |uses: &BTreeSet<String>| ["tch", "torch-sys", "engine"].iter().any(|name| uses.contains(*name));
    let those: Vec<_> = packages().into_iter().filter(|(_, uses)| needs(uses)).map(|(name, _)| name).collect();
    assert_eq!(those, ["assay", "engine", "learn"]);
}

#[test]
fn training_knows_the_edges_by_their_ports_only() {
    for Source { path, text } in sources("crates/learn/src") {
        for real in ["postgres::", "s3::", "rabbit::"] {
            assert!(!text.contains(real), "{} names {real}", path.display());
        }
    }
}

#[test]
fn no_source_file_has_a_second_subject() {
    let long = every_source().filter(|source| source.text.lines().count() > MOST_LINES);
    let long: Vec<_> = long.map(|source| source.path.display().to_string()).collect();
    assert!(long.is_empty(), "above {MOST_LINES} lines: {long:#?}");
}

#[test]
fn no_two_files_of_a_package_use_each_other() {
    let mut folders = vec!["src".to_string()];
    folders.extend(crates().map(|name| format!("crates/{name}/src")));
    let circles: Vec<String> = folders.iter().flat_map(|folder| circles(folder)).collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

struct Source {
    /// Below the folder that was asked for.
    path: PathBuf,
    text: String,
}

fn crates() -> impl Iterator<Item = String> {
    std::fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap())
}

fn sources(folder: &str) -> impl Iterator<Item = Source> {
    let folder = root().join(folder);
    let files = walkdir::WalkDir::new(&folder).into_iter().map(Result::unwrap);
    files.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "rs")).map(move |entry| Source {
        path: entry.path().strip_prefix(&folder).unwrap().to_owned(),
        text: std::fs::read_to_string(entry.path()).unwrap(),
    })
}

fn every_source() -> impl Iterator<Item = Source> {
    ["src", "crates", "tests/it", "benches"].into_iter().flat_map(sources)
}

/// `retrain/job.rs` → `[retrain, job]`, `retrain/mod.rs` → `[retrain]`.
fn module(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = path.with_extension("").iter().map(|part| part.to_str().unwrap().to_string()).collect();
    if names.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        names.pop();
    }
    names
}

/// The modules that a file names by `crate::…` or `super::…`, also in braces; comments and its tests left out.
fn named(own: &[String], text: &str) -> Vec<Vec<String>> {
    let code: Vec<_> = text.split("#[cfg(test)]").next().unwrap_or_default().lines().collect();
    let code: String =
        code.iter().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
    let (mut found, mut groups): (Vec<Vec<String>>, Vec<Option<Vec<String>>>) = (Vec::new(), Vec::new());
    let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut rest = code.as_str();
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c| !is_of_path(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length.max(first.len_utf8()));
        rest = after;
        match first {
            '{' => groups.push(None),
            '}' => drop(groups.pop()),
            _ if length > 0 => {
                let group = groups.last().and_then(Option::as_deref);
                let Some(path) = resolved(own, group, word) else { continue };
                if word.ends_with("::") && rest.starts_with('{') {
                    groups.push(Some(path.clone()));
                    rest = &rest[1..];
                }
                found.push(path);
            }
            _ => {}
        }
    }
    found
}

/// From the root of the package, what a path says in this module, or in braces behind another path.
fn resolved(own: &[String], group: Option<&[String]>, word: &str) -> Option<Vec<String>> {
    let mut parts = word.split("::").filter(|part| !part.is_empty()).peekable();
    let mut base = match (parts.peek().copied()?, group) {
        ("crate", _) => Vec::new(),
        ("super", _) => own[..own.len().saturating_sub(1)].to_vec(),
        (_, Some(group)) => group.to_vec(),
        _ => return None,
    };
    parts.next_if(|part| ["crate", "super"].contains(part));
    while parts.next_if_eq(&"super").is_some() {
        base.pop();
    }
    base.extend(parts.filter(|part| *part != "self").map(str::to_string));
    Some(base)
}

/// Pairs of a package's files that use each other, over however many files between. A module and those inside it are one
/// subject, and may.
fn circles(folder: &str) -> Vec<String> {
    let files: BTreeMap<Vec<String>, String> = sources(folder).map(|file| (module(&file.path), file.text)).collect();
    let file_of = |mut path: Vec<String>| {
        while !files.contains_key(&path) {
            path.pop()?;
        }
        Some(path)
    };
    let uses: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> = files
        .iter()
        .map(|(own, text)| {
            let others = named(own, text).into_iter().filter_map(file_of);
            (own, others.filter(|other| !own.starts_with(other) && !other.starts_with(own)).collect())
        })
        .collect();
    let reached = |from: &Vec<String>| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(next) = open.pop() {
            for other in uses.get(&next).into_iter().flatten() {
                if seen.insert(other.clone()) {
                    open.push(other.clone());
                }
            }
        }
        seen
    };
    let reach: BTreeMap<_, _> = files.keys().map(|file| (file, reached(file))).collect();
    let circle = |(left, right): (&Vec<String>, &Vec<String>)| {
        (left < right && reach[left].contains(right) && reach[right].contains(left))
            .then(|| format!("{folder}: {} ↔ {}", left.join("/"), right.join("/")))
    };
    let pairs = files.keys().flat_map(|left| files.keys().map(move |right| (left, right)));
    pairs.filter_map(circle).collect()
}
