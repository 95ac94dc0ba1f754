//! A row of Graph's list of call records: what is needed to decide whether to fetch it.

use crate::model::{id::Version, time::Timestamp};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub id: String,
    pub version: Version,
    pub start: Option<Timestamp>,
    pub last_modified: Option<Timestamp>,
}
