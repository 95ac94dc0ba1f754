//! Knows every version and when it could be seen, and what was said on the wire; says what an archive must hold, may hold and
//! must own up to. Shares no code with `sync` and `archive::coverage`: it reads the archive only to compare.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use callvault::{
    archive::{Archive, Folder},
    model::{
        id::{RecordKey, Seq},
        kind::Kind,
        source::Source,
        time::{Age, Timestamp},
    },
    simulate::{LogKind, World},
    verify,
};
use serde::Deserialize;
use url::Url;

use crate::{
    directory::Directory,
    play::Went,
    rows::Log,
    scenario::{Call, Dice, RETENTION, Scenario},
    telephony,
    windows::{Chain, End, Facts, Followed, Rule, Windows},
    wire::Exchange,
};

/// A record in a service is not tried again for so long after it failed.
const FAILED_PAUSE: Age = Age::hours(7);
/// "Remains available for 30 days"; a first version comes up to 150 minutes after a call, and a meeting may run 30 hours.
const CALLS: Rule = Rule { retained: RETENTION, latency: Age::minutes(150), settling: Age::hours(36) };
/// Points of time at which coverage is compared.
const POINTS: u32 = 250;

pub(crate) struct Oracle<'a> {
    scenario: &'a Scenario,
    calls: HashMap<&'a str, &'a Call>,
    /// The highest version of each record that a list has shown, and that must have been noticed.
    shown: BTreeMap<String, i64>,
    /// Versions that must be in the archive, each with the end of the round that owes it.
    owed: BTreeMap<&'a str, (i64, Timestamp)>,
    /// When a record was last said to have failed.
    failed: HashMap<String, Timestamp>,
    windows: Windows,
    /// When the last round began that got everything it wanted.
    calm_since: Timestamp,
    logs: Vec<Log<'a>>,
    directory: Option<Directory>,
    versions: u64,
    lost: u64,
}

/// What the archive says it holds.
struct Held {
    newest: BTreeMap<String, i64>,
    lost: BTreeMap<String, i64>,
    queued: BTreeMap<String, i64>,
}

impl Call {
    fn expiry(&self) -> Timestamp {
        self.gone.unwrap_or(self.start + RETENTION)
    }

    /// The newest version to be seen at `at`.
    fn seen(&self, at: Timestamp) -> Option<i64> {
        let seen = self.versions.iter().filter(|(_, visible)| *visible <= at).map(|(number, _)| *number).max();
        seen.filter(|_| at < self.expiry())
    }

    /// The newest version that was ever to be seen by `at`.
    fn ever_seen(&self, at: Timestamp) -> Option<i64> {
        let visible = |seen: Timestamp| seen <= at && seen < self.expiry();
        self.versions.iter().filter(|(_, seen)| visible(*seen)).map(|(number, _)| *number).max()
    }
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        let telephony = scenario.telephony.as_ref();
        let logs = telephony.into_iter().flat_map(|telephony| LogKind::ALL.map(|log| (log, telephony)));
        Self {
            scenario,
            calls: scenario.calls.iter().map(|call| (&*call.id, call)).collect(),
            shown: BTreeMap::new(),
            owed: BTreeMap::new(),
            failed: HashMap::new(),
            windows: Windows::new(CALLS),
            calm_since: Timestamp(i64::MIN),
            logs: logs
                .filter(|(log, telephony)| telephony.has(telephony::source(*log)))
                .map(|(log, telephony)| Log::new(log, scenario, telephony))
                .collect(),
            directory: telephony.filter(|telephony| telephony.has(Source::People)).map(|_| Directory::default()),
            versions: 0,
            lost: 0,
        }
    }

    pub(crate) fn found(&self) -> (u64, u64) {
        (self.versions, self.lost)
    }

    /// Takes in a round: what it owes, and whether it cost too much.
    pub(crate) fn heard(&mut self, went: &Went) {
        self.logs.iter_mut().for_each(|log| log.heard(went));
        if let Some(directory) = &mut self.directory {
            directory.heard(went);
        }
        for id in &went.failed {
            self.failed.insert(id.clone(), went.ended);
        }
        let before = self.windows.chains.len();
        let Followed { resumed, pages } = self.windows.follow(went, Exchange::is_list, window);
        let rows = pages.iter().filter(|seen| !seen.is_doubtful).flat_map(|seen| &seen.page.rows);
        for row in rows {
            let shown = self.shown.entry(row.id.clone()).or_insert(row.version);
            *shown = row.version.max(*shown);
        }
        let Some(Ok(summary)) = &went.outcome else {
            assert!(!went.calm || went.outcome.is_none(), "nothing was wrong, but the round of {} failed", went.begun);
            return;
        };
        let Some(report) = summary.sources.iter().find(|report| report.source == "calls") else { return };
        if went.calm && !report.stopped {
            assert_eq!(report.windows_failed, 0, "nothing was wrong in the round of {}", went.begun);
            let resumed = resumed.iter().collect::<BTreeSet<_>>().len();
            self.judge_cost(went, report.fetched + report.failed + report.lost, (before, resumed));
            self.calm_since = went.begun;
        }
        if report.stopped || report.windows_failed > 0 {
            return;
        }
        for call in &self.scenario.calls {
            let excused = self
                .failed
                .get(&call.id)
                .is_some_and(|at| *at == went.ended || (went.as_service && went.begun - *at < FAILED_PAUSE));
            let meant = went.asks.is_none_or(|(from, to)| from <= call.start && call.start < to);
            // What vanished while the round was at it may have been missed.
            if excused
                || !meant
                || call.expiry() <= went.ended
                || resumed.iter().any(|(from, to)| (*from..*to).contains(&call.start))
            {
                continue;
            }
            // What is asked for by name is listed, due or not.
            let listed_at = match went.asks {
                Some(_) => went.begun,
                None => self.listed_at_the_latest(call, went.begun),
            };
            let Some(version) = call.seen(listed_at) else { continue };
            let owed = self.owed.entry(&call.id).or_insert((version, went.ended));
            if version > owed.0 {
                *owed = (version, went.ended);
            }
        }
    }

    /// When a call's hour must have been listed by the end of a good round that began at `begun`.
    fn listed_at_the_latest(&self, call: &Call, begun: Timestamp) -> Timestamp {
        if !self.scenario.doubling {
            return begun;
        }
        // Its age may not have doubled since, nor its last sweep have been left out.
        let hour = Age::hours(1);
        let hour_ends = call.start.floor_to(hour) + hour;
        let halfway = hour_ends + Age((begun - hour_ends).0 / 2) - Age::seconds(2);
        let sweep = call.start.floor_to(hour) + RETENTION - Age::hours(36);
        let at = if sweep <= begun { halfway.max(sweep) } else { halfway };
        // Below half an hour nothing is promised.
        if begun - hour_ends < Age::minutes(31) { Timestamp(i64::MIN) } else { at.min(begun) }
    }

    /// In calm weather: the pages of the windows, and of each record two requests and its further pages.
    fn judge_cost(&self, went: &Went, records: u64, (chains_before, resumed): (usize, usize)) {
        let requests = went.log.iter().filter(|exchange| exchange.is_of_calls()).count() as u64;
        let lists = went.log.iter().filter(|exchange| exchange.is_list()).count();
        let (mut rows, mut most) = (0, 0);
        for exchange in went.log.iter().filter(|exchange| exchange.is_list()) {
            rows += exchange.page.as_ref().map_or(0, |page| page.rows.len());
        }
        let sizes = self.scenario.page_sizes;
        for call in &self.scenario.calls {
            // A page of sessions after the first has the version asked once more.
            let pages = call.sessions.div_ceil(sizes.sessions) + call.participants.div_ceil(sizes.participants);
            let again = usize::from(call.sessions > sizes.sessions);
            // A planted fault is met by tries and by looking again.
            let faults = if call.faults.is_some() { 60 } else { 0 };
            most = most.max(pages + again + faults);
        }
        let windows = self.windows.chains.len() - chains_before
            + went.log.iter().filter(|exchange| exchange.is_list() && exchange.status >= 400).count();
        assert!(
            lists <= windows + resumed + rows / sizes.list,
            "{lists} pages of the list for {rows} rows in {windows} windows, in the round of {}",
            went.begun
        );
        // A record that was on the to-do list before and has changed meanwhile: its participants may have been of the version before.
        let changed = |call: &&Call| {
            call.versions[1..].iter().any(|(_, visible)| (self.calm_since..went.ended).contains(visible))
        };
        let anew = 2 * self.scenario.calls.iter().filter(changed).count() as u64;
        let most = lists as u64 + records * most as u64 + anew;
        assert!(requests <= most, "{requests} requests for {records} records, in the round of {}", went.begun);
    }

    /// At the end of all: every version in its place, nothing else, and all of it whole.
    pub(crate) fn judge(&mut self, folder: &Folder, world: &World, now: Timestamp) {
        let archive = Archive::open(folder).unwrap();
        let held = self.judge_versions(&archive, now);
        for (id, (version, round)) in &self.owed {
            let newest = held.newest.get(*id);
            assert!(
                newest.is_some_and(|newest| newest >= version),
                "{id} in version {version} was to be had by the round that ended at {round}, but the archive has {newest:?}: {:?}",
                self.calls[id]
            );
        }
        for (id, shown) in &self.shown {
            let place = [&held.newest, &held.lost, &held.queued]
                .map(|place| place.get(id).is_some_and(|version| version >= shown));
            assert!(
                place.contains(&true),
                "{id} was listed in version {shown} and is nowhere: {:?}",
                self.calls[&**id]
            );
        }
        // The last rounds tried everything in calm weather.
        for (id, version) in &held.queued {
            let call = self.calls[&**id];
            let vanished = call.gone.is_some_and(|gone| gone <= now) && now < call.start + RETENTION;
            assert!(vanished || call.faults.is_some(), "{id} in version {version} is still to fetch: {call:?}");
        }
        if self.scenario.doubling {
            self.judge_doubling(now);
        }
        self.judge_coverage(folder, now);
        for log in &self.logs {
            self.versions += log.judge(&archive, world, now);
        }
        if let Some((directory, telephony)) = self.directory.as_ref().zip(self.scenario.telephony.as_ref()) {
            self.versions += directory.judge(&archive, telephony, world);
        }
        let found = verify::verify(&archive, &verify::Ask::default(), &mut |_| ()).unwrap();
        assert!(found.is_whole(), "{:?}", found.findings);
        self.lost = held.lost.len() as u64;
    }

    /// By the doubling rule no hour is listed more often than its age doubles from a quarter of an hour to a month, its beginning and
    /// its last sweep added.
    fn judge_doubling(&self, now: Timestamp) {
        let hour = Age::hours(1);
        let mut from = self.scenario.began.floor_to(hour) - Age::days(30);
        while from < now {
            let is_of_it = |chain: &&Chain| chain.from <= from && from + hour <= chain.to;
            let due = |chain: &&Chain| chain.end == End::Whole && !chain.by_name && is_of_it(chain);
            let listed = self.windows.chains.iter().filter(due).count();
            assert!(listed <= 15, "the hour from {from} was listed {listed} times");
            from = from + Age::hours(7);
        }
    }

    /// Each version is one that was to be seen, each loss is one, and each document is the true one.
    fn judge_versions(&mut self, archive: &Archive, now: Timestamp) -> Held {
        #[derive(Deserialize)]
        struct Body {
            id: String,
            version: i64,
            sessions: Vec<Item>,
            participants_v2: Vec<Item>,
        }
        #[derive(Deserialize)]
        struct Item {
            id: String,
        }
        let ids = |items: &[Item]| items.iter().map(|item| item.id.clone()).collect::<Vec<_>>();
        let slice = archive.slice(Seq(0), archive.head().unwrap()).unwrap();
        let mut held = Held { newest: BTreeMap::new(), lost: BTreeMap::new(), queued: BTreeMap::new() };
        let mut reader = archive.version_reader();
        let is_call = |key: &Option<RecordKey>| key.as_ref().is_some_and(|key| key.kind == Kind::Call);
        for row in slice.versions.iter().filter(|row| is_call(&row.key)) {
            let id = row.key.as_ref().unwrap().id.clone();
            let number = row.version.0;
            let call = self.calls.get(&*id).unwrap_or_else(|| panic!("{id} was never a record"));
            let seen = call.versions.iter().find(|(version, _)| *version == number).map(|(_, seen)| *seen);
            let seen = seen.unwrap_or_else(|| panic!("{id} never had a version {number}: {call:?}"));
            assert!(seen <= now && seen < call.expiry(), "{id} never showed its version {number}: {call:?}");
            let body: Body = serde_json::from_str(&reader.read(row.seq).unwrap().json).unwrap();
            assert_eq!((&body.id, body.version), (&id, number));
            let truth = call.truth();
            assert_eq!(ids(&body.sessions), truth.0, "sessions of {id}");
            assert_eq!(ids(&body.participants_v2), truth.1, "participants of {id}");
            let newest = held.newest.entry(id).or_insert(number);
            *newest = number.max(*newest);
            self.versions += 1;
        }
        for row in &slice.lost {
            let id = row.key.as_ref().unwrap().id.clone();
            let call = self.calls[&*id];
            assert!(call.expiry() <= row.lost, "{id} was not gone at {}: {call:?}", row.lost);
            let ever = call.ever_seen(row.lost);
            assert!(ever.is_some_and(|ever| row.version.0 <= ever), "{id} never showed version {}", row.version);
            assert!(
                held.newest.get(&id).is_none_or(|newest| *newest < row.version.0),
                "{id} is entered as lost in version {} and is there: {call:?}",
                row.version
            );
            held.lost.insert(id, row.version.0);
        }
        for todo in archive.todo_after(Kind::Call, &(Timestamp(i64::MIN), None), 100_000).unwrap() {
            held.queued.insert(todo.key.id, todo.want_version.0);
        }
        held
    }

    /// What the archive says it covers, lacks and lost, against what was said on the wire, at points of time.
    pub(crate) fn judge_coverage(&self, folder: &Folder, now: Timestamp) {
        if !folder.exists() {
            return;
        }
        let Ok(archive) = Archive::open(folder) else { return };
        let slice = archive.slice(Seq(0), archive.head().unwrap()).unwrap();
        let todo = archive.todo_after(Kind::Call, &(Timestamp(i64::MIN), None), 100_000).unwrap();
        let hours = |starts: &mut dyn Iterator<Item = Timestamp>| -> BTreeSet<Timestamp> {
            starts.map(|start| start.floor_to(Age::hours(1))).collect()
        };
        // Both are judged by themselves; here they only cut hours out.
        let facts = Facts {
            now,
            missing: hours(&mut todo.iter().map(|todo| todo.start)),
            lost: hours(&mut slice.lost.iter().map(|row| row.start)),
        };
        let first = self.scenario.began - Age::days(32);
        let dice = Dice::new(self.scenario.seed ^ now.0.unsigned_abs());
        self.windows.judge(&archive, Source::Calls, &facts, (first, POINTS), dice);
        self.logs.iter().for_each(|log| log.judge_coverage(&archive, now));
    }
}

impl Call {
    /// Ids of sessions and of participants, the same in each version.
    fn truth(&self) -> (Vec<String>, Vec<String>) {
        #[derive(Deserialize)]
        struct Item {
            id: String,
        }
        let planted = self.planted();
        let ids = |texts: &[String]| texts.iter().map(|text| serde_json::from_str::<Item>(text).unwrap().id).collect();
        (ids(&planted.versions[0].sessions), ids(&planted.versions[0].participants))
    }
}

/// The span that a first page of the list is asked for.
fn window(url: &str) -> Option<(Timestamp, Timestamp)> {
    let url = Url::parse(url).ok()?;
    let filter = url.query_pairs().find(|(name, _)| name == "$filter")?.1.into_owned();
    let times: Vec<_> = filter.split(' ').filter_map(Timestamp::parse).collect();
    let [from, to] = times[..] else { panic!("odd filter: {filter}") };
    Some((from, to))
}
