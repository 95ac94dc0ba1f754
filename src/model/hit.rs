//! The contract's answer: what `query` prints for a record.

use serde::Serialize;

use crate::model::{
    id::{RecordId, RecordKey, Seq, Version},
    kind::{Kind, Roles},
    place::Place,
    rows::{Derived, Identity},
    time::{Age, Timestamp},
};

/// One record found. Keys and their order are the command-line contract; what does not apply is null.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit {
    #[serde(serialize_with = "kind_name")]
    pub kind: Kind,
    pub id: String,
    pub version: Version,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    /// Seconds, with a fraction.
    pub duration_s: Option<f64>,
    #[serde(rename = "type")]
    pub call_type: Option<String>,
    /// Of a call.
    pub modalities: Option<Vec<String>>,
    pub organizer: Option<Person>,
    pub participants: Vec<Person>,
    /// Of a call.
    pub sessions: Option<u32>,
    /// Some session or segment has a failure; of a row of a log: it says that the call was not successful.
    pub failed: bool,
    /// Who of its people `--participant` or `--organizer` meant, and why; without such a filter nobody, and no key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matched: Vec<Matched>,
    /// Where the next page begins: of the last hit of a page that has a next one, else no key.
    #[serde(rename = "cursor", skip_serializing_if = "Option::is_none")]
    pub next: Option<Place>,
    /// Where the newest version stands in the ledger.
    #[serde(skip)]
    pub seq: Seq,
    #[serde(skip)]
    pub record_id: RecordId,
}

impl Hit {
    /// What the contract says of a version that has no rows of its own, such as an older one: told by its document.
    #[must_use]
    pub fn of(key: &RecordKey, version: Version, seq: Seq, derived: &Derived) -> Self {
        let record = &derived.record;
        let organizer = derived.parties.iter().find(|party| party.roles.contains(Roles::ORGANIZER));
        let is_call = key.kind == Kind::Call;
        Self {
            kind: key.kind,
            id: key.id.clone(),
            version,
            start: record.start,
            end: record.end,
            duration_s: record.duration().map(Age::as_seconds_f64),
            call_type: record.call_type.clone(),
            modalities: is_call.then(|| record.modalities.clone()),
            organizer: organizer.map(|party| Person::from(&party.identity)),
            participants: derived.parties.iter().map(|party| Person::from(&party.identity)).collect(),
            sessions: is_call.then(|| u32::try_from(derived.sessions.len()).unwrap_or(u32::MAX)),
            failed: record.failed,
            matched: Vec::new(),
            next: None,
            seq,
            record_id: RecordId::default(),
        }
    }
}

/// Somebody in a hit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Person {
    pub id: Option<String>,
    pub name: Option<String>,
    pub upn: Option<String>,
    pub phone: Option<String>,
}

impl From<&Identity> for Person {
    fn from(identity: &Identity) -> Self {
        Self {
            id: identity.id.clone(),
            name: identity.display_name.clone(),
            upn: identity.user_principal_name.clone(),
            phone: identity.phone().map(str::to_owned),
        }
    }
}

impl Person {
    /// The first of name, UPN, number and id that is known.
    #[must_use]
    pub fn known_as(&self) -> Option<&str> {
        [&self.name, &self.upn, &self.phone, &self.id].into_iter().flatten().next().map(String::as_str)
    }
}

/// Somebody in a hit who is meant by what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matched {
    /// As it was typed.
    pub asked: String,
    /// As the record names them.
    #[serde(flatten)]
    pub person: Person,
    pub by: By,
    /// The record's number has stars in place of digits that the number asked for has: it may be the one.
    pub masked: bool,
    /// How it is known, where the record itself does not say what was asked for.
    #[serde(skip)]
    pub through: Option<Through>,
}

/// What of somebody is what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    Id,
    Upn,
    Mail,
    Name,
    Phone,
}

/// What tells that somebody is meant whom the record names otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Through {
    /// The directory knew them by this: since the archive has known them, where `from` is not said, and until today, where
    /// `until` is not.
    Directory { known_as: String, from: Option<Timestamp>, until: Option<Timestamp> },
    /// Other records name the same object id so.
    Records { known_as: String },
    /// It is a number that is or was this person's.
    NumberOf(String),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn kind_name<S: serde::Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}
