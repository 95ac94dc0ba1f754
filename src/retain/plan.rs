//! What would be disposed of, written down so that a second person can look at it. It has ids and times in it, and no name.

use std::{
    collections::{BTreeMap, HashSet},
    ops::ControlFlow,
};

use serde::{Deserialize, Serialize};

use crate::{
    archive::{self, Archive, policy::Rules, purge::Names},
    model::{
        filter::{Filter, Selection},
        hit::{Hit, Matched, Through},
        id::{RecordId, RecordKey, Seq},
        kind::Kind,
        phone::PhoneQuery,
        time::Timestamp,
    },
    retain::{Error, Result, held, rule},
};

/// The document of a plan. Members may be added in later formats; none is renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// 1
    pub format: u32,
    /// `rules` or `erasure`.
    pub why: String,
    pub made: Timestamp,
    /// uid of who made it.
    pub by: u32,
    /// Version of the rules of retention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// SHA-256 of what proves that it is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    pub records: Vec<Item>,
    /// Of an erasure: records that may be another person's, and stay.
    #[serde(default)]
    pub uncertain: u64,
    /// What is due and stays, because it is held.
    pub held: Vec<HeldBack>,
}

/// A record to be disposed of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub kind: String,
    pub id: String,
    pub start: Option<Timestamp>,
    pub versions: u64,
    /// Its row, for this program alone.
    #[serde(skip)]
    pub record_id: RecordId,
}

/// How many due records a hold keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// The hold's entry in the ledger.
    pub hold: Seq,
    #[serde(skip)]
    pub name: String,
    pub records: u64,
}

/// How much of a kind, and when it began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OfKind {
    pub records: u64,
    pub versions: u64,
    pub first_start: Option<Timestamp>,
    pub last_start: Option<Timestamp>,
}

impl Plan {
    #[must_use]
    pub fn record_ids(&self) -> Vec<RecordId> {
        self.records.iter().map(|item| item.record_id).collect()
    }

    /// By name of the kind.
    #[must_use]
    pub fn by_kind(&self) -> BTreeMap<&str, OfKind> {
        let mut kinds: BTreeMap<&str, OfKind> = BTreeMap::new();
        for item in &self.records {
            let of_kind = kinds.entry(&item.kind).or_default();
            of_kind.records += 1;
            of_kind.versions += item.versions;
            of_kind.first_start = [of_kind.first_start, item.start].into_iter().flatten().min();
            of_kind.last_start = of_kind.last_start.max(item.start);
        }
        kinds
    }

    /// Leaves only what `approved` has as well.
    pub fn only_of(&mut self, approved: &Plan) {
        let known: HashSet<(&str, &str)> = approved.records.iter().map(|item| (&*item.kind, &*item.id)).collect();
        self.records.retain(|item| known.contains(&(&*item.kind, &*item.id)));
    }
}

/// Plans what the rules in force make due at `now`; what is held is left out and told.
pub fn by_rules(archive: &Archive, rules: &Rules, by: u32, now: Timestamp) -> Result<Plan> {
    require_all_rows(archive)?;
    let mut records = Vec::new();
    archive.each_aged(now, &mut |aged| {
        if rule::is_due(&rules.rules, &aged, now) {
            let (kind, versions) = (aged.kind.name().to_owned(), aged.versions);
            records.push(Item { kind, id: aged.id, start: aged.start, versions, record_id: aged.record_id });
        }
    })?;
    let ids: Vec<RecordId> = records.iter().map(|item| item.record_id).collect();
    let mut back = Vec::new();
    for (hold, covered) in held(archive, &ids)? {
        records.retain(|item| !covered.contains(&item.record_id));
        back.push(HeldBack { hold: hold.seq, name: hold.name, records: covered.len() as u64 });
    }
    let (why, rules) = ("rules".to_owned(), Some(rules.version));
    Ok(Plan { format: 1, why, made: now, by, rules, reason: None, proof: None, records, uncertain: 0, held: back })
}

/// Plans the erasure of one person: every record in which they take part, and what the directory said of them.
///
/// # Errors
/// Where nobody or several people are meant. What is held is refused when it is carried out, as a whole.
pub fn erasure(
    archive: &Archive,
    person: &str,
    (reason, proof): (String, String),
    by: u32,
    now: Timestamp,
) -> Result<(Plan, Vec<String>)> {
    require_all_rows(archive)?;
    let is_certain =
        person.contains('@') || uuid::Uuid::try_parse(person.trim()).is_ok() || PhoneQuery::parse(person).is_some();
    if !is_certain {
        let what =
            "--person: a name may be several people's; name them by object id, UPN, mail address or phone number";
        return Err(Error::Usage(what.to_owned()));
    }
    let mut names = archive.names_of(person)?;
    let mut found = Found::default();
    found.look(archive, archive, person, &names)?;
    // Who is in an older version only is in the archive as well.
    for round in archive.older_versions(None)? {
        let past = archive.with_newest(&round)?;
        names.add(past.names_of(person)?);
        found.look(archive, &past, person, &names)?;
    }
    if let [_, _, ..] = &names.object_ids[..] {
        let ids = names.object_ids.join(", ");
        return Err(Error::Usage(format!(
            "--person: several people are meant, by the object ids {ids}; name one of them"
        )));
    }
    let (mut records, uncertain) = found.finish();
    for (record_id, key) in archive.directory_records(&names.object_ids)? {
        let versions = archive.versions(&key)?.len() as u64;
        records.push(Item { kind: Kind::Person.name().to_owned(), id: key.id, start: None, versions, record_id });
    }
    if records.is_empty() {
        return Err(Error::Usage(format!("--person: the archive knows nobody by '{person}'")));
    }
    let mut back = Vec::new();
    let ids: Vec<RecordId> = records.iter().map(|item| item.record_id).collect();
    for (hold, covered) in held(archive, &ids)? {
        back.push(HeldBack { hold: hold.seq, name: hold.name, records: covered.len() as u64 });
    }
    let (reason, proof) = (Some(reason), Some(proof));
    let plan = Plan {
        format: 1,
        why: "erasure".to_owned(),
        made: now,
        by,
        rules: None,
        reason,
        proof,
        records,
        uncertain,
        held: back,
    };
    Ok((plan, names.words))
}

/// The records in which somebody takes part, by their numbers.
#[derive(Default)]
struct Found {
    theirs: BTreeMap<RecordId, Item>,
    /// Those that may be another's.
    uncertain: HashSet<RecordId>,
}

impl Found {
    /// Looks at the records of `seen`, which is `archive` as it is or as it was.
    fn look(&mut self, archive: &Archive, seen: &Archive, person: &str, names: &Names) -> Result<()> {
        let filter = Filter { participants: vec![person.to_owned()], ..Filter::default() };
        let mut outcome = Ok(());
        seen.for_each(&Selection { filter, ..Selection::default() }, &mut |hit| {
            outcome = self.take(archive, hit, names);
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(outcome?)
    }

    fn take(&mut self, archive: &Archive, hit: Hit, names: &Names) -> archive::Result<()> {
        let mut is_theirs = |matched: &Matched| match (&matched.through, &matched.person.phone) {
            _ if matched.masked => Ok(false),
            (Some(Through::NumberOf(_)), Some(number)) => archive.is_nobody_elses(number, &names.object_ids),
            _ => Ok(true),
        };
        let theirs = hit.matched.iter().map(&mut is_theirs).collect::<archive::Result<Vec<bool>>>()?;
        if !theirs.contains(&true) {
            self.uncertain.insert(hit.record_id);
            return Ok(());
        }
        if !self.theirs.contains_key(&hit.record_id) {
            let (start, record_id) = (hit.start, hit.record_id);
            let key = RecordKey { kind: hit.kind, id: hit.id };
            let versions = archive.versions(&key)?.len() as u64;
            let item = Item { kind: key.kind.name().to_owned(), id: key.id, start, versions, record_id };
            self.theirs.insert(record_id, item);
        }
        Ok(())
    }

    /// What is theirs, and how many records may be.
    fn finish(self) -> (Vec<Item>, u64) {
        let uncertain = self.uncertain.iter().filter(|record| !self.theirs.contains_key(record)).count() as u64;
        (self.theirs.into_values().collect(), uncertain)
    }
}

/// What has no rows is met by no filter, also by that of no hold.
fn require_all_rows(archive: &Archive) -> Result<()> {
    archive.require_rows()?;
    match archive.underived()? {
        0 => Ok(()),
        n => Err(Error::Usage(format!(
            "{n} records have no rows yet, so nobody knows which holds cover them: run callvault reindex"
        ))),
    }
}
