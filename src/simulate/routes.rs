//! The order in which Graph looks at a request: token, permission, rate, path; then, by what it is for, options, the thing asked
//! for, and, here, the weather.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, Method, header},
    response::Response,
    routing::post,
};
use tokio::time::Instant;
use tower_http::{CompressionLevel, compression::CompressionLayer};

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        World,
        answer::{Answer, Delivery, Stamp, Uncompressed},
        clock::Clock,
        counts::{Counts, Sort},
        dice::Dice,
        emit::Prefer,
        identity_endpoints::{self, Machine},
        limits::Gate,
        logs::{Bookmark, LogKind, Reshape, Window},
        notify::Notifier,
        pages::PageSizes,
        planted::PlantedFaults,
        query::{percent_decode, read_prefer},
        resource::Resource,
        subscription_endpoints,
        tokens::{Bearer, Login},
        weather::{Fault, Sky},
    },
};

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
    pub(super) delta_token_life: Option<Age>,
    pub(super) url: String,
    pub(super) counts: Mutex<Counts>,
    pub(super) troubles: Mutex<HashMap<String, Trouble>>,
    pub(super) requests: AtomicU64,
    pub(super) odd_logs: Mutex<OddLogs>,
    /// Where the last page of a window ended, in v1.0 or in beta.
    pub(super) bookmarks: Mutex<HashMap<(Window, bool), Bookmark>>,
    pub(super) notifier: Notifier,
    /// Whether anything goes out: not in process, where there is no network.
    pub(super) sends: bool,
    /// When, by the wall clock, calls were planted.
    pub(super) planted: Mutex<HashMap<String, Timestamp>>,
}

/// Which logs are not what they were.
#[derive(Debug, Default)]
pub(super) struct OddLogs {
    /// With the status that their requests get.
    pub(super) gone: Vec<(LogKind, u16)>,
    pub(super) refused_before: Vec<(LogKind, Age)>,
    pub(super) reshaped: Vec<(LogKind, Reshape)>,
}

/// A record's planted faults and how often they struck.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    pub(super) faults: PlantedFaults,
    pub(super) struck: u32,
}

/// A request as far as it matters.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) stamp: Stamp,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    /// With scheme: where next links lead.
    pub(super) host: String,
    token: Option<String>,
    pub(super) prefer: Prefer,
    pub(super) page_max: Option<usize>,
}

impl Asked {
    pub(super) fn url(&self) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{}{}{mark}{}", self.host, self.path, self.query)
    }
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
    let (Ok(answer) | Err(answer)) = server.answer(&asked, request.into_body()).await;
    if answer.status == 429 {
        server.count(Sort::Refused, None);
    }
    answer.into_response(&asked.stamp)
}

impl Server {
    /// `Err` is an answer too: the one that ends the look at the request.
    async fn answer(&self, asked: &Asked, body: Body) -> Result<Answer, Answer> {
        let stamp = &asked.stamp;
        let resource = Resource::of(&asked.path);
        if let Some(resource) = &resource {
            self.count(resource.sort(&asked.query), resource.record_id());
        }
        let token = self.let_in(asked, resource.as_ref())?;
        if let Err(wait) = self.gate.app(Instant::now()) {
            return Err(throttled(wait, stamp));
        }
        let Some(resource) = resource else {
            // Such as a function that only the other version has.
            let segment = percent_decode(asked.path.rsplit('/').next().unwrap_or_default());
            return Err(Answer::no_segment(400, segment.split('(').next().unwrap_or_default(), stamp));
        };
        if asked.method != Method::GET && !matches!(resource, Resource::Subscriptions(_)) {
            return Err(Answer::error(405, "MethodNotAllowed", "The method is not allowed for this resource.", stamp));
        }
        match &resource {
            Resource::Calls(target) => self.call_records(target, asked, &token),
            Resource::Log(function) => self.log(function, asked, &token),
            Resource::People(people) => self.users(people, asked, &token),
            Resource::Subscriptions(target) => self.subscriptions(target, asked, &token, body).await,
        }
    }

    /// What the weather does to a request for `what`, if `befalls` allows it; `Err` when that is the whole answer.
    pub(super) fn fault(
        &self,
        what: &str,
        token: &str,
        stamp: &Stamp,
        befalls: impl FnOnce(Fault) -> bool,
    ) -> Result<Option<Fault>, Answer> {
        let fault = self.sky.strike(what, |fault| match fault {
            Fault::TokenRevoked => self.login.may_be_revoked(token),
            fault => befalls(fault),
        });
        fault.map(|fault| self.strikes(fault, token, stamp).map(|()| fault)).transpose()
    }

    pub(super) fn strikes(&self, fault: Fault, token: &str, stamp: &Stamp) -> Result<(), Answer> {
        self.count(Sort::Fault, None);
        if fault == Fault::TokenRevoked {
            self.login.revoke(token);
        }
        self.answer_of_fault(fault, stamp).map_or(Ok(()), Err)
    }

    /// A good answer, as it comes through the weather.
    pub(super) fn delivered(&self, body: String, fault: Option<Fault>) -> Answer {
        let delivery = match fault {
            Some(Fault::CutBody) => Delivery::Half,
            Some(Fault::SlowBody) => Delivery::Slowly(self.sky.look(|weather| weather.slow_body)),
            _ => Delivery::Whole,
        };
        Answer { delivery, ..Answer::ok(body) }
    }

    /// Checks the token and gives it back. It must carry one of the resource's permissions.
    fn let_in(&self, asked: &Asked, resource: Option<&Resource>) -> Result<String, Answer> {
        let roles = resource.map_or(&[][..], Resource::permissions);
        let refused = |message| Err(Answer::error(401, "InvalidAuthenticationToken", message, &asked.stamp));
        let Some(token) = &asked.token else { return refused("Access token is empty.") };
        match self.login.check(token, roles) {
            Bearer::Good => Ok(token.clone()),
            Bearer::WithoutRole if matches!(resource, Some(Resource::Subscriptions(_))) => {
                Err(subscription_endpoints::not_authorized(&asked.stamp))
            }
            Bearer::WithoutRole => Err(Answer::forbidden(roles, &asked.stamp)),
            Bearer::Expired => refused("Lifetime validation failed, the token is expired."),
            Bearer::Unknown => refused("Access token validation failure. Invalid token."),
        }
    }

    /// The refusal of one request too many for the weather.
    pub(super) fn ended_for_today(&self, message: &str, stamp: &Stamp) -> Answer {
        let wait = self.sky.look(|weather| weather.retry_after).as_secs().to_string();
        Answer { retry_after: Some(wait), ..Answer::error(503, "ServiceUnavailable", message, stamp) }
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
    pub(super) fn dice(&self) -> Dice {
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

pub(super) fn throttled(wait: Duration, stamp: &Stamp) -> Answer {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Answer::throttled(Some(seconds.max(1).to_string()), stamp)
}
