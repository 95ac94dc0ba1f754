//! The newest version of a record → tantivy's document.

use tantivy::TantivyDocument;

use crate::{
    model::{
        id::{RecordId, Seq, Version},
        rows::{Derived, SearchField},
        time::Timestamp,
    },
    search::{fields::FIELDS, terms::Analysis},
};

/// What the index keeps of a record: the newest version's place in the ledger, and what it is found by.
#[derive(Clone, Debug)]
pub struct Entry {
    pub record_id: RecordId,
    /// Ledger position of the version that `derived` is of.
    pub seq: Seq,
    /// What the order of answers goes by; for log rows, whatever time they have.
    pub start: Option<Timestamp>,
    /// Graph's id, or the stable key of a log row.
    pub id: String,
    pub version: Version,
    pub derived: Derived,
}

pub(crate) fn document(entry: &Entry, analysis: &mut Analysis) -> TantivyDocument {
    let mut document = TantivyDocument::new();
    let record = &entry.derived.record;
    document.add_i64(FIELDS.record_id, entry.record_id.0);
    document.add_i64(FIELDS.seq, entry.seq.0);
    document.add_i64(FIELDS.version, entry.version.0);
    let numbers = [
        (FIELDS.start, entry.start.map(|start| start.0)),
        (FIELDS.end, record.end.map(|end| end.0)),
        (FIELDS.duration, record.duration().map(|duration| duration.0)),
    ];
    for (field, value) in numbers {
        if let Some(value) = value {
            document.add_i64(field, value);
        }
    }
    let mut text = String::new();
    for values in texts(entry).chunk_by(|(one, _), (other, _)| one == other) {
        let (field, _) = values[0];
        text.clear();
        for (_, value) in values {
            analysis.append(field, value, &mut text);
        }
        if !text.is_empty() {
            document.add_text(FIELDS.text(field), &text);
        }
    }
    document
}

/// Field by field, each value once: people and devices repeat from session to session.
fn texts(entry: &Entry) -> Vec<(SearchField, &str)> {
    let searched = entry.derived.search.iter().map(|(field, value)| (*field, value.as_str()));
    let mut texts: Vec<_> = searched.chain([(SearchField::Id, entry.id.as_str())]).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}
