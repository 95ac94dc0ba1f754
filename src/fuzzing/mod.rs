//! Everything that reads bytes from outside, as functions of bytes that panic when a promise is broken.
//!
//! No part of the interface: `fuzz/` calls these by the feature `fuzzing`, the ordinary tests run them over the seeds in
//! `fuzz/seeds` and over changed ones. docs/testing.md tells how.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use crate::{
    archive,
    cli::{
        config::{Config, File},
        env::Env,
        render::pointed,
    },
    graph,
    model::{
        derive,
        document::{Document, Part, What},
        id::{RecordKey, Version},
        kind::Kind,
        notification,
        phone::{self, Masked, PhoneQuery},
        place::Place,
        raw,
        row_key::RowKeys,
        time::{Age, Span, Timestamp, parse_edm_duration, subtract, union},
        view::{self, call::Call, log::Row, person::User},
    },
    search::Query,
};

/// A name, as `fuzz/` and its folder of seeds have it, and what reads the bytes.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 13] = [
    ("list_page", list_page),
    ("record", record),
    ("log_row", log_row),
    ("assemble", assemble),
    ("next_link", next_link),
    ("notification", notification),
    ("time", time),
    ("phone", phone),
    ("query", query),
    ("config", config),
    ("frame", frame),
    ("retry_after", retry_after),
    ("sign_in", sign_in),
];

/// Between two texts of one input; no JSON and no TOML has it.
const BREAK: u8 = 0;

/// A page of a listing.
pub fn list_page(data: &[u8]) {
    graph::fuzzing::list_page(data);
}

/// Next links, one a line.
pub fn next_link(data: &[u8]) {
    graph::fuzzing::next_link(&String::from_utf8_lossy(data));
}

/// What is posted to a receiver, and what a queue wrote around it: whatever stands there, an id is a part of a path that leads nowhere else.
pub fn notification(data: &[u8]) {
    use notification::News;
    let posted = notification::batch(data).unwrap_or_default();
    let queued = serde_json::from_slice(data).map(|document| notification::anywhere(&document)).unwrap_or_default();
    for item in posted.into_iter().chain(queued) {
        let News::Changed { id } = item.news else { continue };
        let graph = url::Url::parse("https://graph.example/v1.0/communications/callRecords/").expect("an address");
        let asked = graph.join(&format!("./{id}")).expect("an id is part of a path");
        assert_eq!(asked.as_str(), format!("{graph}{id}"), "an id leads elsewhere");
    }
}

/// `Retry-After` and, on a second line, `Date`.
pub fn retry_after(data: &[u8]) {
    graph::fuzzing::retry_after(&String::from_utf8_lossy(data));
}

/// Refusals, tokens and their claims.
pub fn sign_in(data: &[u8]) {
    graph::fuzzing::sign_in(data);
}

/// A body of a call or of somebody in the directory, through views, rows and search texts.
pub fn record(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // A view takes the text to be JSON and does not fail when it is none.
    let _ = (view::read::<Call<'_>>(&text), view::read::<User<'_>>(&text));
    for (kind, what) in [(Kind::Call, What::Record), (Kind::Person, What::Row)] {
        let document = document(kind, vec![part(what, data)]);
        let _ = derive::derive(&document, &text);
        if let Ok(json) = document.assemble() {
            let derived = derive::derive(&document, &json);
            assert_eq!(derived, derive::derive(&document, &json), "deriving is not pure");
        }
    }
}

/// A row of each log, and the keys it may have.
pub fn log_row(data: &[u8]) {
    let asked = Span::new(Timestamp::from_second(1_790_000_000), Timestamp::from_second(1_790_086_400));
    for kind in Kind::ALL.into_iter().filter(|kind| view::log::log(*kind).is_some()) {
        let document = document(kind, vec![Part { asked: Some(asked), ..part(What::Row, data) }]);
        let text = String::from_utf8_lossy(data);
        let _ = (derive::derive(&document, &text), RowKeys::of(kind, &text, Some(asked)));
        let Ok(json) = document.assemble() else { continue };
        let row = view::read::<Row<'_>>(&json).0.expect("an assembled row is an object");
        let keys = RowKeys::of(kind, &json, Some(asked)).expect("an object has keys");
        assert!(!keys.first.is_empty() && !keys.twin.is_empty());
        assert_eq!(row.canonical().len(), row.members().count());
        let derived = derive::derive(&document, &json);
        assert_eq!(derived, derive::derive(&document, &json), "deriving is not pure");
    }
}

/// Bodies with a NUL between them, the first byte of each saying what it is, as one document.
pub fn assemble(data: &[u8]) {
    let whats = [What::Record, What::Sessions, What::Participants, What::ParticipantsExpanded, What::Row];
    let body = |bytes: &[u8]| {
        let (first, body) = bytes.split_first()?;
        Some(part(whats[usize::from(*first) % whats.len()], body))
    };
    let parts: Vec<Part> = data.split(|byte| *byte == BREAK).filter_map(body).collect();
    let document = document(Kind::Call, parts);
    let Ok(json) = document.assemble() else { return };
    assert_eq!(document.assemble().expect("the same bodies"), json, "assembled twice, it differs");
    raw::check(&json).unwrap_or_else(|error| panic!("{json} is no JSON: {error}"));
    assert!(!json.contains('\n'), "it is more than one line");
    let whole = whole(&document).expect("it was assembled");
    assert_members_stand(&whole.body, &json);
    let again = Document { parts: vec![part(whole.what, json.as_bytes())], ..document.clone() };
    assert_eq!(again.assemble().expect("a document is a body"), json, "assembling is not finished");
}

/// The body that the document is made of: a row is one by itself.
fn whole(document: &Document) -> Option<&Part> {
    let first = |what| document.parts.iter().find(|part| part.what == what);
    first(What::Row).or_else(|| first(What::Record))
}

/// Every member of the record but its collections stands in the document letter for letter, in its order.
fn assert_members_stand(record: &[u8], json: &str) {
    let is_collection = |key: &str| ["\"sessions", "\"participants_v2"].iter().any(|start| key.starts_with(start));
    let told = |text: &str| -> Vec<String> {
        let members = raw::members(text).expect("it was assembled");
        let minified = |text: &str| {
            let mut minified = String::new();
            raw::push_minified(text, &mut minified);
            minified
        };
        let own = members.iter().filter(|member| !is_collection(member.key));
        own.map(|member| format!("{}:{}", member.key, minified(member.value))).collect()
    };
    assert_eq!(told(std::str::from_utf8(record).expect("it was assembled")), told(json));
}

/// Instants, HTTP dates, durations and ages, one a line.
pub fn time(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let now = Timestamp::from_second(1_795_000_000);
    let mut instants = vec![now];
    for line in text.lines() {
        let read = [Timestamp::parse(line), Timestamp::parse_http(line), Timestamp::parse_argument(line, now).ok()];
        for time in read.into_iter().flatten() {
            assert_eq!(Timestamp::parse(&time.to_string()), Some(time), "{line} is written otherwise than read");
            let second = Timestamp::from_second(time.as_second());
            // The first second of time that fits into 64 bits does not fit whole.
            let is_whole = second.0 > i64::MIN;
            assert!(!is_whole || Timestamp::parse_http(&second.to_http()) == Some(second), "{line} as an HTTP date");
            assert!(time.floor_to(Age::hours(1)) <= time && time.floor_to(Age::days(1)) <= time);
            instants.push(time);
        }
        if let Some(duration) = parse_edm_duration(line) {
            let _ = (now + duration, now - duration, duration.to_duration(), duration.as_seconds_f64());
        }
        if let Ok(age) = line.parse::<Age>() {
            let _ = (now + age, now - age, age + age);
        }
    }
    let spans: Vec<Span> = instants.windows(2).map(|pair| Span::new(pair[0], pair[1])).collect();
    let joined = union(spans.clone());
    assert!(joined.windows(2).all(|pair| pair[0].to < pair[1].from), "{joined:?} touch");
    assert!(subtract(&spans, &joined).iter().all(|left| left.is_empty()), "{spans:?} are not all of {joined:?}");
}

/// A number as somebody types it, and, on a second line, one as records hold it.
pub fn phone(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (typed, stored) = text.split_once('\n').unwrap_or((&text, &text));
    let _ = (phone::digits(typed), Masked::of(typed));
    let stored_reversed = phone::reversed_digits(stored);
    let Some(query) = PhoneQuery::parse(typed) else { return };
    assert!(query.digits.chars().all(|c| c.is_ascii_digit() || c == '*'));
    assert_eq!(PhoneQuery::parse(&query.plain()).map(|query| query.exact), Some(query.exact), "{typed}");
    if query.matches(stored) && !stored.contains('*') && !typed.contains('*') {
        assert!(stored_reversed.starts_with(&query.end_reversed()), "{typed} would not be found in {stored}");
    }
    let is_whole = query.exact && !query.digits.contains('*') && query.digits.len() >= 7;
    if is_whole && stored.trim().starts_with('+') && query.matches(stored) {
        let masked = Masked::of(stored);
        let is_looked_for = masked.as_ref().is_none_or(|masked| query.maskings().any(|masking| masking == *masked));
        assert!(is_looked_for, "{typed} is {stored}, and {masked:?} is not looked for");
    }
}

/// A text in the query language, or the cursor of a page.
pub fn query(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Err(error) = Query::parse(&text) {
        assert!(error.column >= 1 && error.column <= text.chars().count() + 1, "{error}");
        assert!(!error.message.is_empty());
        assert_eq!(pointed(&text, error.column).lines().count(), 2, "the mark stands under one line");
    }
    if let Ok(place) = text.parse::<Place>() {
        assert_eq!(place.to_string().parse(), Ok(place), "a place is written otherwise than read");
        assert_eq!(place.to_string(), text.trim(), "two texts are one place");
    }
}

/// A config file, and the settings that follow from it.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut file = match File::parse(&text) {
        Ok(file) => file,
        Err(what) => {
            assert!(!what.contains("s3cret-of-the-app"), "{what}");
            return;
        }
    };
    // Files that it names are another matter, and perhaps devices.
    (file.graph.client_certificate_path, file.graph.federated_token_file) = (None, None);
    let secret = file.graph.client_secret.clone().unwrap_or_else(|| SecretString::from(""));
    let config = Config::of_demo(PathBuf::from("archive"), Env::default(), file);
    let shown = match (config.graph(), config.retention()) {
        (Err(failure), _) | (_, Err(failure)) => format!("{failure} {config:?}"),
        _ => format!("{config:?}"),
    };
    let secret = secret.expose_secret();
    let stands_elsewhere = text.matches(secret).count() > 1;
    assert!(secret.len() < 8 || stands_elsewhere || !shown.contains(secret), "the secret is shown");
    let _ = (config.cloud(), config.concurrency(), config.origins());
}

/// A frame of the archive.
pub fn frame(data: &[u8]) {
    archive::fuzzing::frame(data);
}

fn document(kind: Kind, parts: Vec<Part>) -> Document {
    Document { key: RecordKey { kind, id: "fuzzed".to_owned() }, version: Version(1), parts }
}

fn part(what: What, body: &[u8]) -> Part {
    Part::new(what, "https://graph.microsoft.com/v1.0/x".to_owned(), None, Timestamp(0), body.to_vec())
}

#[cfg(test)]
mod tests;
