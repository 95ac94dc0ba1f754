//! The oracle of the logs: knows every row, what it said when, and what was said on the wire, and says what an archive must hold.
//!
//! A report of sums is judged by the lines that were shown and by the sums that were to be shown.

use std::collections::{BTreeMap, BTreeSet};

use callvault::{
    archive::Archive,
    model::{
        id::Seq,
        source::Source,
        time::{Age, Timestamp},
    },
    simulate::{ExpectedDialOut, LogKind, World},
};
use serde_json::Value;

use crate::{
    play::Went,
    scenario::{Dice, Scenario},
    telephony::{self, Row, Telephony},
    windows::{End, Facts, Followed, Rule, Windows},
    wire::Exchange,
};

/// Days of a log so young are read again by every round.
const YOUNG: Age = Age::days(9);
const DAY: Age = Age::days(1);
/// A service leaves a log alone for so long after it read it.
pub(crate) const PAUSE: Age = Age::hours(1);
/// Points of time at which coverage is compared.
const POINTS: u32 = 150;

/// What is expected of a log.
pub(crate) struct Log<'a> {
    of: LogKind,
    scenario: &'a Scenario,
    telephony: &'a Telephony,
    windows: Windows,
    /// Of each row the edition that must be there, with the end of the round that owes it.
    owed: BTreeMap<usize, (usize, Timestamp)>,
    /// Of each row the latest edition that a page has shown.
    shown: BTreeMap<usize, usize>,
    /// Of each line of a report what a page last said, and what was said since and perhaps not taken in.
    lines: BTreeMap<Line, Vec<Value>>,
    /// Of each day of a report the latest moment whose sums are owed, with the end of the round that owes them.
    owed_days: BTreeMap<Timestamp, (Timestamp, Timestamp)>,
}

/// The day, and what tells a line of a report from the others of that day.
type Line = (Timestamp, String);

impl<'a> Log<'a> {
    pub(crate) fn new(log: LogKind, scenario: &'a Scenario, telephony: &'a Telephony) -> Self {
        // "24 to 48 hours late", a day more for whatever comes later.
        let rule = Rule { retained: telephony::RETENTION, latency: Age::hours(48), settling: Age::hours(72) };
        Self {
            of: log,
            scenario,
            telephony,
            windows: Windows::new(rule),
            owed: BTreeMap::new(),
            shown: BTreeMap::new(),
            lines: BTreeMap::new(),
            owed_days: BTreeMap::new(),
        }
    }

    fn source(&self) -> Source {
        telephony::source(self.of)
    }

    fn rows(&self) -> impl Iterator<Item = &'a Row> + use<'a> {
        let log = self.of;
        self.telephony.rows.iter().filter(move |row| row.log == log)
    }

    /// Takes in a round: what it showed, and what it owes.
    pub(crate) fn heard(&mut self, went: &Went) {
        let log = self.of;
        let before = self.windows.chains.len();
        let Followed { pages, .. } = self.windows.follow(went, |exchange| exchange.log() == Some(log), window);
        for seen in pages {
            for item in &seen.page.items {
                if log == LogKind::DialOut {
                    let said = self.lines.entry((seen.from, line(item))).or_default();
                    if !seen.is_doubtful {
                        said.clear();
                    }
                    said.push(item.clone());
                } else if !seen.is_doubtful {
                    let (n, edition) = probe(item);
                    let shown = self.shown.entry(n).or_insert(edition);
                    *shown = edition.max(*shown);
                }
            }
        }
        let Some(Ok(summary)) = &went.outcome else { return };
        let Some(report) = summary.sources.iter().find(|report| report.source == self.source().name()) else { return };
        if report.stopped || report.windows_failed > 0 {
            return;
        }
        if went.calm {
            self.judge_cost(went, before);
        }
        self.owe(went);
    }

    fn owe(&mut self, went: &Went) {
        for row in self.rows() {
            let Some(at) = self.listed_at_the_latest(row.start, went) else { continue };
            // What vanished while the round was at it may have been missed.
            let Some(edition) = row.seen(at).filter(|_| went.ended < row.expiry()) else { continue };
            let owed = self.owed.entry(row.n).or_insert((edition, went.ended));
            if edition > owed.0 {
                *owed = (edition, went.ended);
            }
            let newest = self.owed_days.entry(row.start.floor_to(DAY)).or_insert((at, went.ended));
            *newest = (at, went.ended).max(*newest);
        }
    }

    /// When a row's day must have been listed by the end of a good round; `None`: perhaps never.
    fn listed_at_the_latest(&self, start: Timestamp, went: &Went) -> Option<Timestamp> {
        let day = start.floor_to(DAY);
        let begun = went.begun;
        // Graph is asked as far back as anything is kept.
        let reach = if matches!(self.of, LogKind::Pstn | LogKind::Sms) { Age::days(365) } else { telephony::RETENTION };
        // A sum is asked for once its day is over.
        let is_over = day + DAY <= begun;
        if day <= begun - reach || start >= begun || (self.of == LogKind::DialOut && !is_over) {
            return None;
        }
        if let Some((from, to)) = went.asks {
            return (from <= start && start < to).then_some(begun);
        }
        let end = day + DAY;
        let age = begun - end;
        if age < YOUNG {
            return Some(if went.as_service { begun - PAUSE - Age::minutes(1) } else { begun });
        }
        // Its age may not have doubled since, nor its last sweep have been left out.
        let halfway = (end + Age(age.0 / 2)).max(end + YOUNG) - Age::minutes(1);
        let sweep = day + telephony::RETENTION - Age::hours(36);
        Some(if sweep <= begun { halfway.max(sweep) } else { halfway })
    }

    /// In calm weather no day is listed twice in a round, and a window has the pages that its rows fill.
    fn judge_cost(&self, went: &Went, chains_before: usize) {
        let mut chains: Vec<_> = self.windows.chains[chains_before..].iter().collect();
        chains.sort_by_key(|chain| chain.from);
        for pair in chains.windows(2) {
            assert!(
                pair[0].to <= pair[1].from,
                "{} were listed twice in the round of {}",
                self.of.function(),
                went.begun
            );
        }
        let of_log = |exchange: &&Exchange| exchange.log() == Some(self.of);
        let pages = went.log.iter().filter(of_log).count();
        let rows: usize =
            went.log.iter().filter(of_log).filter_map(|it| it.page.as_ref()).map(|page| page.items.len()).sum();
        let failed = went.log.iter().filter(of_log).filter(|exchange| exchange.status >= 400).count();
        assert!(
            pages <= chains.len() + failed + rows / self.scenario.page_sizes.log,
            "{pages} pages of {} for {rows} rows in {} windows, in the round of {}",
            self.of.function(),
            chains.len(),
            went.begun
        );
    }

    pub(crate) fn judge_coverage(&self, archive: &Archive, now: Timestamp) {
        let facts = Facts { now, missing: BTreeSet::new(), lost: BTreeSet::new() };
        let first = self.scenario.began - telephony::RETENTION - Age::days(4);
        let dice = Dice::new(self.scenario.seed ^ now.0.unsigned_abs() ^ self.of as u64);
        self.windows.judge(archive, self.source(), &facts, (first, POINTS), dice);
    }

    /// At the end of all: each row in its place, in each version once, nothing else.
    pub(crate) fn judge(&self, archive: &Archive, world: &World, now: Timestamp) -> u64 {
        if self.of == LogKind::DialOut { self.judge_sums(archive, world) } else { self.judge_rows(archive, now) }
    }

    fn judge_rows(&self, archive: &Archive, now: Timestamp) -> u64 {
        let rows: BTreeMap<usize, &Row> = self.rows().map(|row| (row.n, row)).collect();
        let mut records: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
        let mut versions = 0;
        for (id, version, value) in self.stored(archive) {
            let (n, edition) = probe(&value);
            let row = rows.get(&n).unwrap_or_else(|| panic!("{id} was never a row: {value}"));
            assert!(row.ever_seen(now) >= Some(edition), "{id} never showed its edition {edition}: {row:?}");
            let record = records.entry(id).or_default();
            record.push((n, edition));
            assert_eq!(record.len(), usize::try_from(version).unwrap(), "versions of {row:?} are not counted up");
            versions += 1;
        }
        let mut newest: BTreeMap<usize, usize> = BTreeMap::new();
        let mut places: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
        for (id, record) in &records {
            for (n, edition) in record {
                places.entry(*n).or_default().insert(id);
                let best = newest.entry(*n).or_insert(*edition);
                *best = (*edition).max(*best);
            }
            let is_alike = rows[&record[0].0].is_like_another(&self.telephony.rows);
            let rising = record.windows(2).all(|pair| pair[0].0 == pair[1].0 && pair[0].1 < pair[1].1);
            assert!(is_alike || rising, "versions of {:?} are {record:?}", rows[&record[0].0]);
        }
        for (n, places) in &places {
            let most = rows[n].keys_max(&self.telephony.rows);
            assert!(places.len() <= most, "{:?} is {places:?}", rows[n]);
        }
        for (n, (edition, round)) in &self.owed {
            assert!(
                newest.get(n) >= Some(edition),
                "edition {edition} was to be had by the round that ended at {round}, but the archive has {:?}: {:?}",
                newest.get(n),
                rows[n]
            );
        }
        for (n, edition) in &self.shown {
            assert!(
                newest.get(n) >= Some(edition),
                "{:?} was shown in edition {edition} and is {:?}",
                rows[n],
                newest.get(n)
            );
        }
        versions
    }

    fn judge_sums(&self, archive: &Archive, world: &World) -> u64 {
        let mut newest: BTreeMap<Line, (String, Value)> = BTreeMap::new();
        let mut versions = 0;
        let slice = archive.slice(Seq(0), archive.head().unwrap()).unwrap();
        let mut reader = archive.version_reader();
        for row in
            slice.versions.iter().filter(|row| row.key.as_ref().is_some_and(|key| key.kind == self.source().kind()))
        {
            let version = reader.read(row.seq).unwrap();
            let value: Value = serde_json::from_str(&version.json).unwrap();
            let day = version.document.asked_span().unwrap().from;
            let id = row.key.as_ref().unwrap().id.clone();
            let before = newest.insert((day, line(&value)), (id.clone(), value));
            assert!(before.is_none_or(|(before, _)| before == id), "two records of the line {id} of {day}");
            versions += 1;
        }
        for (line, said) in &self.lines {
            let held = newest.get(line).map(|(_, value)| value);
            let is_only_doubtful = held.is_none()
                && !self.windows.chains.iter().any(|chain| chain.from == line.0 && chain.end != End::Doubtful);
            assert!(
                is_only_doubtful || held.is_some_and(|held| said.contains(held)),
                "a page said {said:?} of {line:?}, and the archive has {held:?}"
            );
        }
        for (day, (at, ended)) in &self.owed_days {
            // A line that was gone when the day was asked for, since its calls got a name meanwhile, could not be had any more.
            let later = world.expected_dial_outs(*day, *day + DAY, *ended);
            let stays = |sum: &ExpectedDialOut| {
                later.iter().any(|later| line_of(later) == line_of(sum) && later.total_calls >= sum.total_calls)
            };
            for sum in world.expected_dial_outs(*day, *day + DAY, *at).into_iter().filter(stays) {
                let calls = |(_, value): &(String, Value)| value["totalCalls"].as_u64();
                let held = newest.get(&(*day, line_of(&sum))).and_then(calls);
                assert!(held >= Some(sum.total_calls.into()), "{sum:?} of {day} was to be had at {at}, not {held:?}");
            }
        }
        versions
    }

    /// The stored versions, oldest first, with ids and numbers.
    fn stored(&self, archive: &Archive) -> Vec<(String, i64, Value)> {
        stored(archive, self.source())
    }
}

/// All versions of a source, oldest first: id, number, document.
pub(crate) fn stored(archive: &Archive, source: Source) -> Vec<(String, i64, Value)> {
    let slice = archive.slice(Seq(0), archive.head().unwrap()).unwrap();
    let mut reader = archive.version_reader();
    let mut stored = Vec::new();
    for row in slice.versions {
        let Some(key) = row.key.filter(|key| key.kind == source.kind()) else { continue };
        stored.push((key.id, row.version.0, serde_json::from_str(&reader.read(row.seq).unwrap().json).unwrap()));
    }
    stored
}

/// Which row it is, and which of its editions.
fn probe(item: &Value) -> (usize, usize) {
    let (n, edition) = item["probe"].as_str().unwrap().split_once(' ').unwrap();
    (n.parse().unwrap(), edition.parse().unwrap())
}

fn line(item: &Value) -> String {
    let text = |name: &str| item[name].as_str();
    let [country, currency] = ["usageLocation", "currency"].map(|name| text(name).unwrap_or_default());
    format!("{:?} {country} {:?} {currency}", text("userId"), text("destinationContext"))
}

fn line_of(sum: &ExpectedDialOut) -> String {
    format!("{:?} {} {:?} {}", sum.user_id, sum.usage_location, sum.destination_context, sum.currency)
}

/// The span that a first page of a log is asked for.
fn window(url: &str) -> Option<(Timestamp, Timestamp)> {
    if url.contains("skip=") {
        return None;
    }
    let time = |name: &str| {
        let text = url.split_once(name)?.1;
        Timestamp::parse(text.split([',', ')']).next()?)
    };
    Some((time("fromDateTime=")?, time("toDateTime=")?))
}
