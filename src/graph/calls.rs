//! Call records: the list of a span, and one record with every page of it.
//!
//! A record takes at least two requests, because Graph expands one relationship a request: its participants, and itself with
//! sessions and segments. Between them, and between the pages, it may change. All parts given out are of one version:
//!
//! - Versions only grow. Participants are read after version *v* was seen and before the record answers with *v* again, so they
//!   are of *v*. When the record answers with more, both are read again.
//! - When pages follow the record's own answer, its version is asked once more at the end.
//! - A lower version than the one known comes from a replica that lags: everything is asked again after a while, then given up
//!   for later.
//!
//! Where a way to a page is closed, another one is taken from its start (sessions by `/sessions?$expand=segments`, participants by
//! `?$expand=participants_v2`); where that is closed too, the record is not whole and there is an error. Nothing is left
//! out silently.

use std::cmp::Ordering;

use tokio::time::sleep;
use url::{Url, form_urlencoded};

use crate::{
    graph::{
        Ask, Client, Deed, Page,
        budget::{RecordBudget, Turn},
        error::{Error, Result, shown},
        page::{self, Gist, Links, Shape, check_link},
        request::Answer,
        retry::backoff,
    },
    model::{
        document::{Document, Part, What},
        event::Wait,
        id::{Cursor, RecordKey, Version},
        source::Source,
        time::Span,
    },
};

/// How often a record is read from its start before it counts as changing without end.
const STARTS_MAX: u32 = 3;
/// How often it is read from its start where the answers come from before the version known.
const STALE_MAX: u32 = 4;

/// The record with its sessions and their segments.
const EXPANDED: &str = "?$expand=sessions($expand=segments)";

/// A record with every page of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    pub document: Document,
    /// Next links of collections inside a session, for which Graph documents no pages: what they lead to is not here.
    pub unfollowed: usize,
}

impl Client {
    /// Lists call records that started in `span`, one page, headers only; `cursor` is the [`Page::next`] of the page before.
    ///
    /// Bounds are sent in whole seconds, rounded down. Graph promises no order, may send a record twice, and shows a record 15 to
    /// 150 minutes after its end: the last hours of `span` are never final.
    ///
    /// # Errors
    /// [`Error::LinkExpired`] when `cursor` is not good any more: start the span again. [`Error::LinkRefused`] when it leads
    /// elsewhere. [`Error::Forbidden`] without `CallRecords.Read.All`.
    ///
    /// Source: Graph v1.0, "List callRecords" (2026-08).
    pub async fn list(&self, span: Span, cursor: Option<&Cursor>) -> Result<Page> {
        let home = &self.shared.graph_host;
        let query = format!(
            "?$filter=startDateTime%20ge%20{}%20and%20startDateTime%20lt%20{}",
            span.from.to_seconds_text(),
            span.to.to_seconds_text()
        );
        let first = self.address(&query)?;
        let url = cursor.map_or_else(|| Ok(first.clone()), |cursor| check_link(home, &first, &cursor.0))?;
        let permission = Source::Calls.permission();
        let ask = Ask {
            url: &url,
            deed: Deed::Get,
            shape: Shape::Collection,
            turn: Turn::First,
            permission,
            one_of_many: false,
        };
        let asked = self.get(&ask, None).await;
        let (answer, gist) = asked.map_err(|error| if cursor.is_some() { expired(error) } else { error })?;
        let unusable = |reason| Error::Malformed { url: shown(&url), request_id: answer.request_id.clone(), reason };
        let (rows, unnamed) = page::rows(&answer.body).map_err(unusable)?;
        Ok(Page { rows, unnamed, next: next_cursor(&url, gist.next) })
    }

    /// Gets the record `id` with all its sessions, segments and participants, all of one version; `known` is the version that
    /// the list named.
    ///
    /// # Errors
    /// [`Error::NotFound`] when Graph does not have the record itself (any more, or yet); [`Error::Stale`] when it answers with less than `known`;
    /// [`Error::Changing`] when it grew each time. All but the first are worth another try later.
    ///
    /// Source: Graph v1.0, "Get callRecord", "List participants_v2", "List sessions" (2026-08).
    pub async fn whole(&self, id: &str, known: Option<Version>) -> Result<Whole> {
        let mut fetch = Fetch { client: self, id, budget: self.shared.budget.record(id), unfollowed: 0 };
        let document = fetch.document(known).await;
        let Fetch { budget, unfollowed, .. } = fetch;
        self.shared.budget.put_back(id, budget);
        if unfollowed > 0 {
            tracing::warn!(id, unfollowed, "next links inside sessions are not followed");
        }
        Ok(Whole { document: document?, unfollowed })
    }

    /// The address of `rest` below the call records.
    fn address(&self, rest: &str) -> Result<Url> {
        self.below_host(&format!("{}{rest}", Source::Calls.path()))
    }

    /// The address of a path, version and all.
    pub(super) fn below_host(&self, path: &str) -> Result<Url> {
        let address = format!("{}{path}", self.shared.graph_host.as_str().trim_end_matches('/'));
        Url::parse(&address).map_err(|error| Error::Host { address, reason: error.to_string() })
    }
}

/// What an answer means to somebody who asked with a link kept from earlier.
pub(super) fn expired(error: Error) -> Error {
    match error {
        Error::Status { status: 400, url, refusal } | Error::NotFound { url, refusal } => {
            Error::LinkExpired { url, refusal }
        }
        other => other,
    }
}

/// Keeps a page that is not there from being taken for a record that is not there: the record itself has answered.
fn not_the_record(error: Error) -> Error {
    match error {
        Error::NotFound { url, refusal } => Error::Status { status: 404, url, refusal },
        other => other,
    }
}

/// Where a page says that it goes on. Whether that may be followed is looked at when it is: what stands on the page is good.
pub(super) fn next_cursor(url: &Url, link: Option<String>) -> Option<Cursor> {
    let link = link?;
    let is_whole = Url::parse(&link).is_ok();
    let next = url.join(&link).ok().filter(|_| !is_whole);
    Some(Cursor(next.map_or(link, Into::into)))
}

/// The fetching of one record.
struct Fetch<'a> {
    client: &'a Client,
    id: &'a str,
    budget: RecordBudget,
    unfollowed: usize,
}

/// What one reading from start to end came to.
enum Reading {
    Whole(Document),
    /// The record is known to have this version now; what was read is of an older one, or of two.
    Outdated(Version),
    /// A replica that lags answered with this version; it may have answered for the participants too.
    Stale(Version),
}

/// The record's own answer.
struct Record {
    part: Part,
    url: Url,
    version: Version,
    /// Where its sessions go on.
    next: Option<String>,
}

impl Fetch<'_> {
    async fn document(&mut self, known: Option<Version>) -> Result<Document> {
        let mut wanted = match known {
            Some(version) => version,
            None => self.version().await?.unwrap_or_default(),
        };
        let (mut outdated, mut stale) = (0, 0);
        loop {
            self.unfollowed = 0;
            match self.read(wanted).await? {
                Reading::Whole(document) => return Ok(document),
                Reading::Outdated(version) => {
                    tracing::info!(id = self.id, %wanted, %version, "the record changed while it was read; starting over");
                    wanted = version;
                    outdated += 1;
                }
                Reading::Stale(got) => {
                    stale += 1;
                    if stale >= STALE_MAX {
                        return Err(Error::Stale { id: self.id.to_owned(), wanted, got });
                    }
                    self.wait_for_replicas(stale, wanted, got).await?;
                }
            }
            if outdated >= STARTS_MAX {
                return Err(Error::Changing { id: self.id.to_owned(), version: wanted });
            }
        }
    }

    async fn read(&mut self, wanted: Version) -> Result<Reading> {
        let participants = self.participants().await?;
        let record = self.record(wanted).await?;
        match record.version.cmp(&wanted) {
            Ordering::Less => return Ok(Reading::Stale(record.version)),
            Ordering::Greater => return Ok(Reading::Outdated(record.version)),
            Ordering::Equal => {}
        }
        let version = record.version;
        let sessions = self.sessions(&record).await.map_err(not_the_record)?;
        let expanded = match participants {
            Some(_) => Vec::new(),
            None => self.participants_expanded().await.map_err(not_the_record)?,
        };
        if !sessions.is_empty() || !expanded.is_empty() {
            let now = self.version().await?.unwrap_or(version);
            if now != version {
                return Ok(Reading::Outdated(now.max(version)));
            }
        }
        let mut parts = participants.unwrap_or_default();
        parts.push(record.part);
        parts.extend(sessions);
        parts.extend(expanded);
        Ok(Reading::Whole(Document { key: RecordKey::call(self.id), version, parts }))
    }

    /// Waits for `n`-th time until replicas may have caught up: at least half of the back-off, for they do not in no time.
    async fn wait_for_replicas(&self, n: u32, wanted: Version, got: Version) -> Result<()> {
        let http = &self.client.shared.http;
        let wait = backoff(n + 1, &http.limits, 0.5 + http.random() / 2.0);
        let cause = format!("version {got} came, {wanted} is known");
        http.report(Wait::Failed, wait, n, &self.address(EXPANDED)?, cause);
        sleep(wait).await;
        Ok(())
    }

    /// Every page of `participants_v2`; `None` when that way is closed and the record itself has to tell.
    async fn participants(&mut self) -> Result<Option<Vec<Part>>> {
        let first = self.address("/participants_v2")?;
        match self.collection(What::Participants, first).await {
            Ok(parts) => Ok(Some(parts)),
            Err(refused) if refused.is_dead_link() || matches!(refused, Error::Forbidden { .. }) => {
                tracing::info!(id = self.id, %refused, "participants_v2 is refused; trying to expand it");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn participants_expanded(&mut self) -> Result<Vec<Part>> {
        let first = self.address("?$expand=participants_v2")?;
        self.collection(What::ParticipantsExpanded, first).await
    }

    /// The record with the first page of its sessions; where it names no version it is taken for the one wanted.
    async fn record(&mut self, wanted: Version) -> Result<Record> {
        let url = self.address(EXPANDED)?;
        let (part, gist) = self.page(What::Record, &url, Turn::First).await?;
        Ok(Record { part, url, version: gist.version.unwrap_or(wanted), next: gist.next })
    }

    /// The pages of sessions after those inside the record's own answer.
    async fn sessions(&mut self, record: &Record) -> Result<Vec<Part>> {
        let mut links = self.links(&record.url);
        match self.follow(What::Sessions, &mut links, &record.url, record.next.clone()).await {
            Err(refused) if refused.is_dead_link() => {
                tracing::info!(id = self.id, %refused, "the record's sessions link is refused; reading /sessions");
                let first = self.address("/sessions?$expand=segments")?;
                self.collection(What::Sessions, first).await
            }
            other => other,
        }
    }

    /// The version that the record has now.
    async fn version(&mut self) -> Result<Option<Version>> {
        let url = self.address("?$select=id,version")?;
        let (_, gist) = self.ask(&url, Shape::Record { expanded: None }, Turn::First).await?;
        Ok(gist.version)
    }

    async fn collection(&mut self, what: What, first: Url) -> Result<Vec<Part>> {
        let (part, gist) = self.page(what, &first, Turn::First).await?;
        let mut links = self.links(&first);
        let following = match what {
            What::ParticipantsExpanded => What::Participants,
            other => other,
        };
        let mut parts = vec![part];
        parts.extend(self.follow(following, &mut links, &first, gist.next).await?);
        Ok(parts)
    }

    async fn follow(
        &mut self,
        what: What,
        links: &mut Links,
        first: &Url,
        mut next: Option<String>,
    ) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        let mut from = first.clone();
        while let Some(link) = next {
            from = links.follow(&from, &link)?;
            let (part, gist) = self.page(what, &from, Turn::Following).await?;
            parts.push(part);
            next = gist.next;
        }
        Ok(parts)
    }

    async fn page(&mut self, what: What, url: &Url, turn: Turn) -> Result<(Part, Gist)> {
        let (answer, gist) = self.ask(url, shape(what), turn).await?;
        self.unfollowed += gist.deeper;
        Ok((Part::new(what, url.to_string(), answer.request_id, answer.received, answer.body), gist))
    }

    async fn ask(&mut self, url: &Url, shape: Shape, turn: Turn) -> Result<(Answer, Gist)> {
        let ask = Ask { url, deed: Deed::Get, shape, turn, permission: Source::Calls.permission(), one_of_many: true };
        let (answer, gist) = self.client.get(&ask, Some(&mut self.budget)).await?;
        match gist.id.as_deref() {
            Some(got) if matches!(shape, Shape::Record { .. }) && !got.eq_ignore_ascii_case(self.id) => {
                Err(Error::OtherRecord { asked: self.id.to_owned(), got: got.to_owned() })
            }
            _ => Ok((answer, gist)),
        }
    }

    fn links(&self, first: &Url) -> Links {
        Links::new(&self.client.shared.graph_host, first, self.client.shared.page_limit)
    }

    /// The address of `rest` below this record.
    fn address(&self, rest: &str) -> Result<Url> {
        // Ids are GUIDs; should one ever not be, it still must not reach beyond its place in the path.
        let id = form_urlencoded::byte_serialize(self.id.as_bytes()).collect::<String>().replace('+', "%20");
        self.client.address(&format!("/{id}{rest}"))
    }
}

fn shape(what: What) -> Shape {
    match what {
        What::Record => Shape::Record { expanded: Some("sessions") },
        What::ParticipantsExpanded => Shape::Record { expanded: Some("participants_v2") },
        What::Sessions | What::Participants | What::Row => Shape::Collection,
    }
}
