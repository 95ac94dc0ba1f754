//! Collections whose elements are whole records: the functions of the logs, and the delta query of people.
//!
//! Elements are cut out of the page byte for byte. What their members are called matters to nobody here, so a log that Graph
//! changes is read all the same.

use url::Url;

use crate::{
    graph::{
        Ask, Client, Deed,
        budget::Turn,
        calls::{expired, next_cursor},
        error::{Error, Result, shown},
        page::{self, Shape, check_link},
    },
    model::{
        document::{Part, What},
        id::Cursor,
        source::Source,
        time::Span,
    },
};

/// One page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Its elements, each a record.
    pub rows: Vec<Part>,
    /// Where the pages go on; `None` on the last.
    pub next: Option<Cursor>,
    /// On the last page of a delta query: where to ask for what changes from now on.
    pub delta: Option<Cursor>,
}

impl Client {
    /// Gets a page of the rows of `source` in `span`; `cursor` is the [`Rows::next`] of the page before.
    ///
    /// A row shows 24 to 48 hours after its event. Whether the end of `span` belongs to it differs from log to log, so windows
    /// that touch may both bring a row of the very moment between them: merge by key.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without a permission for it; [`Error::NotFound`] or status 400 where the cloud does not have the log.
    ///
    /// Source: Graph, "getPstnCalls", "getDirectRoutingCalls", "getSmsLog", "getPstnBlockedUsersLog",
    /// "getPstnOnlineMeetingDialoutReport" (2026-08).
    pub async fn log(&self, source: Source, span: Span, cursor: Option<&Cursor>) -> Result<Rows> {
        let first = self.below_host(&source.path_of(span))?;
        let mut page = self.rows(source, &first, cursor).await?;
        for row in &mut page.rows {
            row.asked = Some(span);
        }
        Ok(page)
    }

    /// Gets a page of the users of the directory, or of what changed of them: `cursor` is the [`Rows::next`] of the page before, or
    /// the [`Rows::delta`] of an earlier query.
    ///
    /// # Errors
    /// [`Error::LinkExpired`] when `cursor` is not good any more: ask for everything again.
    ///
    /// Source: Graph v1.0, "user: delta" (2026-08).
    pub async fn people(&self, cursor: Option<&Cursor>) -> Result<Rows> {
        let first = self.below_host(&format!("{}?$select={}", Source::People.path(), PERSON_MEMBERS))?;
        self.rows(Source::People, &first, cursor).await
    }

    pub(super) async fn rows(&self, source: Source, first: &Url, cursor: Option<&Cursor>) -> Result<Rows> {
        let home = &self.shared.graph_host;
        let url = cursor.map_or_else(|| Ok(first.clone()), |cursor| check_link(home, first, &cursor.0))?;
        let permission = source.permission();
        let one_of_many = source != Source::People;
        let ask =
            Ask { url: &url, deed: Deed::Get, shape: Shape::Collection, turn: Turn::First, permission, one_of_many };
        let asked = self.get(&ask, None).await;
        let (answer, gist) = asked.map_err(|error| if cursor.is_some() { expired(error) } else { error })?;
        let unusable = |reason| Error::Malformed { url: shown(&url), request_id: answer.request_id.clone(), reason };
        let elements = page::elements(&answer.body).map_err(unusable)?;
        let part = |element: &str| {
            let (request_id, body) = (answer.request_id.clone(), element.as_bytes().to_vec());
            Part::new(What::Row, url.to_string(), request_id, answer.received, body)
        };
        Ok(Rows {
            rows: elements.into_iter().map(part).collect(),
            next: next_cursor(&url, gist.next),
            delta: next_cursor(&url, gist.delta),
        })
    }
}

/// What is asked of each user. A delta query tells of changes to these alone.
const PERSON_MEMBERS: &str =
    "id,displayName,userPrincipalName,mail,otherMails,department,businessPhones,mobilePhone,accountEnabled";
