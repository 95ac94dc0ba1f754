//! Killed at any moment, the archive is whole as far as it goes, and the next sync brings the rest.

use std::{thread, time::Duration};

use callvault::{
    archive::{Archive, Folder},
    model::id::Seq,
    simulate::{Fault, PageSizes, Settings, Weather},
};
use rand::RngExt;

use crate::{
    logs::{assert_holds_the_logs, telephoning},
    seal::grown_unsealed,
    support::{Bench, bytes_of, company, empty, end_of, files_under, mild},
};

/// The ledger counts 1, 2, 3, … without a gap.
pub(crate) fn assert_ledger_is_gapless(bench: &Bench) {
    let archive = Archive::open(&Folder::new(&bench.archive())).unwrap();
    let entries = archive.entries_after(Seq(0), usize::from(u16::MAX)).unwrap();
    assert!(entries.iter().map(|(seq, _)| seq.0).eq(1..=i64::try_from(entries.len()).unwrap()));
}

#[test]
fn a_sync_killed_at_random_points_again_and_again_loses_nothing() {
    let bench = Bench::new(company(14, 26));
    let mut killed = 0;
    for _ in 0..8 {
        let wait = Duration::from_millis(rand::rng().random_range(30..900));
        let mut sync = bench.start("sync");
        thread::sleep(wait);
        if sync.try_wait().unwrap().is_none() {
            killed += 1;
        }
        sync.kill().unwrap();
        sync.wait().unwrap();
        if bench.archive().join("archive.db").is_file() {
            let ran = bench.run("verify");
            let code = ran.status.code();
            assert!(matches!(code, Some(0 | 2)), "after a kill at {wait:?}, verify ends with {code:?}: {ran:?}");
        }
    }
    assert!(killed > 0, "no kill met a running sync");
    let began = bench.sync();
    bench.assert_holds_the_world(began);
    bench.run("verify").ends_with(0);
    assert_ledger_is_gapless(&bench);
    let count = bench.simulator.world().expected(began).len();
    assert!(bench.run("query --count").ends_with(0).line().parse::<usize>().unwrap() >= count);
}

#[test]
fn a_killed_sync_leaves_no_lock_behind() {
    let bench = Bench::new(Settings { weather: mild(Weather::faults(0.1, 4)), ..company(15, 20) });
    let mut sync = bench.start("sync");
    while !bench.archive().join("lock").exists() {
        thread::sleep(Duration::from_millis(5));
    }
    sync.kill().unwrap();
    sync.wait().unwrap();
    bench.simulator.set_weather(mild(Weather::calm()));
    let began = bench.sync();
    bench.assert_holds_the_world(began);
}

#[test]
fn a_second_writer_is_refused_and_touches_nothing() {
    let bench = Bench::new(company(3, 3));
    bench.sync();
    let held = Folder::new(&bench.archive()).lock().unwrap();
    let asked = bench.simulator.requests();
    let before = bytes_of(&bench.archive());
    for line in ["sync", "sync --watch", "sync --source people", "reindex", "seal"] {
        bench.run(line).ends_with(5).telling("in use by another writer").telling("hint: ");
    }
    assert_eq!(bench.simulator.requests(), asked, "a second writer does not bother Graph");
    assert!(bytes_of(&bench.archive()) == before, "a second writer left something behind");
    bench.run("query --count").ends_with(0);
    bench.run("verify").ends_with(0);
    drop(held);
    bench.sync();
}

#[test]
fn of_two_syncs_at_once_one_works_and_the_other_ends_with_5() {
    let bench = Bench::new(company(14, 26));
    let mut first = bench.start("sync");
    while bench.simulator.requests().of_records() == 0 {
        thread::sleep(Duration::from_millis(2));
    }
    bench.run("sync").ends_with(5);
    bench.run("reindex").ends_with(5);
    assert_eq!(end_of(&mut first, "sync").code(), Some(0));
    let began = bench.sync();
    bench.assert_holds_the_world(began);
    bench.run("verify").ends_with(0);
}

#[test]
fn a_lock_file_that_nobody_holds_blocks_nobody() {
    let bench = Bench::new(company(3, 3));
    bench.sync();
    std::fs::write(bench.archive().join("lock"), b"4711\n").unwrap();
    let began = bench.sync();
    bench.assert_holds_the_world(began);
    bench.run("reindex").ends_with(0);
}

/// Starts `line` and kills it after a random while, again and again, and says how often it was still at work. The archive is
/// whole after each.
pub(crate) fn kill_at_random(bench: &Bench, line: &str, times: u32, longest_ms: u64) -> u32 {
    let mut killed = 0;
    for _ in 0..times {
        let wait = Duration::from_millis(rand::rng().random_range(5..longest_ms));
        let mut child = bench.start(line);
        thread::sleep(wait);
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        if bench.archive().join("archive.db").is_file() {
            let verified = bench.run("verify");
            let code = verified.status.code();
            assert!(
                matches!(code, Some(0 | 2)),
                "{line} killed after {wait:?}: {} {}",
                verified.text(),
                verified.stderr
            );
        }
    }
    killed
}

#[test]
fn a_reindex_killed_at_random_points_is_gone_on_with() {
    let bench = Bench::new(company(12, 12));
    let began = bench.sync();
    let count = bench.run("query --count").ends_with(0).line();
    let mut killed = 0;
    for _ in 0..5 {
        killed += kill_at_random(&bench, "reindex", 1, 400);
        // What rows are not there yet, no query sees; it says so.
        let asked = bench.run("query --count");
        assert!(asked.status.code() == Some(3) || asked.line() == count, "{asked:?}");
    }
    assert!(killed > 0, "no kill met a running reindex");
    bench.run("sync --source people").ends_with(0);
    assert_eq!(bench.run("query --count").ends_with(0).line(), count, "the next writing command makes what is missing");
    bench.run("reindex").ends_with(0);
    bench.assert_holds_the_world(began);
    bench.run("verify").ends_with(0);
    assert_ledger_is_gapless(&bench);
}

#[test]
fn a_sync_of_people_killed_at_random_points_loses_nobody() {
    let small = PageSizes { users: 20, ..PageSizes::default() };
    let bench = Bench::new(Settings { users: 600, page_sizes: small, ..empty() });
    let killed = kill_at_random(&bench, "sync --source people", 8, 250);
    assert!(killed > 0, "no kill met a running sync");
    bench.run("sync --source people").ends_with(0);
    bench.run("verify").ends_with(0);
    assert_ledger_is_gapless(&bench);
    let status = bench.run("status --format json").json();
    let people = status["sources"].as_array().unwrap().iter().find(|source| source["source"] == "people").unwrap();
    assert_eq!((&people["records"], &people["versions"]), (&600.into(), &600.into()), "each of them once");
}

#[test]
fn a_sync_of_logs_killed_at_random_points_loses_no_row_and_doubles_none() {
    let bench = Bench::new(telephoning());
    let killed = kill_at_random(&bench, "sync", 8, 900);
    assert!(killed > 0, "no kill met a running sync");
    let began = bench.sync();
    assert_holds_the_logs(&bench);
    bench.assert_holds_the_world(began);
    bench.run("verify").ends_with(0);
    assert_ledger_is_gapless(&bench);
}

#[test]
fn a_sealing_killed_at_random_points_loses_nothing_and_is_gone_on_with() {
    let bench = grown_unsealed(company(12, 20));
    let entries = || {
        let archive = Archive::open(&Folder::new(&bench.archive())).unwrap();
        archive.entries_after(Seq(0), usize::MAX).unwrap()
    };
    let (before, ledger) = (bench.run("export --format ndjson --versions all").ends_with(0).text(), entries());
    let mut killed = 0;
    for longest_ms in [60, 120, 250, 250, 400, 400, 600, 800] {
        killed += kill_at_random(&bench, "seal --level 12", 1, longest_ms);
        assert_eq!(bench.run("export --format ndjson --versions all").ends_with(0).text(), before);
        assert_eq!(entries()[..ledger.len()], ledger);
    }
    assert!(killed > 0, "no kill met a running sealing");
    bench.run("seal --level 12").ends_with(0);
    assert_eq!(bench.run("export --format ndjson --versions all").ends_with(0).text(), before);
    bench.run("verify").ends_with(0);
    assert_ledger_is_gapless(&bench);
    let status = bench.run("status --format json").json();
    assert_eq!(status["sealed"].as_array().unwrap().len(), 1, "whatever was begun is one file in the end");
    let sealed = files_under(&bench.archive().join("sealed"));
    assert_eq!(sealed.len(), 2, "its file and the manifest, and nothing half made: {sealed:?}");
}

#[cfg(unix)]
#[test]
fn a_sync_told_to_end_ends_in_order_and_goes_on_later() {
    let bench = Bench::new(Settings {
        weather: Weather { slow_body: Duration::from_millis(300), ..Weather::only(&[Fault::SlowBody], 1.0, 1) },
        ..company(20, 15)
    });
    let mut sync = bench.start("sync --from 10d");
    while bench.simulator.requests().of_records() < 20 {
        thread::sleep(Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_child(&sync);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(end_of(&mut sync, "sync").code(), Some(3));
    bench.run("verify").ends_with(0);
    bench.simulator.set_weather(mild(Weather::calm()));
    let began = bench.sync();
    bench.assert_holds_the_world(began);
}
