//! Killed at any moment, the archive is whole as far as it goes, and the next sync brings the rest.

use std::{thread, time::Duration};

use callvault::{
    archive::{Archive, Folder},
    model::id::Seq,
    simulate::{Fault, Settings, Weather},
};
use rand::RngExt;

use crate::support::{Bench, company, end_of, mild};

/// The ledger counts 1, 2, 3, … without a gap.
fn assert_ledger_is_gapless(bench: &Bench) {
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
fn a_second_writer_is_refused_and_readers_are_not() {
    let bench = Bench::new(company(3, 3));
    bench.sync();
    let held = Folder::new(&bench.archive()).lock().unwrap();
    let asked = bench.simulator.requests();
    bench.run("sync").ends_with(5).telling("hint: ");
    bench.run("reindex").ends_with(5);
    assert_eq!(bench.simulator.requests(), asked, "a second writer does not bother Graph");
    bench.run("query --count").ends_with(0);
    bench.run("verify").ends_with(0);
    drop(held);
    bench.sync();
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
