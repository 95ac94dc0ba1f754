//! The table of which room uses which (docs/architecture.md). A new arrow is a design decision: change the table in the same
//! commit and say why.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::support::files_under;

/// Each room of `src/` and those it may use.
const ROOMS: [(&str, &[&str]); 20] = [
    ("model", &[]),
    ("proof", &[]),
    ("httpd", &[]),
    // Every commit ends with a signed checkpoint over the ledger.
    ("archive", &["model", "proof"]),
    ("search", &["model"]),
    ("graph", &["model"]),
    // Follower: reads the ledger, feeds the index.
    ("follow", &["archive", "model", "search"]),
    // What the index has not read yet, a query reads from the ledger as a follower would.
    ("query", &["archive", "follow", "model", "search"]),
    ("tables", &["model"]),
    // Whoever checks a package has no archive.
    ("package", &["model", "proof"]),
    ("sync", &["archive", "follow", "graph", "model"]),
    ("seal", &["archive", "model"]),
    // What a hold's text matches is a question; what is disposed of leaves the index.
    ("retain", &["archive", "follow", "model", "query"]),
    ("reindex", &["archive", "follow", "model", "search"]),
    ("export", &["archive", "model", "package", "proof", "query", "tables"]),
    // What the index should hold is what a follower would give it; what the archive should hold, Graph can still say. The tables of a
    // package are made again to be compared.
    ("verify", &["archive", "follow", "graph", "model", "package", "proof", "search", "tables"]),
    ("status", &["archive", "model"]),
    // How far the index is, only the index itself can say.
    ("doctor", &["archive", "graph", "model", "search"]),
    ("simulate", &["httpd", "model"]),
    // It faces the internet: of the archive it knows the inbox alone.
    ("web", &["archive", "httpd", "model"]),
];

/// What faces the internet may reach of the archive.
const SHOWN_TO_THE_WEB: &str = "crate::archive::inbox::";

/// The simulator is a second witness: of the model it shares ids and times only.
const SHARED_WITH_THE_SIMULATOR: [&str; 2] = ["crate::model::time", "crate::model::id"];

fn source() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
}

/// Every `crate::…` path in a text, groups taken apart: `crate::{model::{id, time}, sync}` has three.
fn arrows(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |all, line| all + line + "\n");
    code.match_indices("crate::")
        .filter(|(at, _)| {
            !code[..*at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == '$')
        })
        .flat_map(|(at, _)| unfold("crate", &mut code[at + "crate::".len()..].chars().peekable()))
        .collect()
}

fn unfold(prefix: &str, rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Vec<String> {
    let mut path = prefix.to_owned();
    let mut word = String::new();
    loop {
        match rest.peek().copied() {
            Some(letter) if letter.is_alphanumeric() || letter == '_' => {
                word.push(letter);
                rest.next();
            }
            Some(':') if !word.is_empty() => {
                rest.next();
                rest.next_if_eq(&':');
                path = format!("{path}::{word}");
                word.clear();
            }
            Some('{') => {
                rest.next();
                let mut paths = Vec::new();
                loop {
                    while rest.next_if(|letter| letter.is_whitespace() || *letter == ',').is_some() {}
                    if rest.next_if_eq(&'}').is_some() || rest.peek().is_none() {
                        return paths;
                    }
                    let before = rest.clone().count();
                    paths.extend(unfold(&path, rest));
                    if rest.clone().count() == before {
                        rest.next();
                    }
                }
            }
            _ => return if word.is_empty() { Vec::new() } else { vec![format!("{path}::{word}")] },
        }
    }
}

fn sources_under(folder: &Path) -> impl Iterator<Item = PathBuf> {
    files_under(folder).into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
}

fn room_of(file: &Path) -> String {
    let first = file.strip_prefix(source()).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

#[test]
fn every_room_uses_only_rooms_below_it() {
    let mut wrong = BTreeSet::new();
    for file in sources_under(source()) {
        let room = room_of(&file);
        if matches!(room.as_str(), "main" | "lib" | "cli" | "fuzzing") {
            continue;
        }
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            wrong.insert(format!("{room} is not in the table of rooms"));
            continue;
        };
        for arrow in arrows(&fs::read_to_string(&file).unwrap()) {
            let used = arrow.split("::").nth(1).unwrap_or_default();
            if used != room && !allowed.contains(&used) {
                wrong.insert(format!(
                    "{room} may not use {used}: {arrow} in {}",
                    file.strip_prefix(source()).unwrap().display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_simulator_shares_only_ids_and_times_with_the_client() {
    for file in sources_under(&source().join("simulate")) {
        for arrow in arrows(&fs::read_to_string(&file).unwrap()) {
            let shared = SHARED_WITH_THE_SIMULATOR.iter().any(|path| arrow.starts_with(path));
            assert!(!arrow.starts_with("crate::model") || shared, "{} uses {arrow}", file.display());
        }
    }
}

#[test]
fn what_faces_the_internet_knows_the_inbox_alone() {
    let mut arrows_seen = 0;
    for file in sources_under(&source().join("web")) {
        for arrow in arrows(&fs::read_to_string(&file).unwrap()) {
            let is_of_archive = arrow.starts_with("crate::archive");
            arrows_seen += usize::from(is_of_archive);
            assert!(!is_of_archive || arrow.starts_with(SHOWN_TO_THE_WEB), "{} uses {arrow}", file.display());
        }
    }
    assert!(arrows_seen > 0, "the room is elsewhere by now");
}

#[test]
fn each_keeper_speaks_its_foreign_language_alone() {
    for (crate_name, room) in [("rusqlite", "archive"), ("tantivy", "search"), ("reqwest", "graph"), ("axum", "httpd")]
    {
        for file in sources_under(source()) {
            let text = fs::read_to_string(&file).unwrap();
            let speaks = text
                .lines()
                .any(|line| !line.trim_start().starts_with("//") && line.contains(&format!("{crate_name}::")));
            let is_allowed = room_of(&file) == room
                || file.ends_with("tests.rs")
                || file.components().any(|part| part.as_os_str() == "tests")
                // A Graph and its clients in one: it answers requests, and sends notifications.
                || (matches!(crate_name, "axum" | "reqwest") && room_of(&file) == "simulate")
                // What is served to Graph is requests and answers; serving them is httpd's.
                || (crate_name == "axum" && room_of(&file) == "web");
            assert!(!speaks || is_allowed, "{} uses {crate_name}, which is {room}'s alone", file.display());
        }
    }
}

#[test]
fn groups_of_a_use_are_taken_apart() {
    let text = "use crate::{\n    model::{id, time::{Age, Span}},\n    sync::plan,\n};\nlet x = crate::archive::Seq(1); // crate::no";
    let expected = [
        "crate::model::id",
        "crate::model::time::Age",
        "crate::model::time::Span",
        "crate::sync::plan",
        "crate::archive::Seq",
        "crate::no",
    ];
    assert_eq!(arrows(text), expected);
}
