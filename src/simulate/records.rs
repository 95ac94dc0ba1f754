//! Answers about call records: the list, a record, pages of its sessions and participants.

use std::sync::PoisonError;

use tokio::time::Instant;

use crate::{
    model::time::Age,
    simulate::{
        answer::{Answer, Stamp},
        counts::Sort,
        cursor::{self, Place},
        emit,
        json::Json,
        limits,
        pages::{self, Page, PageSizes, Wanted},
        planted::PlantedFaults,
        query::{Expand, Query, Target},
        routes::{Asked, Server, Trouble, throttled},
        weather::{Fault, Weather},
        world::Record,
    },
};

/// How long a record counts as just written, so that a 404 for it is likely.
const YOUNG: Age = Age::hours(3);

/// What is to be answered when nothing hinders: a record, or the page that begins at a place.
#[derive(Debug)]
enum Goal {
    Record { expand: Expand, select: Option<Vec<String>> },
    Page { place: Place, round: u32 },
}

impl Server {
    /// Answers a request that may be made; `Err` is an answer too.
    pub(super) fn call_records(&self, target: &Target, asked: &Asked, token: &str) -> Result<Answer, Answer> {
        let stamp = &asked.stamp;
        let bad = |message: String| Answer::error(400, "BadRequest", &message, stamp);
        let query = Query::of(target, &asked.query).map_err(bad)?;
        if let Some(id) = target.record_id() {
            let page =
                if matches!(query, Query::Continued { .. }) { limits::Page::Following } else { limits::Page::First };
            self.gate.record(id, page, Instant::now()).map_err(|wait| throttled(wait, stamp))?;
        }
        let planted = target.record_id().and_then(|id| self.planted_trouble(id));
        if let Some(Trouble { faults: PlantedFaults { status: status @ 1.., .. }, .. }) = planted {
            return Err(Answer::bare(status, stamp));
        }
        if *target == Target::List && self.has_listed_enough() {
            return Err(self.ended_for_today("The list has ended for today.", stamp));
        }
        let record =
            target.record_id().map(|id| self.world.find(id).ok_or_else(|| Answer::not_found(stamp))).transpose()?;
        let goal = self.goal(target, query, record.as_ref(), asked)?;
        let fault = match planted.and_then(|trouble| trouble.faults.fault) {
            Some(fault) => self.strikes(fault, token, stamp).map(|()| Some(fault))?,
            None => self.fault(&format!("{target:?} {goal:?}"), token, stamp, |fault| {
                befalls(fault, &goal, record.as_ref(), stamp)
            })?,
        };
        let body = match goal {
            Goal::Record { expand, select } => {
                let record = record.ok_or_else(|| Answer::not_found(stamp))?;
                self.record(&record, expand, select.as_deref(), fault, asked)?
            }
            Goal::Page { place, round } => self.page(&place, round, record.as_ref(), fault, asked),
        };
        Ok(self.delivered(body, fault))
    }

    fn goal(&self, target: &Target, query: Query, record: Option<&Record>, asked: &Asked) -> Result<Goal, Answer> {
        let stamp = &asked.stamp;
        let first = |place| Ok(Goal::Page { place, round: 0 });
        match (query, target) {
            (Query::Continued { token }, _) => {
                let known = cursor::decode::<Place>(self.world.seed(), &token, stamp.now, self.skip_token_life);
                let fitting = known.filter(|(place, _)| place.belongs_to(target));
                let (place, round) = fitting.ok_or_else(|| {
                    Answer::error(
                        400,
                        "BadRequest",
                        "The skip token is not valid or has expired. Start again without it.",
                        stamp,
                    )
                })?;
                Ok(Goal::Page { place, round })
            }
            (Query::Fresh { expand, select, .. }, Target::Record(_)) => Ok(Goal::Record { expand, select }),
            (Query::Fresh { filter, select, .. }, Target::List) => {
                let next = pages::first_listed(&self.world, filter.from, stamp.now);
                first(Place::list(&filter, select, next))
            }
            (Query::Fresh { expand, .. }, Target::Sessions(id)) => {
                let edition =
                    record.and_then(|record| record.newest(stamp.now)).ok_or_else(|| Answer::not_found(stamp))?;
                let segments = expand != Expand::Nothing;
                first(Place::Sessions { id: id.clone(), edition, offset: 0, segments })
            }
            (Query::Fresh { .. }, Target::Participants(id)) => {
                let edition =
                    record.and_then(|record| record.newest(stamp.now)).ok_or_else(|| Answer::not_found(stamp))?;
                first(Place::Participants { id: id.clone(), edition, offset: 0 })
            }
        }
    }

    fn record(
        &self,
        record: &Record,
        expand: Expand,
        select: Option<&[String]>,
        fault: Option<Fault>,
        asked: &Asked,
    ) -> Result<String, Answer> {
        let newest = record.newest(asked.stamp.now).ok_or_else(|| Answer::not_found(&asked.stamp))?;
        let edition = if fault == Some(Fault::LaggingReplica) { newest.saturating_sub(1) } else { newest };
        let wanted = Wanted { expand, select, sizes: self.sizes(asked), prefer: asked.prefer };
        let link = |place| if fault == Some(Fault::LinkLoop) { asked.url() } else { self.link(place, 0, asked) };
        Ok(pages::record(&self.world, record, edition, &wanted, link))
    }

    fn page(&self, place: &Place, round: u32, record: Option<&Record>, fault: Option<Fault>, asked: &Asked) -> String {
        let sizes = self.sizes(asked);
        let page = match (place, record) {
            (Place::List { .. }, _) => pages::list(&self.world, place, sizes.list, asked.stamp.now),
            (Place::Sessions { edition, offset, segments, .. }, Some(record)) => {
                pages::sessions(&self.world, record, *edition, *offset, sizes.sessions, *segments, asked.prefer)
            }
            (Place::Participants { edition, offset, .. }, Some(record)) => {
                pages::participants(&self.world, record, *edition, *offset, sizes.participants)
            }
            (_, None) => Page { items: String::new(), next: None, last: None },
        };
        let Page { items, next, last } = page;
        let (items, link) = match fault {
            Some(Fault::EmptyPage) => (String::new(), Some(self.link(place.clone(), round + 1, asked))),
            Some(Fault::LinkLoop) => (items, Some(asked.url())),
            Some(Fault::Duplicate) => (items, next.and(last).map(|place| self.link(place, round + 1, asked))),
            _ => (items, next.map(|place| self.link(place, 0, asked))),
        };
        Json::new_with(|json| {
            json.raw("{");
            match place {
                Place::List { .. } => emit::list_context(json),
                Place::Sessions { id, segments: true, .. } => emit::page_context(json, id, "sessions(segments())"),
                Place::Sessions { id, .. } => emit::page_context(json, id, "sessions"),
                Place::Participants { id, .. } => emit::page_context(json, id, "participants_v2"),
            }
            // Members have no fixed order: the link stands before the items here and behind them there.
            let before = matches!(place, Place::Participants { .. });
            let write_link = |json: &mut Json| {
                if let Some(link) = &link {
                    json.raw(",\"@odata.nextLink\":").text(link);
                }
            };
            if before {
                write_link(json);
            }
            json.raw(",\"value\":[").raw(&items).raw("]");
            if !before {
                write_link(json);
            }
            json.raw("}");
        })
    }

    fn link(&self, place: Place, round: u32, asked: &Asked) -> String {
        let version = asked.path.split('/').nth(1).unwrap_or("v1.0");
        let below = match &place {
            Place::List { .. } => String::new(),
            Place::Sessions { id, .. } => format!("/{id}/sessions"),
            Place::Participants { id, .. } => format!("/{id}/participants_v2"),
        };
        let token = cursor::encode(self.world.seed(), place, asked.stamp.now, round);
        format!("{}/{version}/communications/callRecords{below}?$skiptoken={token}", asked.host)
    }

    fn sizes(&self, asked: &Asked) -> PageSizes {
        let at_most = |size: usize| asked.page_max.map_or(size, |max| size.min(max)).max(1);
        let sizes = self.page_sizes;
        PageSizes {
            list: at_most(sizes.list),
            sessions: at_most(sizes.sessions),
            participants: at_most(sizes.participants),
            ..sizes
        }
    }

    /// The planted fault that strikes this request, if one is left.
    fn planted_trouble(&self, id: &str) -> Option<Trouble> {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = troubles
            .get_mut(id)
            .filter(|trouble| trouble.faults.forever || trouble.struck < trouble.faults.fail_gets)?;
        trouble.struck += 1;
        let struck = *trouble;
        drop(troubles);
        if struck.faults.status != 0 {
            self.count(Sort::Fault, None);
        }
        Some(struck)
    }

    fn has_listed_enough(&self) -> bool {
        let listed = self.counts.lock().unwrap_or_else(PoisonError::into_inner).list;
        self.sky.look(|weather: &Weather| weather.list_pages_max.is_some_and(|max| listed > max))
    }
}

/// Whether a fault can happen to a request for records at all.
fn befalls(fault: Fault, goal: &Goal, record: Option<&Record>, stamp: &Stamp) -> bool {
    let newest = record.and_then(|record| record.newest(stamp.now).map(|place| (place, record.edition(place).1)));
    match fault {
        Fault::EmptyPage | Fault::LinkLoop => matches!(goal, Goal::Page { .. }),
        Fault::Duplicate => matches!(goal, Goal::Page { place: Place::List { .. }, .. }),
        Fault::LaggingReplica => matches!(goal, Goal::Record { .. }) && newest.is_some_and(|(place, _)| place > 0),
        Fault::NotFoundYet => newest.is_some_and(|(_, visible_at)| stamp.now - visible_at < YOUNG),
        _ => true,
    }
}
