//! A day of a large tenant, whose notifications go astray while the receiver is killed again and again.

use std::{
    collections::HashMap,
    process::Child,
    thread::sleep,
    time::{Duration, Instant},
};

use callvault::{
    archive::{Archive, Folder},
    model::{
        id::Seq,
        kind::Kind,
        time::{Age, Timestamp},
    },
    simulate::{ExpectedCall, Forgery, Limits, Notifications, Settings},
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Result,
    setting::{Setting, quantile},
};

const KILLS: u32 = 5;
/// How long after the day it is looked what is there, in real time.
const SETTLE: Duration = Duration::from_secs(30);
const SHARE: f64 = 0.05;

#[expect(clippy::print_stdout, reason = "its figures are the result")]
pub(crate) fn run(calls: u32, rate: u32) -> Result<()> {
    let notifications = Notifications {
        dropped: SHARE,
        doubled: SHARE,
        forged: SHARE,
        retry_pause: Duration::from_millis(500),
        ..Notifications::default()
    };
    // A workday, whatever day it is today; what lies before it is not the day's.
    let start = Timestamp::parse("2026-11-24T05:00:00Z").ok_or("no time")?;
    let setting = Setting::new(Settings {
        calls_per_day: calls,
        days: 1,
        log_days: Some(1),
        start_clock: Some(start),
        clock_rate: rate,
        limits: Limits::off(),
        notifications,
        ..Settings::default()
    })?;
    // An interval of the simulated clock's quarter of an hour.
    let interval = format!("{}s", (900 / rate).max(1));
    let listen = || setting.listen(&["--interval", &interval]);
    let mut receiver = listen()?;
    while !setting.said("out").contains(" requests, ") {
        sleep(Duration::from_millis(100));
    }
    let (began, before) = (Instant::now(), setting.simulator.requests());
    let (first, day) = (setting.simulator.now(), Duration::from_secs(86_400 / u64::from(rate)));
    for n in 1..=KILLS {
        sleep((day * n / (KILLS + 1)).saturating_sub(began.elapsed()));
        kill(&mut receiver)?;
        receiver = listen()?;
    }
    sleep(day.saturating_sub(began.elapsed()));
    let last = setting.simulator.now();
    let expected = setting.simulator.world().expected(last);
    sleep(SETTLE);
    let asked = setting.simulator.requests();
    kill_process(Pid::from_child(&receiver), Signal::TERM)?;
    let ended = receiver.wait()?;
    let told = setting.simulator.deliveries();
    let folder = Folder::new(&setting.archive());
    let is_missing =
        |held: &Held, call: &ExpectedCall| held.get(&call.id).is_none_or(|seen| !seen.contains_key(&call.version));
    let held = read(&folder)?;
    let missing: Vec<_> = expected.iter().filter(|call| is_missing(&held, call)).collect();
    let never = missing.iter().filter(|call| !held.contains_key(&call.id)).count();
    let dropped = missing.iter().filter(|call| told.dropped_ids.contains(&call.id)).count();
    println!(
        "{} calls in all, a day of {:.0} s, killed {KILLS} times, ended with {ended}; {:.0} s after it {never} are missing, and of {} the newest version; of \
         these {dropped} had a notification dropped",
        expected.len(),
        day.as_secs_f64(),
        SETTLE.as_secs_f64(),
        missing.len() - never,
    );
    println!(
        "notifications: {} sent, {} accepted, {} dropped, {} doubled, {} forged, {} POSTs sent again",
        told.sent, told.accepted, told.dropped, told.doubled, told.forged, told.retried
    );
    // What the lists have not come to yet: they look at an hour again when its age has doubled.
    let mut sweep = setting
        .program(&["sync", "--source", "calls", "--from", &(start - Age::days(2)).to_seconds_text()])?
        .spawn()?;
    let swept = sweep.wait()?;
    let pages = setting.simulator.requests().list - asked.list;
    let held = read(&folder)?;
    let mut delays: Vec<Age> = Vec::new();
    let mut by_list: Vec<Age> = Vec::new();
    for call in expected.iter().filter(|call| call.end > first) {
        let dropped = told.dropped_ids.contains(&call.id);
        for (version, visible) in setting.simulator.became_visible(&call.id) {
            if let Some(received) = held.get(&call.id).and_then(|seen| seen.get(&version)) {
                if dropped { &mut by_list } else { &mut delays }.push(*received - visible);
            }
        }
    }
    for (what, delays) in [("announced", &mut delays), ("of records with a notification dropped", &mut by_list)] {
        delays.sort_unstable();
        let at = |share| quantile(delays, share).map_or(0.0, Age::as_seconds_f64);
        println!(
            "{} versions {what}: archived {:.2} s after they were visible (median), {:.2} s (99 %), {:.2} s at most",
            delays.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    println!(
        "requests of the day: {} for records, {} list pages; the last sweep: {pages} list pages, ended with {swept}",
        asked.get - before.get,
        asked.list - before.list
    );
    for (forgery, id) in &told.forged_ids {
        if *forgery != Forgery::Record && setting.simulator.requests_for(id) > 0 {
            return Err(format!("{id} was fetched, though its notification was forged: {forgery:?}").into());
        }
    }
    let missing = expected.iter().filter(|call| is_missing(&held, call)).count();
    if missing > 0 { Err(format!("{missing} calls are missing").into()) } else { Ok(()) }
}

fn kill(receiver: &mut Child) -> Result<()> {
    kill_process(Pid::from_child(receiver), Signal::KILL)?;
    receiver.wait()?;
    Ok(())
}

/// When each version of each call was received, by this machine's clock.
type Held = HashMap<String, HashMap<i64, Timestamp>>;

fn read(folder: &Folder) -> Result<Held> {
    let mut held = Held::new();
    let archive = Archive::open(folder)?;
    let mut reader = archive.version_reader();
    for seq in archive.version_seqs_after(Seq(0), usize::MAX)? {
        let stored = reader.read(seq)?;
        let received = stored.document.parts.iter().map(|part| part.received).max();
        if let Some(received) = received.filter(|_| stored.info.key.kind == Kind::Call) {
            held.entry(stored.info.key.id.clone()).or_default().insert(stored.info.version.0, received);
        }
    }
    Ok(held)
}
