//! The contract's answer: what `query` prints for a record.

use serde::Serialize;

use crate::model::{
    id::{Seq, Version},
    kind::Kind,
    time::Timestamp,
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
    /// Where the newest version stands in the ledger.
    #[serde(skip)]
    pub seq: Seq,
}

/// Somebody in a hit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Person {
    pub id: Option<String>,
    pub name: Option<String>,
    pub upn: Option<String>,
    pub phone: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn kind_name<S: serde::Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}
