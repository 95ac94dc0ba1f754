//! A version of a record as it came over the wire: response bodies, byte for byte, and the one JSON document made of them.

mod likely;

use std::collections::HashSet;

pub(crate) use self::likely::likely;
use crate::model::{
    id::{RecordKey, Sha256, Version},
    raw::{self, Malformed, Outline},
    time::{Span, Timestamp},
};

/// What a response body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// The record itself with the first page of its sessions (`?$expand=sessions($expand=segments)`).
    Record,
    /// A further page of sessions with their segments: `{"value":[…]}`.
    Sessions,
    /// A page of `participants_v2`: `{"value":[…]}`.
    Participants,
    /// The record with its participants expanded, where the collection of its own is refused: `{…,"participants_v2":[…]}`.
    ParticipantsExpanded,
    /// One element of a page, cut out byte for byte: a row of a log, somebody of the directory. It is the whole record.
    Row,
}

impl What {
    const NAMES: [(What, &'static str); 5] = [
        (What::Record, "record"),
        (What::Sessions, "sessions"),
        (What::Participants, "participants_v2"),
        (What::ParticipantsExpanded, "participants_v2 expanded"),
        (What::Row, "row"),
    ];

    /// The name under which the archive keeps it.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(what, _)| *what == self).map_or("record", |(_, name)| name)
    }

    #[must_use]
    pub fn from_name(text: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, name)| *name == text).map(|(what, _)| *what)
    }
}

/// One response body exactly as received (after transfer decoding), and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub what: What,
    /// The URL asked, verbatim.
    pub url: String,
    /// Graph's `request-id` response header.
    pub request_id: Option<String>,
    /// For a row of a log, the span that was asked for; next links do not always say it.
    pub asked: Option<Span>,
    /// When the last byte was in, by the local clock.
    pub received: Timestamp,
    pub body: Vec<u8>,
    pub sha256: Sha256,
}

impl Part {
    #[must_use]
    pub fn new(what: What, url: String, request_id: Option<String>, received: Timestamp, body: Vec<u8>) -> Self {
        let sha256 = Sha256::of(&body);
        Self { what, url, request_id, asked: None, received, body, sha256 }
    }
}

/// One version of one record: its parts, in the order in which they were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub key: RecordKey,
    pub version: Version,
    pub parts: Vec<Part>,
}

/// Why parts do not make up a document.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    #[error("the body of {url} is not the JSON expected: {source}")]
    Malformed { url: String, source: Malformed },
    #[error("no body holds the record itself")]
    NoRecord,
}

impl Document {
    /// The sum of the lengths of all bodies.
    #[must_use]
    pub fn raw_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.body.len()).sum()
    }

    /// The span of time that a row of a log was asked for with.
    #[must_use]
    pub fn asked_span(&self) -> Option<Span> {
        self.parts.first()?.asked
    }

    /// Splices the parts into one JSON object on one line: the record with its complete `sessions` and `participants_v2`.
    ///
    /// Every other member stands in its original order; keys, numbers and strings are copied letter for letter; only white
    /// space between tokens and the nested next links are dropped. An element that a later page repeats byte for byte is
    /// taken once. The result depends on the bytes alone, so it can be made again at any time.
    ///
    /// # Errors
    /// When a body is not the JSON object that its `what` promises.
    pub fn assemble(&self) -> Result<String, AssembleError> {
        let mut out = String::new();
        self.assemble_into(&mut out)?;
        Ok(out)
    }

    /// As [`Self::assemble`], in the place of what `out` holds.
    pub fn assemble_into(&self, out: &mut String) -> Result<(), AssembleError> {
        out.clear();
        out.reserve(self.raw_bytes() + 64);
        if let Some(row) = self.parts.iter().find(|part| part.what == What::Row) {
            let is_compact = outline(row)?.is_compact;
            push(part_text(row)?, is_compact, out);
            return Ok(());
        }
        let parts = self.parts.iter().map(|part| Ok((part, outline(part)?))).collect::<Result<Vec<_>, _>>()?;
        let (_, record) = parts.iter().find(|(part, _)| part.what == What::Record).ok_or(AssembleError::NoRecord)?;

        let mut sessions = Collection::default();
        let mut participants = Collection::default();
        for (part, outline) in &parts {
            let (collection, name) = match part.what {
                What::Record => (&mut sessions, "sessions"),
                What::Sessions => (&mut sessions, "value"),
                What::Participants => (&mut participants, "value"),
                What::ParticipantsExpanded => (&mut participants, "participants_v2"),
                What::Row => continue,
            };
            collection.add_page(outline, name).map_err(|source| malformed(part, source))?;
        }

        out.push('{');
        let mut participants_written = false;
        let mut sessions_written = false;
        let has_participants = record.members.iter().any(|member| member.key == "\"participants_v2\"");
        for member in &record.members {
            match member.key {
                "\"sessions@odata.nextLink\"" | "\"participants_v2@odata.nextLink\"" => continue,
                "\"sessions\"" => {
                    sessions.write_member(member.key, out);
                    sessions_written = true;
                }
                "\"participants_v2\"" if participants.asked => {
                    participants.write_member(member.key, out);
                    participants_written = true;
                }
                _ => {
                    push_comma(out);
                    out.push_str(member.key);
                    out.push(':');
                    push(member.value, record.is_compact, out);
                }
            }
            if member.key == "\"participants_v2@odata.context\"" && participants.asked && !has_participants {
                participants.write_member("\"participants_v2\"", out);
                participants_written = true;
            }
        }
        if !sessions_written && parts.iter().any(|(part, _)| part.what == What::Sessions) {
            sessions.write_member("\"sessions\"", out);
        }
        if participants.asked && !participants_written {
            participants.write_member("\"participants_v2\"", out);
        }
        out.push('}');
        Ok(())
    }
}

fn part_text(part: &Part) -> Result<&str, AssembleError> {
    std::str::from_utf8(&part.body).map_err(|_| malformed(part, Malformed::NotUtf8))
}

fn outline(part: &Part) -> Result<Outline<'_>, AssembleError> {
    raw::outline(part_text(part)?).map_err(|source| malformed(part, source))
}

fn malformed(part: &Part, source: Malformed) -> AssembleError {
    AssembleError::Malformed { url: part.url.clone(), source }
}

fn push_comma(out: &mut String) {
    if !out.ends_with('{') && !out.ends_with('[') {
        out.push(',');
    }
}

fn push(value: &str, is_compact: bool, out: &mut String) {
    if is_compact { out.push_str(value) } else { raw::push_minified(value, out) }
}

/// One nested collection over all its pages.
#[derive(Default)]
struct Collection<'a> {
    asked: bool,
    /// Arrays, each with whether it has no white space in it.
    pages: Vec<(&'a str, bool)>,
}

impl<'a> Collection<'a> {
    fn add_page(&mut self, outline: &Outline<'a>, name: &str) -> Result<(), Malformed> {
        self.asked = true;
        match raw::value(&outline.members, name) {
            None | Some("null") => {}
            Some(array) if array.starts_with('[') => self.pages.push((array, outline.is_compact)),
            Some(_) => return Err(Malformed::Expected("array")),
        }
        Ok(())
    }

    fn write_member(&self, key: &str, out: &mut String) {
        push_comma(out);
        out.push_str(key);
        out.push(':');
        // Most collections are of one page, which is compared with nothing.
        if let [(array, is_compact)] = self.pages[..] {
            push(array, is_compact, out);
            return;
        }
        out.push('[');
        let mut of_earlier_pages = HashSet::new();
        for (array, is_compact) in &self.pages {
            let page = raw::elements(array).unwrap_or_default();
            for element in page.iter().filter(|element| !of_earlier_pages.contains(*element)) {
                push_comma(out);
                push(element, *is_compact, out);
            }
            of_earlier_pages.extend(page);
        }
        out.push(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(what: What, body: &str) -> Part {
        Part::new(what, format!("https://graph/{}", what.name()), None, Timestamp(0), body.into())
    }

    fn assemble(parts: &[(What, &str)]) -> Result<String, AssembleError> {
        let parts = parts.iter().map(|(what, body)| part(*what, body)).collect();
        Document { key: RecordKey::call("x"), version: Version(1), parts }.assemble()
    }

    #[test]
    fn pages_become_one_document_and_nothing_else_changes() {
        let text = assemble(&[
            (What::Participants, r#"{"value":[{"id":"a"}],"@odata.nextLink":"n"}"#),
            (What::Participants, r#"{"value":[ {"id":"b"} , {"id":"a"}]}"#),
            (
                What::Record,
                "{ \"@odata.context\" : \"c\", \"n\": [1e-7, -0.0,\r\n 9007199254740993, 0.00],\"s\\u0041\":\"\\u00e9 \\/ {\\\"\",\
                 \"participants_v2@odata.context\":\"p\",\"sessions\":[{\"id\":\"1\"}],\"sessions@odata.nextLink\":\"x\",\"later\":null}",
            ),
            (What::Sessions, r#"{"@odata.nextLink":"y","value":[{"id":"1"},{"id":"2"}]}"#),
            (What::Sessions, r#"{"value":[]}"#),
        ])
        .unwrap();
        assert_eq!(
            text,
            "{\"@odata.context\":\"c\",\"n\":[1e-7,-0.0,9007199254740993,0.00],\"s\\u0041\":\"\\u00e9 \\/ {\\\"\",\
             \"participants_v2@odata.context\":\"p\",\"participants_v2\":[{\"id\":\"a\"},{\"id\":\"b\"}],\
             \"sessions\":[{\"id\":\"1\"},{\"id\":\"2\"}],\"later\":null}"
        );
    }

    #[test]
    fn sessions_that_came_on_pages_of_their_own_are_not_dropped() {
        let text = assemble(&[(What::Record, r#"{"id":"x"}"#), (What::Sessions, r#"{"value":[{"id":"1"}]}"#)]);
        assert_eq!(text.unwrap(), r#"{"id":"x","sessions":[{"id":"1"}]}"#);
    }

    #[test]
    fn twins_on_one_page_are_graphs_own_and_stay() {
        let text = assemble(&[
            (What::Record, r#"{"sessions":[],"participants_v2":null}"#),
            (What::Participants, r#"{"value":[{"id":"a"},{"id":"a"}]}"#),
        ]);
        assert_eq!(text.unwrap(), r#"{"sessions":[],"participants_v2":[{"id":"a"},{"id":"a"}]}"#);
    }

    #[test]
    fn a_cut_body_is_refused_with_its_url() {
        for body in [r#"{"sessions":[{"id":"1"}"#, "", "[]", "{\"a\":1}x", r#"{"a":01}"#] {
            let error = assemble(&[(What::Record, body)]).unwrap_err();
            assert!(error.to_string().contains("https://graph/record"), "{body}: {error}");
        }
        assert!(matches!(assemble(&[(What::Sessions, r#"{"value":[]}"#)]), Err(AssembleError::NoRecord)));
    }
}
