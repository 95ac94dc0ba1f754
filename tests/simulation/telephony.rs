//! What happens in one tenant beside its calls: rows of the logs, and people who come by other names. A third of the seeds have it.

use callvault::{
    model::{
        source::Source,
        time::{Age, Timestamp},
    },
    simulate::{LogKind, LogRow, Person, PlantedRow, Simulator},
};

use crate::scenario::Dice;

/// How long Graph keeps a row of a log for certain; the simulator keeps some for longer.
pub(crate) const RETENTION: Age = Age::days(150);

/// How many people the organisation has.
pub(crate) const PEOPLE: u32 = 6;

pub(crate) struct Telephony {
    /// What a round asks for by name; empty: all that is permitted.
    pub(crate) named: Vec<Source>,
    pub(crate) rows: Vec<Row>,
    pub(crate) renames: Vec<Rename>,
    /// How long a delta link of the directory works.
    pub(crate) delta_token_life: Option<Age>,
}

/// A row of a log as it truly is.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) log: LogKind,
    /// Its own among all rows.
    pub(crate) n: usize,
    pub(crate) start: Timestamp,
    person: usize,
    sort: Sort,
    /// When it shows, and when it says something else; rising.
    pub(crate) editions: Vec<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// With an id of Graph's where its log has one.
    Usual,
    WithoutId,
    /// Has the id of the row before it.
    SameId,
    /// Nobody is named until its second edition.
    NamedLater,
    /// Its number is starred from its second edition on.
    StarredLater,
    /// No id, and about the same as the row before it.
    Twin,
}

/// Somebody gets another name, or goes.
#[derive(Clone, Debug)]
pub(crate) struct Rename {
    pub(crate) person: usize,
    pub(crate) at: Timestamp,
    /// `None`: deleted.
    pub(crate) name: Option<String>,
}

/// The source of which a log has the rows.
pub(crate) fn source(log: LogKind) -> Source {
    match log {
        LogKind::Pstn => Source::Pstn,
        LogKind::DirectRouting => Source::DirectRouting,
        LogKind::Sms => Source::Sms,
        LogKind::BlockedUsers => Source::BlockedUsers,
        LogKind::DialOut => Source::DialOut,
    }
}

impl Telephony {
    pub(crate) fn new(dice: &mut Dice, began: Timestamp, days: i64) -> Self {
        let mut logs: Vec<LogKind> = LogKind::ALL.into_iter().filter(|_| dice.chance(45)).collect();
        let is_whole = dice.chance(15);
        if is_whole {
            logs = LogKind::ALL.to_vec();
        }
        let has_people = dice.chance(60) || logs.is_empty();
        let mut named = vec![Source::Calls];
        named.extend(logs.iter().map(|log| source(*log)));
        named.extend(has_people.then_some(Source::People));
        let rows = rows(dice, &logs, began, days);
        let renames = if has_people { renames(dice, began, days) } else { Vec::new() };
        let delta_token_life = dice.chance(30).then(|| Age::days(dice.between(1, 20)));
        Self { named: if is_whole && has_people { Vec::new() } else { named }, rows, renames, delta_token_life }
    }

    /// Whether a round asks for it.
    pub(crate) fn has(&self, source: Source) -> bool {
        self.named.is_empty() || self.named.contains(&source)
    }

    /// Tells the simulator of it all.
    pub(crate) fn plant(&self, simulator: &Simulator) {
        let people = simulator.world().people();
        for row in &self.rows {
            simulator.plant_row(row.planted(people));
        }
        for Rename { person, at, name } in &self.renames {
            let person = &people[*person];
            match name {
                Some(name) => {
                    let upn = format!("{}@contoso.com", name.replace(' ', "."));
                    simulator.rename_user(&person.id, name, &upn, Some(&upn), *at);
                }
                None => _ = simulator.delete_user(&person.id, *at),
            }
        }
    }
}

/// Rows from before anything may still be had on.
fn rows(dice: &mut Dice, logs: &[LogKind], began: Timestamp, days: i64) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for log in logs {
        let reach = if matches!(log, LogKind::Pstn | LogKind::Sms) { 370 } else { 155 };
        let chance = dice.between(5, 30);
        for day in -reach..days {
            // Few of them lie so far back that all a round can do is to have them.
            if !dice.chance(if day < -30 { chance / 4 } else { chance }) {
                continue;
            }
            for _ in 0..dice.between(1, 4) {
                let start = began + Age::days(day) + dice.minutes(0, 24 * 60 - 1);
                let before = rows.last().filter(|row| row.log == *log && row.editions.len() == 1);
                let sort = match dice.between(0, 19) {
                    0 | 1 if *log != LogKind::DialOut => Sort::WithoutId,
                    2 if *log != LogKind::Sms => Sort::NamedLater,
                    3 => Sort::StarredLater,
                    4 if before.is_some_and(|row| row.sort == Sort::Usual) => Sort::SameId,
                    5 if before.is_some_and(|row| row.sort == Sort::WithoutId) => Sort::Twin,
                    _ => Sort::Usual,
                };
                let n = rows.len();
                let (start, person, editions) = match (sort, before) {
                    (Sort::Twin, Some(row)) => (row.start, row.person, row.editions.clone()),
                    _ => (start, usize::try_from(dice.between(0, 5)).unwrap(), editions(dice, start, sort)),
                };
                rows.push(Row { log: *log, n, start, person, sort, editions });
            }
        }
    }
    rows
}

/// A row shows one to two days after its event; its price may settle later, some of them much later.
fn editions(dice: &mut Dice, start: Timestamp, sort: Sort) -> Vec<Timestamp> {
    let first = start
        + match dice.between(0, 19) {
            0 => dice.minutes(0, 60 * 24),
            1 => dice.minutes(60 * 48, 60 * 24 * 30),
            _ => dice.minutes(60 * 24, 60 * 48),
        };
    let mut editions = vec![first];
    let is_told_later = matches!(sort, Sort::NamedLater | Sort::StarredLater);
    for _ in 0..dice.one(&[0, 0, 1, 1, 2]).max(usize::from(is_told_later)) {
        let before = editions[editions.len() - 1];
        editions.push(before + if dice.chance(70) { dice.minutes(1, 60 * 48) } else { dice.minutes(1, 60 * 24 * 60) });
    }
    editions
}

fn renames(dice: &mut Dice, began: Timestamp, days: i64) -> Vec<Rename> {
    let mut renames: Vec<Rename> = Vec::new();
    for person in 0..usize::try_from(PEOPLE).unwrap() {
        for _ in 0..dice.one(&[0, 0, 1, 2, 5]) {
            let at = began + dice.minutes(-60 * 24 * 5, 60 * 24 * days);
            let name = format!("Zofia {} {}", person, renames.len());
            renames.push(Rename { person, at, name: Some(name) });
        }
        if dice.chance(20) {
            renames.push(Rename { person, at: began + dice.minutes(0, 60 * 24 * days), name: None });
        }
    }
    renames.sort_by_key(|rename| rename.at);
    renames
}

impl Row {
    /// The newest edition to be seen at `at`, counted from 1.
    pub(crate) fn seen(&self, at: Timestamp) -> Option<usize> {
        self.ever_seen(at).filter(|_| at < self.expiry())
    }

    /// The newest edition that was ever to be seen by `at`.
    pub(crate) fn ever_seen(&self, at: Timestamp) -> Option<usize> {
        let seen = self.editions.iter().filter(|from| **from <= at && **from < self.expiry()).count();
        (seen > 0).then_some(seen)
    }

    pub(crate) fn expiry(&self) -> Timestamp {
        let is_long = matches!(self.log, LogKind::Pstn | LogKind::Sms);
        self.start + if is_long { Age::days(365) } else { RETENTION }
    }

    /// Whether another row may be taken for it: nothing in them tells which is which.
    pub(crate) fn is_like_another(&self, rows: &[Row]) -> bool {
        self.sort == Sort::Twin || rows.get(self.n + 1).is_some_and(|next| next.sort == Sort::Twin)
    }

    /// Under how many keys it may be kept at the most. Without an id it is known by what it says: what is filled in or starred later
    /// makes another row of it, and of two that nothing tells apart each text may be a record of its own (docs/schema.md).
    pub(crate) fn keys_max(&self, rows: &[Row]) -> usize {
        let has_id = matches!(self.log, LogKind::Pstn | LogKind::DirectRouting);
        match self.sort {
            _ if self.is_like_another(rows) => self.editions.len() + 1,
            Sort::NamedLater | Sort::StarredLater if !has_id => 2,
            _ => 1,
        }
    }

    /// What the simulator is told. Each edition names the row and itself in a member that no schema has.
    fn planted(&self, people: &[Person]) -> PlantedRow {
        let person = &people[self.person];
        let probe = |edition: usize| format!(r#""probe":"{} {edition}""#, self.n);
        let about = if self.sort == Sort::Twin { self.n - 1 } else { self.n };
        let mut row = PlantedRow::new(self.log, self.start)
            .call_id(format!("call-{about}"))
            .extra_members(probe(1))
            .appearing_at(self.editions[0]);
        row = match self.sort {
            Sort::WithoutId | Sort::Twin => row.without_id(),
            _ if matches!(self.log, LogKind::Sms | LogKind::BlockedUsers) => row,
            Sort::SameId => row.id(format!("row-{}", self.n - 1)),
            _ => row.id(format!("row-{}", self.n)),
        };
        row = if self.sort == Sort::NamedLater { row.bot() } else { row.user(person) };
        if self.sort == Sort::StarredLater {
            row = row.with(|row| row.callee = row.callee.as_ref().map(|_| "+4989555123".to_owned()));
        }
        for (edition, at) in self.editions.iter().enumerate().skip(1) {
            let change = |row: &mut LogRow| {
                row.extra_members = probe(edition + 1);
                row.charge = row.charge.as_ref().map(|_| format!("{edition}.5000"));
                match self.sort {
                    Sort::NamedLater => {
                        row.user_id = Some(person.id.clone());
                        row.user_display_name = Some(person.name.clone());
                        row.user_principal_name = Some(person.upn.clone());
                    }
                    Sort::StarredLater => row.callee = row.callee.as_ref().map(|_| "+4989555***".to_owned()),
                    _ => {}
                }
            };
            row = row.change_at(*at, change);
        }
        row
    }
}
