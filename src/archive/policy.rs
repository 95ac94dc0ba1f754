//! What must be kept and what need not be kept any longer: holds, rules of retention, plans of disposal. Each change is an entry of the
//! ledger, without a name in it: what a hold is about stands in its table, and its entry has a salted hash.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::{
    archive::{
        Archive, ArchiveWriter,
        error::{Error, Result},
        ledger::{self, Entry},
        rows::kind_of,
        schema, select,
    },
    model::{
        filter::{Filter, Selection},
        id::{RecordId, Seq, Sha256},
        kind::Kind,
        time::{Age, Timestamp},
    },
};

/// Which records a hold is about: text and filter of a question, as JSON keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub participants: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub organizers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modalities: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_duration_ns: Option<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

impl Scope {
    #[must_use]
    pub fn of(selection: &Selection) -> Self {
        let Filter { participants, organizers, kinds, types, modalities, from, to, min_duration, failed } =
            selection.filter.clone();
        Self {
            text: selection.text.clone(),
            participants,
            organizers,
            kinds: kinds.into_iter().map(|kind| kind.name().to_owned()).collect(),
            types,
            modalities,
            from,
            to,
            min_duration_ns: min_duration.map(|age| age.0),
            failed,
        }
    }

    /// The filter, to be asked.
    ///
    /// # Errors
    /// [`Error::Hold`] where there is a kind in it that this program does not know: then nobody knows what it covers.
    pub fn filter(&self) -> Result<Filter> {
        let kind = |name: &String| {
            Kind::of_name(name)
                .ok_or_else(|| Error::Hold(format!("a hold is about the kind '{name}', which is unknown")))
        };
        Ok(Filter {
            participants: self.participants.clone(),
            organizers: self.organizers.clone(),
            kinds: self.kinds.iter().map(kind).collect::<Result<_>>()?,
            types: self.types.clone(),
            modalities: self.modalities.clone(),
            from: self.from,
            to: self.to,
            min_duration: self.min_duration_ns.map(Age),
            failed: self.failed,
        })
    }

    /// Whether it names nothing at all, and so everything.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub id: i64,
    pub name: String,
    pub matter: String,
    pub scope: Scope,
    /// Its entry in the ledger.
    pub seq: Seq,
    pub added: Timestamp,
    /// Entry and time of its release.
    pub released: Option<(Seq, Timestamp)>,
}

/// How long records of a kind are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name of the kind.
    pub kind: String,
    /// Only those of this type of call or row, compared without case.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub call_type: Option<String>,
    /// From their end on, in whole days.
    pub keep_days: u32,
}

/// The rules in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rules {
    /// 1, 2, 3, …
    pub version: i64,
    pub seq: Seq,
    pub since: Timestamp,
    pub rules: Vec<Rule>,
}

/// A record as rules look at it.
#[derive(Clone, Debug)]
pub struct Aged {
    pub record_id: RecordId,
    pub kind: Kind,
    pub id: String,
    pub call_type: Option<String>,
    pub start: Option<Timestamp>,
    /// When it ended; of what has no end, when it began.
    pub ended: Timestamp,
    pub versions: u64,
}

/// A plan that was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub made_by: u32,
    pub approved_by: Option<u32>,
    pub done: Option<Seq>,
}

impl Archive {
    /// All holds, also those released, oldest first. A hold that an erasure emptied has no name any more and is left out.
    pub fn holds(&self) -> Result<Vec<Hold>> {
        if !schema::has_retention(&self.connection)? {
            return Ok(Vec::new());
        }
        holds(&self.connection)
    }

    /// The records that a hold covers: those of its filter that its text matches, where it has one, and those that it covered when it
    /// was added.
    ///
    /// # Errors
    /// [`Error::Hold`] where it has a text and nobody has looked what that matches.
    pub fn held_by(&self, hold: &Hold, matches: Option<&HashSet<RecordId>>) -> Result<HashSet<RecordId>> {
        covered(&self.connection, hold, matches)
    }

    /// The records that a hold of this scope would cover.
    ///
    /// # Errors
    /// As [`Self::held_by`].
    pub fn in_scope(&self, scope: &Scope, matches: Option<&HashSet<RecordId>>) -> Result<HashSet<RecordId>> {
        within(&self.connection, scope, matches)
    }

    /// The rules in force; `None` where nobody has set any, and everything is kept.
    pub fn rules(&self) -> Result<Option<Rules>> {
        if !schema::has_retention(&self.connection)? {
            return Ok(None);
        }
        let Some(seq) = schema::setting(&self.connection, "retention_seq")?.map(Seq) else { return Ok(None) };
        match ledger::entry(&self.connection, seq)? {
            Entry::RetentionSet { version, rules, time, .. } => Ok(Some(Rules { version, seq, since: time, rules })),
            _ => Err(Error::DamagedLedger { seq, what: "is not the rules of retention that it is said to be".into() }),
        }
    }

    /// Runs over the records that ended before `before`.
    pub fn each_aged(&self, before: Timestamp, on: &mut dyn FnMut(Aged)) -> Result<()> {
        let sql = "SELECT hit.record_id, hit.kind, record.id, text.value, hit.start_ns, coalesce(hit.end_ns, hit.start_ns) AS ended,
                       (SELECT count(*) FROM version WHERE version.record_id = hit.record_id)
                   FROM hit JOIN record USING (record_id) LEFT JOIN text ON text.text_id = hit.type_id
                   WHERE ended < ?1 ORDER BY hit.record_id";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([before.0])?;
        while let Some(row) = rows.next()? {
            let Some(kind) = kind_of(row.get(1)?) else { continue };
            on(Aged {
                record_id: RecordId(row.get(0)?),
                kind,
                id: crate::archive::guid::from_sql(row.get_ref(2)?).unwrap_or_default(),
                call_type: row.get(3)?,
                start: row.get::<_, Option<i64>>(4)?.map(Timestamp),
                ended: Timestamp(row.get(5)?),
                versions: row.get::<_, i64>(6)?.unsigned_abs(),
            });
        }
        Ok(())
    }

    /// A plan that was entered, by the SHA-256 of its file.
    ///
    /// # Errors
    /// [`Error::DamagedLedger`] where who made or approved it is not what the ledger says.
    pub fn planned(&self, plan: Sha256) -> Result<Option<Planned>> {
        if !schema::has_retention(&self.connection)? {
            return Ok(None);
        }
        let sql = "SELECT made_by, approved_by, done_seq, seq, approved_seq FROM plan WHERE sha256 = ?1";
        let found = self.connection.query_row(sql, [plan.0], |row| {
            let done = row.get::<_, Option<i64>>(2)?.map(Seq);
            let planned = Planned { made_by: row.get(0)?, approved_by: row.get(1)?, done };
            Ok((planned, Seq(row.get(3)?), row.get::<_, Option<i64>>(4)?.map(Seq)))
        });
        let Some((planned, seq, approved_seq)) = found.optional()? else { return Ok(None) };
        let hash = plan.to_string();
        match ledger::entry(&self.connection, seq)? {
            Entry::Planned { plan, uid, .. } if plan == hash && uid == planned.made_by => {}
            _ => return Err(Error::DamagedLedger { seq, what: "is not the plan that it is said to be".into() }),
        }
        if let Some(by) = planned.approved_by {
            let seq = approved_seq.unwrap_or(seq);
            match ledger::entry(&self.connection, seq)? {
                Entry::Approved { plan, uid, .. } if plan == hash && uid == by => {}
                _ => {
                    return Err(Error::DamagedLedger { seq, what: "is no approval of the plan by who is said".into() });
                }
            }
        }
        Ok(Some(planned))
    }
}

impl ArchiveWriter {
    /// Adds a hold, which covers at least `covered` from now on.
    ///
    /// # Errors
    /// [`Error::Hold`] where one of that name is in force.
    pub fn add_hold(
        &mut self,
        (name, matter): (&str, &str),
        scope: &Scope,
        covered: &HashSet<RecordId>,
        uid: u32,
        now: Timestamp,
    ) -> Result<Seq> {
        let salt = *uuid::Uuid::new_v4().as_bytes();
        let text = serde_json::to_string(scope).unwrap_or_default();
        self.transaction(|transaction, _| {
            if in_force(transaction, name)?.is_some() {
                return Err(Error::Hold(format!("a hold '{name}' is in force already")));
            }
            let sha256 = hold_hash(&salt, name, matter, &text).to_string();
            let entry = Entry::HoldAdded { sha256, records: covered.len() as u64, uid, time: now };
            let seq = ledger::append(transaction, &entry)?;
            let sql = "INSERT INTO hold (name, matter, scope, salt, seq, added_ns) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let id = transaction.prepare(sql)?.insert(params![name, matter, text, salt, seq.0, now.0])?;
            let mut insert = transaction.prepare("INSERT INTO held (hold_id, record_id) VALUES (?1, ?2)")?;
            for record_id in covered {
                insert.execute([id, record_id.0])?;
            }
            Ok(seq)
        })
    }

    /// Releases the hold of this name; the reason goes into the ledger.
    ///
    /// # Errors
    /// [`Error::Hold`] where none of that name is in force.
    pub fn release_hold(&mut self, name: &str, reason: &str, uid: u32, now: Timestamp) -> Result<Seq> {
        self.transaction(|transaction, _| {
            let Some((id, hold)) = in_force(transaction, name)? else {
                return Err(Error::Hold(format!("no hold '{name}' is in force")));
            };
            let entry = Entry::HoldReleased { hold, reason: reason.to_owned(), uid, time: now };
            let seq = ledger::append(transaction, &entry)?;
            let sql = "UPDATE hold SET released_seq = ?2, released_ns = ?3 WHERE hold_id = ?1";
            transaction.execute(sql, params![id, seq.0, now.0])?;
            transaction.execute("DELETE FROM held WHERE hold_id = ?1", [id])?;
            Ok(seq)
        })
    }

    /// Puts rules of retention in force.
    pub fn set_rules(&mut self, rules: &[Rule], shorter: bool, uid: u32, now: Timestamp) -> Result<Seq> {
        self.transaction(|transaction, _| {
            let version = schema::setting(transaction, "retention_version")?.unwrap_or(0) + 1;
            let entry = Entry::RetentionSet { version, rules: rules.to_vec(), shorter, uid, time: now };
            let seq = ledger::append(transaction, &entry)?;
            schema::set(transaction, "retention_version", version)?;
            schema::set(transaction, "retention_seq", seq.0)?;
            Ok(seq)
        })
    }

    /// Enters a plan of disposal, by the SHA-256 of its file.
    pub fn enter_plan(&mut self, plan: Sha256, records: u64, uid: u32, now: Timestamp) -> Result<Seq> {
        self.transaction(|transaction, _| {
            let entry = Entry::Planned { plan: plan.to_string(), records, uid, time: now };
            let seq = ledger::append(transaction, &entry)?;
            let sql = "INSERT INTO plan (sha256, seq, made_by) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            transaction.execute(sql, params![plan.0, seq.0, uid])?;
            Ok(seq)
        })
    }

    /// Approves a plan.
    ///
    /// # Errors
    /// [`Error::Plan`] where it is unknown, was carried out, or was made by the same user.
    pub fn approve_plan(&mut self, plan: Sha256, uid: u32, now: Timestamp) -> Result<Seq> {
        self.transaction(|transaction, _| {
            let sql = "SELECT made_by, done_seq IS NOT NULL FROM plan WHERE sha256 = ?1";
            let found = transaction.query_row(sql, [plan.0], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, bool>(1)?)));
            match found.optional()? {
                None => return Err(Error::Plan("this plan was never entered, or its file was changed since".into())),
                Some((_, true)) => return Err(Error::Plan("this plan was carried out already".into())),
                Some((made_by, _)) if made_by == uid => {
                    return Err(Error::Plan(format!("user {uid} made this plan: a second person has to approve it")));
                }
                Some(_) => {}
            }
            let seq = ledger::append(transaction, &Entry::Approved { plan: plan.to_string(), uid, time: now })?;
            let sql = "UPDATE plan SET approved_by = ?2, approved_seq = ?3 WHERE sha256 = ?1";
            transaction.execute(sql, params![plan.0, uid, seq.0])?;
            Ok(seq)
        })
    }
}

/// Number and entry of the hold of this name.
fn in_force(transaction: &Transaction<'_>, name: &str) -> Result<Option<(i64, Seq)>> {
    let sql = "SELECT hold_id, seq FROM hold WHERE name = ?1 AND released_seq IS NULL";
    Ok(transaction.query_row(sql, [name], |row| Ok((row.get(0)?, Seq(row.get(1)?)))).optional()?)
}

/// What a hold's entry has of it.
pub(crate) fn hold_hash(salt: &[u8], name: &str, matter: &str, scope: &str) -> Sha256 {
    Sha256::of(&[salt, format!("{name}\n{matter}\n{scope}").as_bytes()].concat())
}

pub(crate) fn holds(connection: &Connection) -> Result<Vec<Hold>> {
    let mut statement = connection.prepare(
        "SELECT hold_id, name, matter, scope, seq, added_ns, released_seq, released_ns FROM hold
         WHERE name IS NOT NULL ORDER BY hold_id",
    )?;
    let mut rows = statement.query([])?;
    let mut holds = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, text): (String, String) = (row.get(1)?, row.get(3)?);
        let scope = serde_json::from_str(&text)
            .map_err(|error| Error::Hold(format!("what the hold '{name}' is about is unreadable: {error}")))?;
        let released = row.get::<_, Option<i64>>(6)?.zip(row.get::<_, Option<i64>>(7)?);
        holds.push(Hold {
            id: row.get(0)?,
            name,
            matter: row.get(2)?,
            scope,
            seq: Seq(row.get(4)?),
            added: Timestamp(row.get(5)?),
            released: released.map(|(seq, time)| (Seq(seq), Timestamp(time))),
        });
    }
    Ok(holds)
}

/// Holds that are not what their entries say, and entries of holds that are not there. A hold that was changed or taken away
/// would let something go that must stay.
pub(crate) fn faults(connection: &Connection) -> Result<Vec<(Seq, String)>> {
    if !schema::has_retention(connection)? {
        return Ok(Vec::new());
    }
    let mut faults = Vec::new();
    let mut statement = connection.prepare("SELECT seq, salt, name, matter, scope, released_seq FROM hold")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, released) = (Seq(row.get(0)?), row.get::<_, Option<i64>>(5)?.map(Seq));
        let mut wrong = |what: &str| faults.push((seq, what.to_owned()));
        let Entry::HoldAdded { sha256, .. } = ledger::entry(connection, seq)? else {
            wrong("a hold is there, and its entry is another's");
            continue;
        };
        let texts: [Option<String>; 3] = [row.get(2)?, row.get(3)?, row.get(4)?];
        match (row.get::<_, Option<Vec<u8>>>(1)?, texts) {
            (Some(salt), [Some(name), Some(matter), Some(scope)]) => {
                if hold_hash(&salt, &name, &matter, &scope).to_string() != sha256 {
                    wrong("the hold is not what its entry says");
                }
            }
            // An erasure empties holds that were released.
            (None, [None, None, None]) if released.is_some() => {}
            _ => wrong("the hold is emptied, and is in force"),
        }
        if let Some(released) = released {
            match ledger::entry(connection, released) {
                Ok(Entry::HoldReleased { hold, .. }) if hold == seq => {}
                _ => wrong("the hold is released, and no entry says so"),
            }
        }
    }
    Ok(faults)
}

/// # Errors
/// [`Error::DamagedLedger`] where a hold is not the one that was entered, or is missing: then nobody knows what has to stay.
pub(crate) fn require_as_entered(connection: &Connection) -> Result<()> {
    if let Some((seq, what)) = faults(connection)?.into_iter().next() {
        return Err(Error::DamagedLedger { seq, what: format!("is about a hold, and {what}") });
    }
    let known = hold_seqs(connection)?;
    let mut statement = connection.prepare("SELECT seq FROM ledger WHERE entry LIKE '{\"op\":\"hold_added\"%'")?;
    for seq in statement.query_map([], |row| row.get(0).map(Seq))? {
        let seq = seq?;
        if !known.contains(&seq) {
            return Err(Error::DamagedLedger { seq, what: "enters a hold that is missing".into() });
        }
    }
    Ok(())
}

/// Numbers of the entries of holds that the table has.
pub(crate) fn hold_seqs(connection: &Connection) -> Result<HashSet<Seq>> {
    if !schema::has_retention(connection)? {
        return Ok(HashSet::new());
    }
    let mut statement = connection.prepare("SELECT seq FROM hold")?;
    Ok(statement.query_map([], |row| row.get(0).map(Seq))?.collect::<rusqlite::Result<_>>()?)
}

/// The records that a scope means by their rows, and by what its text matches.
fn within(connection: &Connection, scope: &Scope, matches: Option<&HashSet<RecordId>>) -> Result<HashSet<RecordId>> {
    let mut within = select::record_ids(connection, &scope.filter()?)?;
    if let Some(text) = &scope.text {
        let unread = || Error::Hold(format!("the text '{text}' of a hold was not looked at"));
        let matches = matches.ok_or_else(unread)?;
        within.retain(|record| matches.contains(record));
    }
    Ok(within)
}

pub(crate) fn covered(
    connection: &Connection,
    hold: &Hold,
    matches: Option<&HashSet<RecordId>>,
) -> Result<HashSet<RecordId>> {
    let mut covered = within(connection, &hold.scope, matches)?;
    let mut statement = connection.prepare("SELECT record_id FROM held WHERE hold_id = ?1")?;
    let rows = statement.query_map([hold.id], |row| row.get(0).map(RecordId))?;
    covered.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
    Ok(covered)
}
