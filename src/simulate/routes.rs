//! The order in which Graph looks at a request: token, rate, path, options, record, and then, here, the weather.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, Request, State},
    http::{HeaderMap, Method, header},
    response::Response,
    routing::post,
};
use tower_http::{CompressionLevel, compression::CompressionLayer};

use crate::{
    model::time::Age,
    simulate::{
        World,
        answer::{Answer, Delivery, Stamp, Uncompressed},
        clock::Clock,
        counts::{Counts, Sort},
        cursor::{self, Place},
        dice::Dice,
        emit::{self, Prefer},
        identity_endpoints::{self, Machine},
        json::Json,
        limits::{self, Gate},
        pages::{self, Page, PageSizes, Wanted},
        planted::PlantedFaults,
        query::{Expand, Query, Target, read_prefer},
        tokens::{Bearer, Login},
        weather::{Fault, Sky, Weather},
        world::Record,
    },
};

/// How long a record counts as just written, so that a 404 for it is likely.
const YOUNG: Age = Age::hours(3);
/// Bodies below this size are not worth compressing.
const COMPRESSED_FROM_BYTES: u64 = 1024;

/// Everything that answers requests, shared by all of them.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) world: World,
    pub(super) clock: Clock,
    pub(super) login: Login,
    pub(super) machine: Machine,
    pub(super) gate: Gate,
    pub(super) sky: Sky,
    pub(super) page_sizes: PageSizes,
    pub(super) skip_token_life: Option<Age>,
    pub(super) url: String,
    pub(super) counts: Mutex<Counts>,
    pub(super) troubles: Mutex<HashMap<String, Trouble>>,
    pub(super) requests: AtomicU64,
}

/// A record's planted faults and how often they struck.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    pub(super) faults: PlantedFaults,
    pub(super) struck: u32,
}

/// A request as far as it matters.
#[derive(Debug)]
struct Asked {
    stamp: Stamp,
    method: Method,
    path: String,
    query: String,
    /// With scheme: where next links lead.
    host: String,
    token: Option<String>,
    prefer: Prefer,
    page_max: Option<usize>,
}

impl Asked {
    fn url(&self) -> String {
        format!("{}{}?{}", self.host, self.path, self.query)
    }
}

/// What is to be answered when nothing hinders: a record, or the page that begins at a place.
#[derive(Debug)]
enum Goal {
    Record { expand: Expand, select: Option<Vec<String>> },
    Page { place: Place, round: u32 },
}

pub(super) fn router(server: Arc<Server>, gzip: bool) -> Router {
    let router = Router::new()
        .route("/{tenant}/oauth2/v2.0/token", post(token))
        .merge(identity_endpoints::routes())
        .fallback(graph)
        .with_state(server);
    if !gzip {
        return router;
    }
    let compress = |_, _, headers: &HeaderMap, extensions: &axum::http::Extensions| {
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse::<u64>().ok());
        extensions.get::<Uncompressed>().is_none() && length.is_none_or(|length| length >= COMPRESSED_FROM_BYTES)
    };
    router.layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(compress))
}

async fn token(
    State(server): State<Arc<Server>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let stamp = server.stamp(&headers);
    server.count(Sort::Token, None);
    if let Some(fault) = server.sky.strike("token", befalls_any) {
        server.count(Sort::Fault, None);
        let answer =
            server.answer_of_fault(fault, &stamp).unwrap_or_else(|| Answer::error(500, "UnknownError", "", &stamp));
        return answer.into_response(&stamp);
    }
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&form).into_owned().collect();
    let answer = match server.login.token(&tenant, &form, &server.hosts(&headers), stamp.now) {
        Ok(body) => Answer::ok(body),
        Err(refusal) => {
            let body = refusal.body(&server.login.registration().client_id, stamp.now, &mut server.dice());
            Answer { status: refusal.status, ..Answer::ok(body) }
        }
    };
    answer.into_response(&stamp)
}

/// The faults that can befall a request of any sort.
fn befalls_any(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::ThrottledSeconds
            | Fault::ThrottledDate
            | Fault::ThrottledBare
            | Fault::ServerError
            | Fault::BadGateway
            | Fault::Unavailable
            | Fault::GatewayTimeout
            | Fault::Reset
    )
}

async fn graph(State(server): State<Arc<Server>>, request: Request) -> Response {
    let headers = request.headers();
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let (prefer, page_max) = read_prefer(headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()));
    let asked = Asked {
        stamp: server.stamp(headers),
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        host: server.host(headers),
        token: text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned),
        prefer,
        page_max,
    };
    let (Ok(answer) | Err(answer)) = server.answer(&asked);
    if answer.status == 429 {
        server.count(Sort::Refused, None);
    }
    answer.into_response(&asked.stamp)
}

impl Server {
    /// `Err` is an answer too: the one that ends the look at the request.
    fn answer(&self, asked: &Asked) -> Result<Answer, Answer> {
        let stamp = &asked.stamp;
        let target = Target::of(&asked.path);
        if let Some(target) = &target {
            self.count(sort_of(target, &asked.query), target.record_id());
        }
        let token = self.let_in(asked)?;
        if let Err(wait) = self.gate.app(Instant::now()) {
            return Err(throttled(wait, stamp));
        }
        let Some(target) = target else {
            let message = format!("Resource not found for the path '{}'.", asked.path);
            return Err(Answer::error(400, "BadRequest", &message, stamp));
        };
        if asked.method != Method::GET {
            return Err(Answer::error(405, "MethodNotAllowed", "The method is not allowed for this resource.", stamp));
        }
        let bad = |message: String| Answer::error(400, "BadRequest", &message, stamp);
        let query = Query::of(&target, &asked.query).map_err(bad)?;
        if let Some(id) = target.record_id() {
            let page =
                if matches!(query, Query::Continued { .. }) { limits::Page::Following } else { limits::Page::First };
            self.gate.record(id, page, Instant::now()).map_err(|wait| throttled(wait, stamp))?;
        }
        let planted = target.record_id().and_then(|id| self.planted_trouble(id));
        if let Some(Trouble { faults: PlantedFaults { status: status @ 1.., .. }, .. }) = planted {
            return Err(Answer::bare(status, stamp));
        }
        if target == Target::List && self.has_listed_enough() {
            let wait = self.sky.look(|weather: &Weather| weather.retry_after).as_secs().to_string();
            let refusal = Answer::error(503, "ServiceUnavailable", "The list has ended for today.", stamp);
            return Err(Answer { retry_after: Some(wait), ..refusal });
        }
        let record =
            target.record_id().map(|id| self.world.find(id).ok_or_else(|| Answer::not_found(stamp))).transpose()?;
        let goal = self.goal(&target, query, record.as_ref(), asked)?;
        let fault = match planted.and_then(|trouble| trouble.faults.fault) {
            Some(fault) => Some(fault),
            None => self.sky.strike(&format!("{target:?} {goal:?}"), |fault| {
                self.befalls(fault, &goal, record.as_ref(), &token, stamp)
            }),
        };
        if let Some(fault) = fault {
            self.count(Sort::Fault, None);
            if fault == Fault::TokenRevoked {
                self.login.revoke(&token);
            }
            if let Some(answer) = self.answer_of_fault(fault, stamp) {
                return Err(answer);
            }
        }
        let body = match goal {
            Goal::Record { expand, select } => {
                let record = record.ok_or_else(|| Answer::not_found(stamp))?;
                self.record(&record, expand, select.as_deref(), fault, asked)?
            }
            Goal::Page { place, round } => self.page(&place, round, record.as_ref(), fault, asked),
        };
        let delivery = match fault {
            Some(Fault::CutBody) => Delivery::Half,
            Some(Fault::SlowBody) => Delivery::Slowly(self.sky.look(|weather| weather.slow_body)),
            _ => Delivery::Whole,
        };
        Ok(Answer { delivery, ..Answer::ok(body) })
    }

    /// Checks the token and gives it back.
    fn let_in(&self, asked: &Asked) -> Result<String, Answer> {
        let refused = |message| Err(Answer::error(401, "InvalidAuthenticationToken", message, &asked.stamp));
        let Some(token) = &asked.token else { return refused("Access token is empty.") };
        match self.login.check(token) {
            Bearer::Good => Ok(token.clone()),
            Bearer::WithoutRole => Err(Answer::forbidden(&asked.stamp)),
            Bearer::Expired => refused("Lifetime validation failed, the token is expired."),
            Bearer::Unknown => refused("Access token validation failure. Invalid token."),
        }
    }

    fn goal(&self, target: &Target, query: Query, record: Option<&Record>, asked: &Asked) -> Result<Goal, Answer> {
        let stamp = &asked.stamp;
        let first = |place| Ok(Goal::Page { place, round: 0 });
        match (query, target) {
            (Query::Continued { token }, _) => {
                let known = cursor::decode(self.world.seed(), &token, stamp.now, self.skip_token_life);
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

    /// Whether a fault can happen to this request at all.
    fn befalls(&self, fault: Fault, goal: &Goal, record: Option<&Record>, token: &str, stamp: &Stamp) -> bool {
        let newest = record.and_then(|record| record.newest(stamp.now).map(|place| (place, record.edition(place).1)));
        match fault {
            Fault::EmptyPage | Fault::LinkLoop => matches!(goal, Goal::Page { .. }),
            Fault::Duplicate => matches!(goal, Goal::Page { place: Place::List { .. }, .. }),
            Fault::LaggingReplica => matches!(goal, Goal::Record { .. }) && newest.is_some_and(|(place, _)| place > 0),
            Fault::NotFoundYet => newest.is_some_and(|(_, visible_at)| stamp.now - visible_at < YOUNG),
            Fault::TokenRevoked => self.login.may_be_revoked(token),
            _ => true,
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

    fn answer_of_fault(&self, fault: Fault, stamp: &Stamp) -> Option<Answer> {
        Answer::of_fault(fault, self.sky.look(|weather| weather.retry_after), stamp)
    }

    pub(super) fn count(&self, sort: Sort, id: Option<&str>) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).add(sort, id);
    }

    pub(super) fn stamp(&self, headers: &HeaderMap) -> Stamp {
        let request_id = self.dice().guid();
        let given = headers.get("client-request-id").and_then(|value| value.to_str().ok());
        let client_request_id = given.map_or_else(|| request_id.clone(), str::to_owned);
        Stamp { now: self.clock.now(), request_id, client_request_id }
    }

    /// Throws of their own for each request, for what is nobody's content.
    fn dice(&self) -> Dice {
        Dice::of(self.world.seed(), &[0x4e9, self.requests.fetch_add(1, Ordering::Relaxed)])
    }

    /// The hosts that are ours: tokens may be asked for them. TLS, if there is any, has ended before us.
    pub(super) fn hosts(&self, headers: &HeaderMap) -> Vec<String> {
        let host = self.host(headers);
        let over_tls = host.replacen("http://", "https://", 1);
        vec!["https://graph.microsoft.com".to_owned(), host, over_tls, self.url.clone()]
    }

    /// Under which name the client reached us: its next links must lead to the same host.
    fn host(&self, headers: &HeaderMap) -> String {
        match headers.get(header::HOST).and_then(|value| value.to_str().ok()) {
            Some(host) => format!("http://{host}"),
            None => self.url.clone(),
        }
    }
}

fn sort_of(target: &Target, query: &str) -> Sort {
    let continued = query.contains("skiptoken=");
    match target {
        Target::List => Sort::List,
        Target::Record(_) if query.contains("participants_v2") => Sort::Participants,
        Target::Record(_) => Sort::Get,
        Target::Sessions(_) => Sort::SessionsPage,
        Target::Participants(_) if continued => Sort::ParticipantsPage,
        Target::Participants(_) => Sort::Participants,
    }
}

fn throttled(wait: Duration, stamp: &Stamp) -> Answer {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Answer::throttled(Some(seconds.max(1).to_string()), stamp)
}
