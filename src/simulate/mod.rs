//! The simulator: Microsoft Graph's call records and the login host, on loopback, over real HTTP.
//!
//! A second witness, not a mirror: it writes its own JSON from its own [`World`] and shares nothing with the client but ids
//! and times. Paths, page sizes, limits and member names are written here a second time, from the reference, by intent.
//! [`World::expected`] is the truth that an archive is judged by.
//!
//! Simulated time makes records appear, grow and expire, and stands in the `Date` of each answer. Throttling and the life of
//! tokens go by real time. Nothing is written anywhere. Whoever subscribes is sent notifications, on this machine only.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    thread::JoinHandle,
    time::Duration,
};

use axum::{Router, extract::Request, handler::Handler, response::Response, routing::any_service};
use tokio::sync::oneshot;

use crate::{
    httpd,
    model::time::{Age, Timestamp},
    simulate::{
        clock::Clock,
        identity_endpoints::Machine,
        limits::Gate,
        logs::Telephony,
        notify::Notifier,
        routes::{OddLogs, Server},
        tokens::{Login, Registration},
        weather::Sky,
    },
};

mod answer;
mod assertions;
mod bodies;
mod calendar;
mod call;
mod clock;
mod counts;
mod cursor;
mod deliveries;
mod desk;
mod dice;
mod directory;
mod emit;
mod equipment;
mod expected;
mod hand;
mod identity;
mod identity_endpoints;
mod json;
mod limits;
mod logs;
mod media;
mod notices;
mod notify;
mod outbound;
mod pages;
mod people;
mod planted;
mod query;
mod records;
mod refusals;
mod resource;
mod routes;
mod subscription_endpoints;
mod subscriptions;
#[cfg(test)]
mod tests;
mod timeline;
mod tokens;
mod users;
mod watched;
mod weather;
mod world;

// One door: what is behind it may be arranged anew.
pub use assertions::FederatedCredential;
pub use bodies::Bodies;
pub use counts::Counts;
pub use deliveries::Deliveries;
pub use expected::ExpectedCall;
pub use identity_endpoints::{APP_SERVICE_PATH, ManagedIdentity};
pub use limits::{Limits, Rate};
pub use logs::{ExpectedDialOut, ExpectedRow, LogKind, LogRetention, LogRow, PlantedRow, Reshape};
pub use notices::{Forgery, LifecycleEvent, Notifications};
pub use pages::PageSizes;
pub use people::{DOMAIN, Person, TENANT_ID};
pub use planted::{Planted, PlantedFaults, PlantedVersion};
pub use resource::{PSTN_CALLS_ROLE, USERS_BASIC_ROLE, USERS_ROLE};
pub use subscriptions::SubscriptionView;
pub use tokens::{CALL_RECORDS_ROLE, CLIENT_ID, CLIENT_SECRET, SignIn, SignInKind};
pub use weather::{Fault, Weather};
pub use world::World;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// 0 takes any free port.
    pub port: u16,
    pub seed: u64,
    pub users: u32,
    /// Calls of a workday; a weekend day has a sixteenth of it. 0: only planted calls.
    pub calls_per_day: u32,
    /// How many days of calls lie before the start.
    pub days: u32,
    /// The simulated time at the start; `None` takes the wall clock's.
    pub start_clock: Option<Timestamp>,
    /// Simulated seconds in a real one. Throttling and the life of tokens go by real time all the same.
    pub clock_rate: u32,
    pub notifications: Notifications,
    /// PEM of authorities whose certificates receivers of notifications may have, besides the system's.
    pub notify_ca: Option<Vec<u8>>,
    pub limits: Limits,
    pub weather: Weather,
    pub page_sizes: PageSizes,
    /// How long a next link works, in simulated time; `None` is for ever.
    pub skip_token_life: Option<Age>,
    /// How long a delta link of users works, in simulated time; `None` is for ever.
    pub delta_token_life: Option<Age>,
    /// How many days of log rows lie before the start; `None` as many as of calls.
    pub log_days: Option<u32>,
    pub log_retention: LogRetention,
    /// ISO code of the tenant's country: Germany's law stars the last digits of outside numbers.
    pub tenant_country: String,
    /// Logs that Graph does not give, and the status of requests for them: 400 or 404 as for a function that it does not know,
    /// 403, or any other.
    pub gone: Vec<(LogKind, u16)>,
    /// Logs that refuse with 400 what begins longer ago than this, rather than answer with no rows.
    pub refused_before: Vec<(LogKind, Age)>,
    /// Logs that look as no schema says.
    pub reshaped: Vec<(LogKind, Reshape)>,
    pub tenant: String,
    pub client_id: String,
    pub client_secret: String,
    /// Certificates of the application, as DER.
    pub certificates: Vec<Vec<u8>>,
    /// Whose tokens the application takes for its own.
    pub federated: Vec<FederatedCredential>,
    /// What the machine that the client runs on is given by Azure.
    pub managed_identity: ManagedIdentity,
    /// What the application was granted. Call records want [`CALL_RECORDS_ROLE`], the logs that or [`PSTN_CALLS_ROLE`], users
    /// [`USERS_ROLE`] or [`USERS_BASIC_ROLE`]; without them there is a 403.
    pub roles: Vec<String>,
    /// How long a token works, in real time.
    pub token_life: Duration,
    /// Whether bodies are compressed for clients that take it.
    pub gzip: bool,
}

impl Default for Settings {
    /// A month of a small company, in fair weather and under Graph's documented limits.
    fn default() -> Self {
        let Registration { tenant, client_id, client_secret, certificates, federated, lifetime, .. } =
            tokens::default_registration();
        Self {
            port: 0,
            seed: 1,
            users: 120,
            calls_per_day: 150,
            days: 28,
            start_clock: None,
            clock_rate: 1,
            notifications: Notifications::default(),
            notify_ca: None,
            limits: Limits::documented(),
            weather: Weather::calm(),
            page_sizes: PageSizes::default(),
            skip_token_life: None,
            delta_token_life: None,
            log_days: None,
            log_retention: LogRetention::default(),
            tenant_country: "DE".to_owned(),
            gone: Vec::new(),
            refused_before: Vec::new(),
            reshaped: Vec::new(),
            tenant,
            client_id,
            client_secret,
            roles: vec![CALL_RECORDS_ROLE.to_owned(), USERS_ROLE.to_owned()],
            certificates,
            federated,
            managed_identity: ManagedIdentity {
                system_assigned: false,
                user_assigned: Vec::new(),
                header: "simulated-identity-header-5d0c".to_owned(),
            },
            token_life: lifetime,
            gzip: true,
        }
    }
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on port {port} of 127.0.0.1")]
    Bind { port: u16, source: io::Error },
    #[error("cannot start the simulator's thread")]
    Thread(#[source] io::Error),
}

/// A running simulator. Has its own thread and runtime, so that both synchronous and asynchronous code may hold it; one in process
/// has neither.
#[derive(Debug)]
pub struct Simulator {
    server: Arc<Server>,
    router: Router,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts; connections are accepted when this returns.
    pub fn start(settings: Settings) -> Result<Self, Error> {
        let port = settings.port;
        let listener = httpd::bind_loopback(port).map_err(|source| Error::Bind { port, source })?;
        let bound = listener.local_addr().map_err(|source| Error::Bind { port, source })?;
        let gzip = settings.gzip;
        let server = Arc::new(Server::new(settings, format!("http://{bound}"), true));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("simulator")
            .enable_all()
            .build()
            .map_err(Error::Thread)?;
        let (stop, told) = oneshot::channel::<()>();
        let router = routes::router(server.clone(), gzip);
        let served = router.clone();
        runtime.spawn(notify::run(server.clone()));
        let serve = move || {
            let told = async move {
                let _ = told.await;
            };
            // A listener that fails later shows as refused connections, which is what a client must bear anyway.
            let _ = runtime.block_on(httpd::serve(listener, served, told));
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("simulator".to_owned()).spawn(serve).map_err(Error::Thread)?;
        Ok(Self { server, router, stop: Some(stop), thread: Some(thread) })
    }

    /// Starts one without port and thread, which answers through [`Simulator::answer`] alone. All its times, also those of
    /// throttling and tokens, go by the clock of the runtime that it is made and asked in. Subscriptions are made without
    /// validation, and nothing is sent.
    #[must_use]
    pub fn in_process(settings: Settings) -> Self {
        let server = Arc::new(Server::new(settings, "http://127.0.0.1".to_owned(), false));
        let router = routes::router(server.clone(), false);
        Self { server, router, stop: None, thread: None }
    }

    /// Answers a request as it would be answered over the network; a body that breaks off is an error of the body.
    pub fn answer(&self, request: Request) -> impl Future<Output = Response> + Send + 'static {
        Handler::<(), ()>::call(any_service(self.router.clone()), request, ())
    }

    /// Login host and Graph host in one: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url.clone()
    }

    pub fn tenant_id(&self) -> &str {
        &self.server.login.registration().tenant
    }

    pub fn client_id(&self) -> &str {
        &self.server.login.registration().client_id
    }

    pub fn client_secret(&self) -> &str {
        &self.server.login.registration().client_secret
    }

    /// Simulated time.
    pub fn now(&self) -> Timestamp {
        self.server.clock.now()
    }

    /// Lets simulated time jump: records appear, are corrected, expire.
    pub fn advance(&self, by: Age) {
        self.server.clock.advance(by);
        self.server.notifier.wake();
    }

    pub fn world(&self) -> &World {
        &self.server.world
    }

    /// What was asked so far.
    pub fn requests(&self) -> Counts {
        self.server.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests were made for a record or anything of it.
    pub fn requests_for(&self, id: &str) -> u64 {
        self.server.counts.lock().unwrap_or_else(PoisonError::into_inner).of_record(id)
    }

    /// Stops, and waits until the port is free. Dropping does the same.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.halt();
    }
}

impl Server {
    fn new(settings: Settings, url: String, sends: bool) -> Self {
        let began = settings.start_clock.unwrap_or_else(Timestamp::now);
        let Settings { seed, users, calls_per_day, days, log_days, .. } = settings;
        let first_row = began - Age::days(i64::from(log_days.unwrap_or(days)));
        let telephony = Telephony::new(first_row, settings.log_retention, settings.tenant_country);
        let Settings { tenant, client_id, client_secret, certificates, federated, roles, token_life: lifetime, .. } =
            settings;
        let notifier = Notifier::new(settings.notifications, settings.notify_ca, tenant.clone(), seed);
        let registration = Registration { tenant, client_id, client_secret, certificates, federated, roles, lifetime };
        Self {
            world: World::with_logs(seed, users, calls_per_day, began, days, telephony),
            clock: Clock::starting_at(began, settings.clock_rate),
            login: Login::new(registration),
            machine: Machine::new(settings.managed_identity),
            gate: Gate::new(settings.limits),
            sky: Sky::new(settings.weather),
            page_sizes: settings.page_sizes,
            skip_token_life: settings.skip_token_life,
            delta_token_life: settings.delta_token_life,
            url,
            counts: Mutex::default(),
            troubles: Mutex::new(HashMap::new()),
            requests: AtomicU64::new(0),
            odd_logs: Mutex::new(OddLogs {
                gone: settings.gone,
                refused_before: settings.refused_before,
                reshaped: settings.reshaped,
            }),
            bookmarks: Mutex::default(),
            notifier,
            sends,
            planted: Mutex::default(),
        }
    }
}
