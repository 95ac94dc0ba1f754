//! Tree → tantivy query.

use std::ops::Bound;

use tantivy::{
    Term,
    query::{
        AllQuery, BooleanQuery, EmptyQuery, InvertedIndexRangeQuery, Occur, PhraseQuery, Query, RangeQuery,
        RegexPhraseQuery, TermQuery,
    },
    schema::{Field, IndexRecordOption},
};

use crate::{
    model::{name::QueryWord, rows::SearchField},
    search::{
        excluded::Excluded,
        fields::{FIELDS, Held},
        language::Node,
        numbers::NumberField,
        reading::{Reading, Sought, reading},
    },
};

type Clauses = Vec<(Occur, Box<dyn Query>)>;

/// Leaves out the text fields that are not `held` where it is asked: to look for nothing in them costs as much as three other fields.
pub(crate) fn compile(node: &Node, held: Held) -> Box<dyn Query> {
    match node {
        Node::All => Box::new(AllQuery),
        Node::And(nodes) => and(nodes, held),
        Node::Or(nodes) => any(nodes.iter().map(|node| compile(node, held)).collect()),
        Node::Not(_) => and(std::slice::from_ref(node), held),
        Node::Text { fields, sought } => text(fields, sought, held),
        Node::Range { field, from, to } => range(*field, *from, *to),
    }
}

/// Something must be there for NOT to take away from: without a positive clause that is everything.
fn and(nodes: &[Node], held: Held) -> Box<dyn Query> {
    let mut clauses: Clauses = nodes
        .iter()
        .map(|node| match node {
            Node::Not(inner) => (Occur::MustNot, Box::new(Excluded(compile(inner, held))) as Box<dyn Query>),
            node => (Occur::Must, compile(node, held)),
        })
        .collect();
    if clauses.iter().all(|(occur, _)| *occur == Occur::MustNot) {
        clauses.push((Occur::Must, Box::new(AllQuery)));
    }
    Box::new(BooleanQuery::new(clauses))
}

fn any(mut queries: Vec<Box<dyn Query>>) -> Box<dyn Query> {
    match queries.len() {
        0 => Box::new(EmptyQuery),
        1 => queries.remove(0),
        _ => Box::new(BooleanQuery::union(queries)),
    }
}

fn text(fields: &[SearchField], sought: &Sought, held: Held) -> Box<dyn Query> {
    let read = |field: &SearchField| Some(read(FIELDS.text(*field), &reading(*field, sought)?));
    any(fields.iter().filter(|field| held.has(**field)).filter_map(read).collect())
}

fn read(field: Field, reading: &Reading) -> Box<dyn Query> {
    match reading {
        Reading::Term(text) => {
            Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::WithFreqs))
        }
        Reading::Prefix(text) => prefix(field, text),
        Reading::Between(first, last) => {
            let [first, last] = [first, last].map(|text| Bound::Included(Term::from_field_text(field, text)));
            Box::new(InvertedIndexRangeQuery::new(first, last))
        }
        Reading::Phrase(words) => phrase(field, words),
        Reading::All(readings) => {
            Box::new(BooleanQuery::intersection(readings.iter().map(|reading| read(field, reading)).collect()))
        }
        Reading::Any(readings) => any(readings.iter().map(|reading| read(field, reading)).collect()),
    }
}

/// All terms from `text` to the first that does not begin with it.
fn prefix(field: Field, text: &str) -> Box<dyn Query> {
    // No byte of UTF-8 is 0xFF, so the last byte can always be raised.
    let mut after = text.as_bytes().to_vec();
    if let Some(last) = after.last_mut() {
        *last += 1;
    }
    let mut end = Term::from_field_text(field, "");
    end.append_bytes(&after);
    Box::new(InvertedIndexRangeQuery::new(Bound::Included(Term::from_field_text(field, text)), Bound::Excluded(end)))
}

fn phrase(field: Field, words: &[(usize, QueryWord)]) -> Box<dyn Query> {
    if words.iter().any(|(_, word)| word.prefix) {
        let patterns = words.iter().map(|(place, word)| (*place, pattern(word))).collect();
        return Box::new(RegexPhraseQuery::new_with_offset(field, patterns));
    }
    let terms = words.iter().map(|(place, word)| (*place, Term::from_field_text(field, &word.text))).collect();
    Box::new(PhraseQuery::new_with_offset(terms))
}

fn pattern(word: &QueryWord) -> String {
    let mut pattern = String::new();
    for c in word.text.chars() {
        if c.is_ascii_punctuation() {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern + if word.prefix { ".*" } else { "" }
}

fn range(field: NumberField, from: Option<i64>, to: Option<i64>) -> Box<dyn Query> {
    if let (Some(from), Some(to)) = (from, to)
        && to <= from
    {
        return Box::new(EmptyQuery);
    }
    let field = match field {
        NumberField::Start => FIELDS.start,
        NumberField::End => FIELDS.end,
        NumberField::Duration => FIELDS.duration,
        NumberField::Version => FIELDS.version,
    };
    let term = |value| Term::from_field_i64(field, value);
    // A document without the value is in no range, not even in the one without bounds.
    let low = Bound::Included(term(from.unwrap_or(i64::MIN)));
    let high = to.map_or(Bound::Included(term(i64::MAX)), |to| Bound::Excluded(term(to)));
    Box::new(RangeQuery::new(low, high))
}
