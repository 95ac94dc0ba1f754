//! The schema of a document, and its fingerprint. The only place that names a tantivy field.
//!
//! Nothing is stored: a document is found by its terms and answers with its fast fields. Positions are kept only where people
//! look for phrases (names and sentences); elsewhere the words of a phrase must merely all be there.

use std::sync::LazyLock;

use tantivy::{
    IndexSettings, IndexSortByField, Order, SegmentReader,
    schema::{Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions},
    tokenizer::{Token, TokenStream, Tokenizer, TokenizerManager},
};

use crate::model::rows::{DERIVE_VERSION, SearchField};

/// Raised whenever `terms.rs` makes other terms of the same text.
const ANALYSIS_VERSION: u32 = 4;

/// What an index must say to be the one that this program would make.
pub(crate) fn fingerprint() -> String {
    format!("analysis {ANALYSIS_VERSION}, derivation {DERIVE_VERSION}")
}

/// How an index is laid out: documents latest start first, those without one last, so that the newest matches of a word are found
/// without a look at all of them.
pub(crate) fn settings() -> IndexSettings {
    IndexSettings {
        docstore_compress_dedicated_thread: false,
        sort_by_field: Some(IndexSortByField { field: START.to_owned(), order: Order::Desc }),
        ..IndexSettings::default()
    }
}

pub(crate) const RECORD_ID: &str = "record_id";
pub(crate) const SEQ: &str = "seq";
pub(crate) const START: &str = "start";
pub(crate) const DURATION: &str = "duration";

const TERMS: &str = "terms";

/// Every text field, in the order of the schema.
pub(crate) const TEXTS: [(SearchField, &str); 17] = [
    (SearchField::Name, "name"),
    (SearchField::Organizer, "organizer"),
    (SearchField::ParticipantId, "participant_id"),
    (SearchField::Upn, "upn"),
    (SearchField::Phone, "phone"),
    (SearchField::Id, "id"),
    (SearchField::Agent, "agent"),
    (SearchField::Device, "device"),
    (SearchField::Network, "network"),
    (SearchField::Codec, "codec"),
    (SearchField::Stage, "stage"),
    (SearchField::Reason, "reason"),
    (SearchField::Type, "type"),
    (SearchField::Modality, "modality"),
    (SearchField::Conversation, "conversation"),
    (SearchField::Feedback, "feedback"),
    (SearchField::Detail, "detail"),
];

/// The text fields of which a segment holds anything.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held(u32);

impl Held {
    pub(crate) fn of(segment: &SegmentReader) -> tantivy::Result<Self> {
        let fields = segment.fields_metadata()?;
        let is_held = |name: &str| {
            let field = fields.iter().find(|field| field.field_name == name);
            field.and_then(|field| field.postings_size).is_some_and(|size| size.get_bytes() > 0)
        };
        let held = TEXTS.into_iter().filter(|(_, name)| is_held(name));
        Ok(Self(held.fold(0, |bits, (field, _)| bits | 1 << field as u32)))
    }

    pub(crate) fn has(self, field: SearchField) -> bool {
        self.0 & 1 << field as u32 != 0
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The schema and handles to its fields; the same in every index whose schema is equal.
pub(crate) struct Fields {
    pub schema: Schema,
    pub record_id: Field,
    pub seq: Field,
    /// Nanoseconds since 1970.
    pub start: Field,
    pub end: Field,
    /// Nanoseconds.
    pub duration: Field,
    pub version: Field,
    texts: [Field; TEXTS.len()],
}

impl Fields {
    pub(crate) fn text(&self, field: SearchField) -> Field {
        self.texts[field as usize]
    }
}

/// Whether the places of words are indexed.
pub(crate) fn has_positions(field: SearchField) -> bool {
    matches!(
        field,
        SearchField::Name | SearchField::Organizer | SearchField::Reason | SearchField::Feedback | SearchField::Detail
    )
}

pub(crate) static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let mut schema = Schema::builder();
    let fast = || NumericOptions::default().set_fast();
    let record_id = schema.add_i64_field(RECORD_ID, fast().set_indexed());
    let seq = schema.add_i64_field(SEQ, fast());
    let start = schema.add_i64_field(START, fast());
    let end = schema.add_i64_field("end", fast());
    let duration = schema.add_i64_field(DURATION, fast());
    let version = schema.add_i64_field("version", fast());
    let texts = TEXTS.map(|(field, name)| schema.add_text_field(name, text_options(field)));
    Fields { schema: schema.build(), record_id, seq, start, end, duration, version, texts }
});

fn text_options(field: SearchField) -> TextOptions {
    let record = if has_positions(field) { IndexRecordOption::WithFreqsAndPositions } else { IndexRecordOption::Basic };
    // The length of a text says something of its weight only among names: a call of two is more about each than one of fifty.
    let weighted = field == SearchField::Name;
    TextOptions::default().set_indexing_options(
        TextFieldIndexing::default().set_tokenizer(TERMS).set_index_option(record).set_fieldnorms(weighted),
    )
}

/// Stands between terms at the same place.
pub(crate) const SAME_PLACE: char = '\u{1d}';
/// Stands between terms at adjacent places.
pub(crate) const NEXT_PLACE: char = '\u{1e}';
/// Stands between values, across which no phrase reaches.
pub(crate) const NEXT_VALUE: char = '\u{1f}';

const VALUE_GAP: usize = 8;

/// The tokenizers of the schema.
pub(crate) fn tokenizers() -> TokenizerManager {
    // Not an empty manager: tantivy asks for its default tokenizer even for numbers.
    let manager = TokenizerManager::default();
    manager.register(TERMS, Terms::default());
    manager
}

/// Takes apart what `terms.rs` put together: terms with a separator before each.
#[derive(Clone, Default)]
struct Terms {
    token: Token,
}

struct TermStream<'a> {
    token: &'a mut Token,
    rest: &'a str,
}

impl Tokenizer for Terms {
    type TokenStream<'a> = TermStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> TermStream<'a> {
        self.token.reset();
        self.token.position = 0;
        TermStream { token: &mut self.token, rest: text }
    }
}

impl TokenStream for TermStream<'_> {
    fn advance(&mut self) -> bool {
        let mut chars = self.rest.chars();
        match chars.next() {
            Some(SAME_PLACE) => {}
            Some(NEXT_PLACE) => self.token.position += 1,
            Some(NEXT_VALUE) => self.token.position += VALUE_GAP,
            _ => return false,
        }
        let rest = chars.as_str();
        let term_end = rest.find([SAME_PLACE, NEXT_PLACE, NEXT_VALUE]).unwrap_or(rest.len());
        self.token.text.clear();
        self.token.text.push_str(&rest[..term_end]);
        self.rest = &rest[term_end..];
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_search_field_has_its_own_place_in_the_schema() {
        for (place, (field, name)) in TEXTS.into_iter().enumerate() {
            assert_eq!(field as usize, place, "{name}");
            assert_eq!(FIELDS.schema.get_field_name(FIELDS.text(field)), name);
        }
    }
}
