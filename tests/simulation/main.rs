//! Deterministic simulation: weeks of a tenant with outages, storms, crashes and late records, played in virtual time, and judged
//! by an oracle that shares no code with the engine (docs/testing.md).
//!
//! `CALLVAULT_SEED=7 cargo test --test simulation one_seed -- --nocapture` plays one seed and tells its story.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed; its story is for whoever plays it"
)]

mod directory;
mod oracle;
mod panics;
mod play;
mod rows;
mod scenario;
mod telephony;
mod windows;
mod wire;

use std::{
    env,
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use crate::{play::Played, scenario::Scenario};

/// Plays seeds on all cores; fails with the first command that replays a failure.
fn play_all(seeds: std::ops::Range<u64>) {
    let begun = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let failures = Mutex::new(Vec::new());
    let sums = Mutex::new(Played::default());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    match panic::catch_unwind(AssertUnwindSafe(|| play::play(&Scenario::new(seed), false))) {
                        Ok(played) => sums.lock().unwrap().add(&played),
                        Err(_) => failures.lock().unwrap().push(seed),
                    }
                }
            });
        }
    });
    let sums = sums.into_inner().unwrap();
    println!("{sums}; {:.1} s", begun.elapsed().as_secs_f64());
    let mut failures = failures.into_inner().unwrap();
    failures.sort_unstable();
    let replay = |seed: &u64| format!("CALLVAULT_SEED={seed} cargo test --test simulation one_seed -- --nocapture");
    assert!(
        failures.is_empty(),
        "{} of {} seeds fail; replay them with\n{}",
        failures.len(),
        seeds.end - seeds.start,
        failures.iter().map(replay).collect::<Vec<_>>().join("\n")
    );
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

#[test]
fn two_hundred_tenants_lose_nothing_that_could_be_had() {
    play_all(0..number("CALLVAULT_SEEDS").unwrap_or(200));
}

#[test]
fn one_seed() {
    let seed = number("CALLVAULT_SEED").unwrap_or(1);
    let played = play::play(&Scenario::new(seed), number("CALLVAULT_SEED").is_some());
    println!("{played}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let story = || play::play(&Scenario::new(3), false).story;
    assert_eq!(story(), story());
}

#[test]
#[ignore = "a soak: thousands of seeds, from CALLVAULT_SEED on, CALLVAULT_SEEDS of them"]
fn soak() {
    let first = number("CALLVAULT_SEED").unwrap_or(1000);
    play_all(first..first + number("CALLVAULT_SEEDS").unwrap_or(5000));
}
