//! A place in an ordered answer: what stands between two pages of it.
//!
//! A place is the key by which a record was sorted and its row number, never a count: records that come or go elsewhere move
//! nothing, so that no record is shown twice and none that was there is left out. Its text is opaque to whoever carries it.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, Serializer};

use crate::model::{
    filter::Sort,
    hit::Hit,
    id::{RecordId, Sha256},
};

/// Right after a record in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Never [`Sort::Relevance`]: how well a record matches depends on all others, and so changes with each sync.
    pub sort: Sort,
    /// What the record is sorted by, in nanoseconds; `None` comes last in every order.
    pub key_ns: Option<i64>,
    /// Decides among equals: the newer row first, with [`Sort::Oldest`] the older.
    pub record_id: RecordId,
}

/// A text that is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor that a query gave")]
pub struct NoPlace;

/// Bytes of a hash that tell a slip of the pen.
const CHECK_BYTES: usize = 3;
const BYTES: usize = 1 + 8 + 8;

impl Place {
    /// The place after `hit`; `None` where the order has none.
    #[must_use]
    pub fn after(hit: &Hit, sort: Sort) -> Option<Self> {
        let start_ns = hit.start.map(|start| start.0);
        let key_ns = match sort {
            Sort::Newest | Sort::Oldest => start_ns,
            Sort::Longest => hit.end.zip(hit.start).map(|(end, start)| (end - start).0),
            Sort::Relevance => return None,
        };
        Some(Self { sort, key_ns, record_id: hit.record_id })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.sort {
            Sort::Newest | Sort::Relevance => 0,
            Sort::Oldest => 1,
            Sort::Longest => 2,
        };
        let mut bytes = vec![order | if self.key_ns.is_none() { 4 } else { 0 }];
        bytes.extend(self.key_ns.unwrap_or(0).to_be_bytes());
        bytes.extend(self.record_id.0.to_be_bytes());
        bytes.extend(&Sha256::of(&bytes).0[..CHECK_BYTES]);
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| NoPlace)?;
        let (said, check) = bytes.split_at_checked(BYTES).ok_or(NoPlace)?;
        if check != &Sha256::of(said).0[..CHECK_BYTES] {
            return Err(NoPlace);
        }
        let number = |at: usize| said[at..at + 8].try_into().map(i64::from_be_bytes).map_err(|_| NoPlace);
        let sort = match said[0] & 3 {
            0 => Sort::Newest,
            1 => Sort::Oldest,
            2 => Sort::Longest,
            _ => return Err(NoPlace),
        };
        let key_ns = if said[0] & 4 == 0 { Some(number(1)?) } else { None };
        Ok(Self { sort, key_ns, record_id: RecordId(number(9)?) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn a_place_is_read_as_it_was_written(order in 0..3usize, key_ns in any::<Option<i64>>(), record in any::<i64>()) {
            let sort = [Sort::Newest, Sort::Oldest, Sort::Longest][order];
            let place = Place { sort, key_ns, record_id: RecordId(record) };
            let text = place.to_string();
            prop_assert_eq!(text.parse(), Ok(place));
            // So that no command line takes it for a flag.
            prop_assert_eq!(text.chars().next(), Some('A').filter(|_| key_ns.is_some()).or(Some('B')));
        }

        #[test]
        fn a_letter_typed_wrong_is_noticed(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_-]") {
            let place = Place { sort: Sort::Newest, key_ns: Some(1_795_000_000_000_000_000), record_id: RecordId(12_345) };
            let text = place.to_string();
            let at = at.index(text.len());
            let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            prop_assert_eq!(changed.parse::<Place>().is_ok(), changed == text);
        }
    }

    #[test]
    fn other_texts_are_no_places() {
        for text in ["", "A", "2", "newest", "AAAAAAAAAAAAAAAAAAAAAAAAAAA", "é", "---------------------------"] {
            assert_eq!(text.parse::<Place>(), Err(NoPlace), "{text}");
        }
    }
}
