//! What is read of a body before it is archived, and which next links are followed.
//!
//! Read is only what steers the next request: ids, versions, next links, and whether the body is whole. A next link is followed as it
//! stands, but never to another host, because the token goes with it; never where a `#` would cut it; and never twice.

use std::borrow::Cow;
use std::collections::HashSet;

use memchr::memmem;
use url::Url;

use crate::{
    graph::error::{Error, Result, shown},
    model::{
        id::{Cursor, Version},
        listed::Listed,
        raw::{self, Member},
        time::Timestamp,
    },
};

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub rows: Vec<Listed>,
    /// Rows without a usable id: they cannot be fetched, so whoever lists has to say that they were there.
    pub unnamed: usize,
    /// Where the listing goes on; `None` on the last page. A page may be empty and still go on.
    pub next: Option<Cursor>,
}

/// What a body has to be, so that it counts as an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `{"value":[…]}`.
    Collection,
    /// Anything, also nothing.
    Any,
    /// An object with an `id`, and with the collection that was to be expanded in it.
    Record { expanded: Option<&'static str> },
}

/// What a body says that decides on the next request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gist {
    pub(super) id: Option<String>,
    pub(super) version: Option<Version>,
    pub(super) next: Option<String>,
    /// Where a delta query goes on when something has changed.
    pub(super) delta: Option<String>,
    /// Next links deeper inside, of collections for which Graph documents no pages.
    pub(super) deeper: usize,
}

/// Reads what decides on the next request.
///
/// # Errors
/// A fragment that says why the body is no answer: cut or not JSON, an `error` member, another shape.
pub(super) fn gist(body: &[u8], shape: Shape) -> Result<Gist, String> {
    if shape == Shape::Any {
        return Ok(Gist::default());
    }
    let object = Object::read(body)?;
    if let Some(error) = object.get("error").filter(|error| *error != "null") {
        return Err(format!("a success with an error in it: {}", crate::graph::error::excerpt(error)));
    }
    let next = match shape {
        Shape::Any => None,
        Shape::Collection => {
            object.elements("value")?;
            object.link("@odata.nextLink")?
        }
        Shape::Record { expanded: None } => {
            object.text("id").ok_or("no id")?;
            None
        }
        Shape::Record { expanded: Some(collection) } => {
            object.text("id").ok_or("no id")?;
            // Empty and null are good; missing, it was not expanded, and nobody would ever see that it is short.
            object.get(collection).ok_or_else(|| format!("no {collection}, though asked for"))?;
            object.link(&format!("{collection}@odata.nextLink"))?
        }
    };
    let own_links = object.members.iter().filter(|member| member.key.ends_with(NEXT_LINK)).count();
    Ok(Gist {
        id: object.text("id"),
        version: object.get("version").and_then(version),
        next,
        delta: object.link("@odata.deltaLink")?,
        deeper: memmem::find_iter(body, NEXT_LINK).count().saturating_sub(own_links),
    })
}

const NEXT_LINK: &str = "@odata.nextLink\"";

/// The elements of a collection, each as it stands.
pub(super) fn elements(body: &[u8]) -> Result<Vec<&str>, String> {
    Object::read(body)?.elements("value")
}

/// Reads the rows of a listing; members that are missing, null or odd cost only themselves.
pub(super) fn rows(body: &[u8]) -> Result<(Vec<Listed>, usize), String> {
    let object = Object::read(body)?;
    let elements = object.elements("value")?;
    let rows: Vec<_> = elements.iter().filter_map(|element| listed(element)).collect();
    let unnamed = elements.len() - rows.len();
    Ok((rows, unnamed))
}

fn listed(element: &str) -> Option<Listed> {
    let row = Object { members: raw::members(element).ok()? };
    let time = |name| row.text(name).and_then(|text| Timestamp::parse(&text));
    Some(Listed {
        id: row.text("id").filter(|id| !id.trim().is_empty())?,
        version: row.get("version").and_then(version).unwrap_or_default(),
        start: time("startDateTime"),
        last_modified: time("lastModifiedDateTime"),
    })
}

/// An `Edm.Int64`: a number, or text where somebody asked for `IEEE754Compatible`.
fn version(value: &str) -> Option<Version> {
    value.trim_matches('"').parse().ok().map(Version)
}

/// The top level of a body.
struct Object<'a> {
    members: Vec<Member<'a>>,
}

impl<'a> Object<'a> {
    fn read(body: &'a [u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(body).map_err(|_| "not UTF-8".to_owned())?;
        Ok(Self { members: raw::members(text).map_err(|malformed| malformed.to_string())? })
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.members.iter().rev().find(|member| names(member.key, name)).map(|member| member.value)
    }

    fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?).ok()
    }

    fn elements(&self, name: &str) -> Result<Vec<&'a str>, String> {
        let array = self.get(name).ok_or_else(|| format!("no {name}"))?;
        raw::elements(array).map_err(|_| format!("{name} is no array"))
    }

    /// A link that cannot be read is no end of the pages.
    fn link(&self, name: &str) -> Result<Option<String>, String> {
        match self.get(name) {
            None | Some("null" | "\"\"") => Ok(None),
            Some(value) => serde_json::from_str(value).map(Some).map_err(|_| format!("{name} is no text")),
        }
    }
}

/// Whether `key`, with its quotes and escapes, spells `name`.
fn names(key: &str, name: &str) -> bool {
    if key.contains('\\') {
        return serde_json::from_str::<Cow<'_, str>>(key).is_ok_and(|key| key == name);
    }
    key.trim_matches('"') == name
}

/// Follows the next links of one collection.
#[derive(Debug)]
pub(super) struct Links {
    home: Url,
    visited: HashSet<Url>,
    limit: usize,
}

impl Links {
    /// Starts at `first`, the address of the first page.
    pub(super) fn new(home: &Url, first: &Url, limit: usize) -> Self {
        Self { home: home.clone(), visited: HashSet::from([first.clone()]), limit }
    }

    /// The address of the page after `from`.
    pub(super) fn follow(&mut self, from: &Url, link: &str) -> Result<Url> {
        let url = check_link(&self.home, from, link)?;
        if self.visited.len() >= self.limit {
            return Err(link_refused(&url, "more pages than any record or listing can have"));
        }
        if !self.visited.insert(url.clone()) {
            return Err(link_refused(&url, "it leads back to a page already read"));
        }
        Ok(url)
    }
}

/// The address that `link`, found at `from`, leads to.
///
/// # Errors
/// [`Error::LinkRefused`] when that is not for us to follow.
pub(super) fn check_link(home: &Url, from: &Url, link: &str) -> Result<Url> {
    let url = from
        .join(link)
        .map_err(|_| Error::LinkRefused { link: "that stands there".into(), reason: "it is no address" })?;
    if link.contains('#') {
        return Err(link_refused(&url, "what follows the # in it would never be sent"));
    }
    if url.origin() != home.origin() || !url.username().is_empty() || url.password().is_some() {
        return Err(link_refused(&url, "it leads to another host"));
    }
    Ok(url)
}

fn link_refused(url: &Url, reason: &'static str) -> Error {
    Error::LinkRefused { link: shown(url), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Shape = Shape::Record { expanded: Some("sessions") };

    #[test]
    fn rows_are_read_with_patience() {
        let (rows, unnamed) = rows(
            br#"{"@odata.nextLink":"n","value":[
                {"id":"a","version":3,"startDateTime":"2026-11-01T00:00:00.1234567Z","lastModifiedDateTime":null,"new":{"x":[]}},
                {"version":"4","id":"b","startDateTime":"0001-01-01T00:00:00Z"},
                {"id":"c","version":1.5},
                {"id":null,"version":1}, {"version":1}, {"id":" "}, 7, null]}"#,
        )
        .unwrap();
        let read: Vec<_> = rows.iter().map(|row| (row.id.as_str(), row.version.0, row.start.is_some())).collect();
        assert_eq!(read, [("a", 3, true), ("b", 4, false), ("c", 0, false)]);
        assert_eq!(unnamed, 5);
    }

    #[test]
    fn a_body_that_is_no_answer_is_seen() {
        let refused = |body: &str, shape| gist(body.as_bytes(), shape).unwrap_err();
        assert!(refused(r#"{"value":[{"id":"a"}"#, Shape::Collection).contains("EOF"));
        assert!(refused(r#"{"error":{"code":"UnknownError"},"value":[]}"#, Shape::Collection).contains("UnknownError"));
        assert_eq!(refused(r#"{"values":[]}"#, Shape::Collection), "no value");
        assert_eq!(refused(r#"{"value":null}"#, Shape::Collection), "value is no array");
        assert_eq!(refused(r#"{"sessions":[]}"#, RECORD), "no id");
        assert_eq!(refused(r#"{"id":"a"}"#, RECORD), "no sessions, though asked for");
        assert!(gist(br#"{"id":"a"}"#, Shape::Record { expanded: None }).is_ok());
        assert!(gist(br#"{"id":"a","sessions":null}"#, RECORD).is_ok());
        assert_eq!(
            refused(r#"{"id":"a","sessions":[],"sessions@odata.nextLink":7}"#, RECORD),
            "sessions@odata.nextLink is no text"
        );
        refused("<html></html>", Shape::Collection);
        refused("", Shape::Collection);
    }

    #[test]
    fn the_gist_is_the_records_own() {
        let gist = gist(
            br#"{"sessions@odata.nextLink":"n","id":"a","version":7,"error":null,"sessions":[
                {"id":"s","version":1,"segments@odata.nextLink":"deep","note":"\"@odata.nextLink\":"}]}"#,
            RECORD,
        );
        let expected =
            Gist { id: Some("a".into()), version: Some(Version(7)), next: Some("n".into()), delta: None, deeper: 1 };
        assert_eq!(gist.unwrap(), expected);
    }

    #[test]
    fn links_lead_home_once_and_stand_as_they_are() {
        let home = Url::parse("https://graph.microsoft.com").unwrap();
        let first = Url::parse("https://graph.microsoft.com/v1.0/c?$expand=sessions($expand=segments)").unwrap();
        let mut links = Links::new(&home, &first, 4);
        let odd = "https://graph.microsoft.com:443/v1.0/c('x')?$expand=segments&$skiptoken=a%2Bb+c%20d==";
        let second = links.follow(&first, odd).unwrap();
        assert_eq!(second.as_str(), odd.replace(":443", ""));
        assert_eq!(
            links.follow(&second, "?page=3").unwrap().as_str(),
            "https://graph.microsoft.com/v1.0/c('x')?page=3"
        );
        let refused = |links: &mut Links, link: &str| links.follow(&first, link).unwrap_err().to_string();
        for (link, reason) in [
            (first.as_str(), "already read"),
            (odd, "already read"),
            ("https://graph.microsoft.com.evil.example/v1.0", "another host"),
            ("https://graph.microsoft.com@evil.example/", "another host"),
            ("https://user@graph.microsoft.com/", "another host"),
            ("http://graph.microsoft.com/v1.0", "another host"),
            ("https://graph.microsoft.com:444/v1.0", "another host"),
            ("https://graph.microsoft.com/v1.0/$metadata#c('x')/sessions", "never be sent"),
            ("https://[", "no address"),
        ] {
            assert!(refused(&mut links, link).contains(reason), "{link}");
        }
        links.follow(&second, "?page=4").unwrap();
        assert!(refused(&mut links, "?page=5").contains("more pages"));
    }
}
