//! Somebody who is in a version before the newest only: rows and questions do not show them, and the archive has them all the same.

use std::fs;

use callvault::{model::time::Age, simulate::Planted};

use crate::support::{Bench, ago, empty, files_under};

const NAME: &str = "Wendelin Quarkson";
const UPN: &str = "wendelin.quarkson@contoso.com";

/// Two calls of three days ago, `once` with somebody in its first version and not in its second; the holds before are added first.
fn bench(holds: &[&[&str]]) -> Bench {
    let bench = Bench::new(empty());
    bench.sync();
    for hold in holds {
        bench.args(&[&["hold", "add"], *hold, &["--matter", "m"]].concat()).ends_with(0);
    }
    let id = "3f2c8d2e-6b1a-4c39-9e57-2d8b7a41c0f6";
    let identity = format!(
        r#"{{"id":"{id}","identity":{{"user":{{"id":"{id}","displayName":"{NAME}","userPrincipalName":"{UPN}"}}}}}}"#
    );
    let start = ago(Age::days(3));
    let first = Planted::meeting("once", start).sessions(1).raw_participants([identity]);
    bench.simulator.plant(first.version(2, ago(Age::hours(0)) + Age::hours(1)).participants(2));
    bench.simulator.plant(Planted::meeting("other", start));
    bench.simulator.advance(Age::minutes(1));
    bench.sync();
    assert_eq!(bench.args(&["query", "--participant", UPN, "--count"]).ends_with(0).line(), "1");
    bench.simulator.advance(Age::hours(2));
    bench.sync();
    assert_eq!(bench.raw_value("once")["version"], 2);
    assert_eq!(bench.args(&["query", "--participant", UPN, "--count"]).ends_with(0).line(), "0");
    let file = bench.beside("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, format!("{text}[[disposal.rule]]\nkind = 'call'\nkeep = '1d'\n")).unwrap();
    bench.run("retention set").ends_with(0);
    bench
}

#[test]
fn a_hold_keeps_a_record_of_which_it_covers_an_older_version_only() {
    for hold in
        [&["case", "--participant", UPN][..], &["case", "Quarkson"], &["case", "--participant", NAME, "Quarkson"]]
    {
        let bench = bench(&[hold]);
        let shown = bench.run("retention apply").ends_with(0).text();
        assert!(shown.contains("call: 1 records") && shown.contains("held: 1 records, by the hold 'case'"), "{shown}");
        bench.run("retention apply --yes").ends_with(0);
        bench.run("show once").ends_with(0);
        bench.run("show other").ends_with(2).telling("was disposed of");
        bench.args(&["hold", "release", "case", "--reason", "over"]).ends_with(0);
        bench.run("retention apply --yes").ends_with(0);
        bench.run("show once").ends_with(2).telling("was disposed of");
        bench.run("verify").ends_with(0);
    }
}

#[test]
fn a_hold_that_is_added_says_that_it_covers_it() {
    let bench = bench(&[]);
    for hold in [&["a", "--participant", UPN][..], &["b", "Quarkson"]] {
        let added = bench.args(&[&["hold", "add"], hold, &["--matter", "m"]].concat()).ends_with(0);
        assert!(added.text().contains("it covers 1 records now"), "{}", added.text());
    }
    let holds = bench.run("hold list --format json").ends_with(0).json();
    assert_eq!((&holds[0]["records"], &holds[1]["records"]), (&1.into(), &1.into()), "{holds}");
}

#[test]
fn an_access_request_gets_it_in_all_its_versions() {
    let bench = bench(&[]);
    for (whom, text) in [(UPN, None), (NAME, Some("type:groupCall"))] {
        let mut ask = vec!["export", "--person", whom];
        ask.extend(text);
        let lines = bench.args(&[&ask[..], &["--format", "ndjson"]].concat()).ends_with(0).text();
        assert_eq!((lines.lines().count(), lines.matches(NAME).count() > 0), (2, true), "{lines}");
        let folder = bench.beside(&format!("package{}", ask.len()));
        bench.args(&[&ask[..], &["--package", folder.to_str().unwrap()]].concat()).ends_with(0);
        assert_eq!(fs::read_to_string(folder.join("data/records.ndjson")).unwrap(), lines);
        bench.args(&["verify", "--package", folder.to_str().unwrap()]).ends_with(0);
    }
    let csv = bench.args(&["export", "--person", UPN, "--format", "csv"]).ends_with(0).text();
    assert_eq!(csv.lines().count(), 3, "{csv}");
}

#[test]
fn who_is_erased_is_in_no_older_version_either() {
    let bench = bench(&[]);
    fs::write(bench.beside("request.pdf"), "please").unwrap();
    let proof = bench.beside("request.pdf").display().to_string();
    let erase = ["retention", "erase", "--person", UPN, "--reason", "Art. 17", "--proof", &proof, "--yes"];
    bench.args(&["hold", "add", "case", "--matter", "m", "--participant", UPN]).ends_with(0);
    bench.args(&erase).ends_with(2).telling("the hold 'case' forbids it");
    bench.args(&["hold", "release", "case", "--reason", "over"]).ends_with(0);
    bench.args(&["query", NAME]).ends_with(0);
    let done = bench.args(&erase).ends_with(0);
    assert!(done.text().contains("disposed of 1 records in 2 versions"), "{}", done.text());
    for word in [NAME, UPN] {
        for file in files_under(&bench.archive()) {
            let bytes = fs::read(&file).unwrap();
            assert!(!bytes.windows(word.len()).any(|at| at == word.as_bytes()), "{word} is in {}", file.display());
        }
    }
    bench.run("show other").ends_with(0);
    bench.run("verify").ends_with(0);
}
