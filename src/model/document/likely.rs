//! The document that parts make up as a rule, made without reading through them.
//!
//! Graph sends JSON without white space, and most records on one page. Then the document is the body of the record with the
//! participants put in at one place, and both are found by looking for a few words. Nothing is checked here: whoever has the
//! document's hash compares it, and goes the long way ([`super::Document::assemble`]) where this is not the document.

use memchr::memmem;

use crate::model::document::What;

const PARTICIPANTS: &[u8] = b"\"participants_v2";
const MEMBER: &[u8] = b"\"participants_v2\":";

/// Appends what is likely the document to `out`. Says whether there is anything likely.
pub(crate) fn likely<'a>(parts: impl Iterator<Item = (What, &'a [u8])>, out: &mut Vec<u8>) -> bool {
    let (mut record, mut pages) = (None, Vec::new());
    for (what, body) in parts {
        match what {
            What::Record | What::Row if record.is_none() => record = Some(body),
            What::Participants => match elements(body) {
                Some(elements) => pages.push(elements),
                None => return false,
            },
            _ => return false,
        }
    }
    let Some(record) = record else { return false };
    if pages.is_empty() {
        out.extend_from_slice(record);
        return true;
    }
    let Some((before, after)) = place(record) else { return false };
    out.reserve_exact(record.len() + pages.iter().map(|page| page.len() + 1).sum::<usize>() + MEMBER.len() + 3);
    out.extend_from_slice(before);
    if !matches!(before, [b'{'] | []) {
        out.push(b',');
    }
    out.extend_from_slice(MEMBER);
    out.push(b'[');
    for (n, page) in pages.into_iter().filter(|page| !page.is_empty()).enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(page);
    }
    out.push(b']');
    out.extend_from_slice(after);
    true
}

/// What stands between the brackets of a page that ends with its elements.
fn elements(page: &[u8]) -> Option<&[u8]> {
    const VALUE: &[u8] = b"\"value\":[";
    let start = memmem::find(page, VALUE)? + VALUE.len();
    page.get(start..)?.strip_suffix(b"]}")
}

/// What of a record comes before its participants, without the comma, and what after them.
fn place(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = || Some((record.strip_suffix(b"}")?, &record[record.len() - 1..]));
    let Some(at) = memmem::find(record, PARTICIPANTS) else { return end() };
    let named = &record[at..];
    if let Some(value) = named.strip_prefix(MEMBER) {
        let after = value.strip_prefix(b"null").or_else(|| value.strip_prefix(b"[]"))?;
        return Some((record[..at].strip_suffix(b",").unwrap_or(&record[..at]), after));
    }
    let context = named.strip_prefix(b"\"participants_v2@odata.context\":\"")?;
    let close = memchr::memchr(b'"', context)?;
    let (before, after) = record.split_at(record.len() - context.len() + close + 1);
    // The member itself may come later.
    match memmem::find(after, MEMBER) {
        Some(_) => None,
        None => Some((before, after)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};

    use super::*;
    use crate::model::{
        document::{Document, Part},
        id::{RecordKey, Version},
        time::Timestamp,
    };

    fn document(parts: &[(What, &str)]) -> Document {
        let part = |(what, body): &(What, &str)| {
            Part::new(*what, "https://graph/x".into(), None, Timestamp(0), (*body).into())
        };
        Document { key: RecordKey::call("x"), version: Version(1), parts: parts.iter().map(part).collect() }
    }

    fn likely_of(document: &Document) -> Option<String> {
        let mut out = Vec::new();
        let is_there = likely(document.parts.iter().map(|part| (part.what, &*part.body)), &mut out);
        is_there.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_graph_sends_as_a_rule_is_found_without_reading_it() {
        let participants = r#"{"@odata.context":"c","value":[{"id":"a","n":"]}"},{"id":"b"}]}"#;
        let rest = r#""sessions@odata.context":"s","sessions":[{"id":"1","segments":[]}]"#;
        for before in ["\"id\":\"x\",\"participants_v2@odata.context\":\"p\",", "\"id\":\"x\",", ""] {
            for own in ["\"participants_v2\":null,", "\"participants_v2\":[],", ""] {
                for pages in [vec![participants], vec![participants, r#"{"value":[]}"#, r#"{"value":[{"id":"c"}]}"#]] {
                    let record = format!("{{{before}{own}{rest}}}");
                    let mut parts: Vec<_> = pages.iter().map(|page| (What::Participants, *page)).collect();
                    parts.push((What::Record, &record));
                    let document = document(&parts);
                    let found = likely_of(&document);
                    let whole = document.assemble().unwrap();
                    // Both the context and the member: Graph sends neither with the other, and the long way is taken.
                    if before.contains("context") && !own.is_empty() {
                        assert_eq!(found, None, "{record}");
                    } else {
                        assert_eq!(found.as_deref(), Some(&*whole), "{record}");
                    }
                }
            }
        }
        let row = document(&[(What::Row, r#"{"a":1}"#)]);
        assert_eq!(likely_of(&row), row.assemble().ok());
    }

    #[test]
    fn what_is_out_of_the_ordinary_has_nothing_likely() {
        for parts in [
            &[(What::Record, r#"{"sessions":[]}"#), (What::Sessions, r#"{"value":[]}"#)][..],
            &[(What::Record, "{}"), (What::ParticipantsExpanded, r#"{"participants_v2":[]}"#)],
            &[(What::Record, "{}"), (What::Participants, r#"{"value":[],"@odata.count":0}"#)],
            &[(What::Record, "{}"), (What::Record, "{}")],
            &[(What::Participants, r#"{"value":[]}"#)],
        ] {
            assert_eq!(likely_of(&document(parts)), None, "{parts:?}");
        }
    }

    const PIECES: [&str; 11] =
        ["{", "}", "]}", "\"value\":[", "\"participants_v2", "@odata.context\":\"", "\":", "null", ",", " ", "\""];

    fn body() -> impl Strategy<Value = String> {
        let piece = prop_oneof![proptest::sample::select(&PIECES[..]).prop_map(str::to_owned), any::<String>()];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_bodies_whatever_make_it_panic(record in body(), page in body(), other in any::<Vec<u8>>()) {
            let mut out = Vec::new();
            let bodies = [(What::Participants, page.as_bytes()), (What::Record, record.as_bytes())];
            likely(bodies.into_iter(), &mut out);
            likely([(What::Record, &*other), (What::Participants, page.as_bytes())].into_iter(), &mut out);
        }
    }
}
