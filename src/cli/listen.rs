//! `listen`: receives change notifications, keeps the subscription that brings them, and works off what arrives.
//!
//! Three parts with one thing in common, the inbox: the receiver, which faces the internet and has nothing else; the keeper of the
//! subscription; and the service of [`super::watch`], which fetches.

mod from_file;
mod pages;

use std::{
    fmt::Write as _,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use secrecy::ExposeSecret;
use tokio::{
    runtime::Runtime,
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use url::{Host, Url};

use crate::{
    archive::inbox::{Inbox, Instant},
    cli::{
        Context,
        exit::{Code, Failure, Result},
        progress::Progress,
        show::Format,
        signals, usage,
        watch::{INTERVAL, Role, Service},
    },
    graph,
    httpd::Certificate,
    model::time::{Age, Span, Timestamp},
    sync::{
        self,
        keeper::{Addresses, Keeper},
        round::Round,
    },
    web::{Confined, Receiver, Setup},
};

/// Where a receiver behind a proxy on the same machine listens.
const BIND: &str = "127.0.0.1:8460";
/// Requests of a second: several times what Graph sends for a hundred thousand people.
const REQUESTS_PER_S: u64 = 5_000;
/// The longest secret that Graph gives back with each notification.
const CLIENT_STATE_MAX: usize = 128;
/// How long a first sign-in may take.
const SIGN_IN: Duration = Duration::from_secs(10);
/// How often it is noted that the receiver is up: as much is listed again after a crash.
const ALIVE: Duration = Duration::from_secs(10);
/// How often the certificate's files are looked at.
const RENEW_CERTIFICATE: Duration = Duration::from_secs(60);
/// Pages about the service that may be waited for.
const QUESTIONS_MAX: usize = 16;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The https address at which Graph reaches this receiver
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Where to listen [default: 127.0.0.1:8460]
    #[arg(long, value_name = "ADDR:PORT")]
    bind: Option<String>,
    /// Certificate chain, PEM: of a public CA, since Graph is to trust it
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Listen without TLS on an address that is not loopback: a proxy on another machine has ended it
    #[arg(long)]
    plain_http: bool,
    /// Answer /metrics and /healthz here as well, to whoever reaches it; at --bind they are answered to this machine alone
    #[arg(long, value_name = "ADDR:PORT")]
    metrics_bind: Option<String>,
    /// How often the newest calls are listed all the same, and the subscription is looked at [default: 15m]
    #[arg(long, value_name = "AGE")]
    interval: Option<Age>,
    /// Receive and keep the subscription only: a sync --watch does the rest
    #[arg(long)]
    receive_only: bool,
    /// End the subscriptions of this receiver, and do nothing else
    #[arg(long, conflicts_with_all = ["receive_only", "from_file"])]
    unsubscribe: bool,
    /// Take notifications from a file, or - for stdin, as a queue has kept them, instead of listening: JSON in any form, or Avro
    #[arg(long, value_name = "FILE", conflicts_with_all = ["public_url", "bind", "receive_only"])]
    from_file: Option<PathBuf>,
    /// Format of the summaries
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    if let Some(file) = &args.from_file {
        return from_file::run(file, args.format, context);
    }
    if args.unsubscribe {
        return unsubscribe(context);
    }
    let settings = context.config.listen();
    let public_url = args.public_url.as_ref().or(settings.public_url.as_ref()).ok_or_else(|| {
        usage("--public-url is missing")
            .hint("name the https address at which Graph reaches this machine, or a proxy before it")
    })?;
    let addresses = addresses(public_url)?;
    let shared = settings.client_state.as_ref().map(|secret| secret.expose_secret().to_owned());
    if shared.as_ref().is_some_and(|secret| !(1..=CLIENT_STATE_MAX).contains(&secret.chars().count())) {
        return Err(usage(format!("[listen] client_state: Graph takes 1 to {CLIENT_STATE_MAX} characters")));
    }
    let graph = context.config.graph()?;
    let runtime = super::runtime()?;
    let listener = bind(args, context)?;
    let certificate = certificate(args, context, &runtime)?;
    let named_tenant = graph.tenant_id.clone().filter(|tenant| uuid::Uuid::try_parse(tenant).is_ok());
    let client = graph::Client::new(graph, Arc::new(())).map_err(sync::Error::from)?;
    check_credentials(&runtime, &client)?;

    let folder = context.folder();
    let _only = Inbox::lock(&folder_made(context)?).map_err(|error| {
        Failure::from(error).hint(
            "another receiver has this archive's inbox; one is enough, and a second one needs an archive of its own",
        )
    })?;
    let mut inbox = Inbox::open_or_create(&folder)?;
    if let Some(alive) = inbox.instant(Instant::Alive)? {
        inbox.note_missed(Span::new(alive, context.now.max(alive)), "the receiver was away")?;
    }

    let (stop_sender, stop) = watch::channel(false);
    let progress = Arc::new(Progress::new(&context.bars, context.quiet));
    runtime.spawn(signals::stop_on_signal(stop_sender.clone(), progress.clone()));
    let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
    let interval = args.interval.or(context.config.interval()?).unwrap_or(INTERVAL);
    pages::answer(&runtime, context, interval, asked);
    if let Some(bind) = args.metrics_bind.as_ref().or(settings.metrics_bind.as_ref()) {
        pages::serve(&runtime, bind_to("--metrics-bind", bind)?, questions.clone(), stop.clone());
    }

    let tenant = watch::Sender::new(named_tenant);
    let (keeper, secrets) =
        Keeper::new(client.clone(), Inbox::open_or_create(&folder)?, addresses, interval, shared).map_err(kept)?;
    let receiver = Receiver::start(Setup {
        listener,
        certificate: certificate.clone(),
        inbox: Inbox::open_or_create(&folder)?,
        tenant_id: tenant.subscribe(),
        secrets,
        requests_per_s: settings.requests_per_s.unwrap_or(REQUESTS_PER_S),
        questions,
    })?;
    let mut told = format!("listening on {}, for Graph at {public_url}", receiver.address);
    if receiver.confined == Confined::ByConstruction {
        let _ = write!(told, "; this system cannot confine the receiver to its inbox");
    }
    context.note(&told);
    let keeping =
        runtime.spawn(keep(keeper, (client, tenant), receiver.arrived.clone(), stop.clone(), context.note_taker()));
    let ended = receiver.ended();
    runtime.spawn(async move {
        // Without it this service has no purpose: whoever watches over it starts it again.
        ended.await;
        stop_sender.send_replace(true);
    });
    let beside = runtime.spawn(stay_alive(inbox, certificate, stop.clone(), context.note_taker()));

    let outcome = if args.receive_only {
        runtime.block_on(stopped(stop));
        progress.finish();
        wait_for(&runtime, [keeping, beside]);
        Ok(Code::Done)
    } else {
        let arrived = receiver.arrived.clone();
        let mut service = Service::new(runtime, stop, progress, arrived, Role::Listen, context)?;
        let outcome = service.serve(&Round::default(), args.interval, args.format, context);
        if outcome.is_ok() {
            wait_for(service.runtime(), [keeping, beside]);
        }
        outcome
    };
    receiver.stop()?;
    outcome
}

/// What no waiting mends is told before anything is made; a Graph that cannot be reached is no reason not to receive.
fn check_credentials(runtime: &Runtime, client: &graph::Client) -> Result<()> {
    match runtime.block_on(async { timeout(SIGN_IN, client.sign_in()).await }) {
        Ok(Err(error)) if error.is_unauthorised() || error.is_usage() => Err(Failure::from(sync::Error::from(error))),
        _ => Ok(()),
    }
}

/// The folder, made for an inbox where there is none.
fn folder_made(context: &Context) -> Result<crate::archive::Folder> {
    let folder = context.folder();
    Inbox::open_or_create(&folder)?;
    Ok(folder)
}

fn wait_for(runtime: &Runtime, tasks: [JoinHandle<()>; 2]) {
    for task in tasks {
        // What is left to do for them is told by their inbox the next time.
        let _ = runtime.block_on(async { timeout(Duration::from_secs(2), task).await });
    }
}

fn kept(error: sync::keeper::Error) -> Failure {
    use sync::keeper::Error;
    match error {
        Error::Graph(error) => Failure::from(sync::Error::from(error)),
        Error::Inbox(error) => Failure::from(error),
        Error::Unreachable { .. } => Failure::new(Code::Incomplete, error.to_string())
            .hint("Graph posts to it from the internet within ten seconds: check DNS, firewall, proxy and the certificate's chain"),
        Error::Others { .. } | Error::Replaced => Failure::new(Code::InUse, error.to_string()),
    }
}

/// The two addresses that Graph posts to.
fn addresses(public_url: &str) -> Result<Addresses> {
    let wrong = |what: &str| usage(format!("--public-url: {public_url}: {what}"));
    let url = Url::parse(public_url).map_err(|error| wrong(&error.to_string()))?;
    let is_near = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(wrong("it names no host")),
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_near) {
        return Err(wrong("Graph posts to https addresses only"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(wrong("user, password and fragment do not belong in it"));
    }
    let mut lifecycle = url.clone();
    lifecycle.path_segments_mut().map_err(|()| wrong("it has no path"))?.pop_if_empty().push("lifecycle");
    Ok(Addresses { notification: public_url.to_owned(), lifecycle: lifecycle.into() })
}

fn bind(args: &Args, context: &Context) -> Result<TcpListener> {
    let settings = context.config.listen();
    let named = args.bind.as_ref().or(settings.bind.as_ref()).map_or(BIND, String::as_str);
    let has_tls = args.tls_cert.is_some() || settings.tls_cert.is_some();
    let listener = bind_to("--bind", named)?;
    let address = listener.local_addr()?;
    if !has_tls && !args.plain_http && !address.ip().is_loopback() {
        return Err(usage(format!("--bind: {address} can be reached from elsewhere, and there is no TLS")).hint(
            "name a certificate with --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy, or say --plain-http if a proxy \
             elsewhere has ended TLS",
        ));
    }
    Ok(listener)
}

fn bind_to(flag: &str, named: &str) -> Result<TcpListener> {
    let address: SocketAddr = named
        .parse()
        .map_err(|_| usage(format!("{flag}: '{named}' is not an address with a port, as 127.0.0.1:8460")))?;
    TcpListener::bind(address).map_err(|error| usage(format!("{flag}: cannot listen on {address}: {error}")))
}

fn certificate(args: &Args, context: &Context, runtime: &Runtime) -> Result<Option<Certificate>> {
    let settings = context.config.listen();
    let named = |flag: &Option<PathBuf>, set: &Option<PathBuf>| flag.clone().or_else(|| set.clone());
    match (named(&args.tls_cert, &settings.tls_cert), named(&args.tls_key, &settings.tls_key)) {
        (None, None) => Ok(None),
        (Some(chain), Some(key)) => {
            let read = runtime.block_on(Certificate::read(&chain, &key));
            read.map(Some).map_err(|what| usage(format!("the TLS certificate: {what}")))
        }
        (Some(_), None) => Err(usage("--tls-cert is there and --tls-key is missing")),
        (None, Some(_)) => Err(usage("--tls-key is there and --tls-cert is missing")),
    }
}

/// Keeps the subscription until a stop is asked for.
async fn keep(
    mut keeper: Keeper,
    (client, tenant): (graph::Client, watch::Sender<Option<String>>),
    arrived: Arc<Notify>,
    mut stop: watch::Receiver<bool>,
    note: impl Fn(&str),
) {
    let mut told = String::new();
    loop {
        // By its name the tenant may be known as well; notifications carry its id.
        if tenant.borrow().is_none()
            && let Ok(Some(claims)) = client.claims().await
        {
            tenant.send_replace(claims.tenant_id.or_else(|| tenant.borrow().clone()));
        }
        let (outcome, wait) = keeper.look(Timestamp::now()).await;
        let is_kept = outcome.is_ok();
        match outcome {
            Ok(()) => {
                if !told.is_empty() {
                    note("the subscription is kept again");
                }
                told.clear();
            }
            Err(error) => {
                let failure = kept(error).to_string();
                // Once, however often it happens.
                if failure != told {
                    note(&format!("{failure}\nuntil then the lists alone bring what is new"));
                }
                told = failure;
            }
        }
        tokio::select! {
            () = sleep(wait.to_duration()) => {}
            // After a failure it has its time, whatever Graph asks for meanwhile.
            () = keeper.asked_for(&arrived), if is_kept => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Notes again and again that the receiver is up, and takes a new certificate when there is one.
async fn stay_alive(
    mut inbox: Inbox,
    mut certificate: Option<Certificate>,
    mut stop: watch::Receiver<bool>,
    note: impl Fn(&str),
) {
    let mut looked = std::time::Instant::now();
    loop {
        if let Err(error) = inbox.set(Instant::Alive, Timestamp::now()) {
            tracing::warn!(%error, "the inbox cannot be written");
        }
        if let Some(certificate) = certificate.as_mut().filter(|_| looked.elapsed() >= RENEW_CERTIFICATE) {
            looked = std::time::Instant::now();
            match certificate.renew().await {
                Ok(true) => note("the TLS certificate was read again"),
                Ok(false) => {}
                Err(what) => note(&format!("the TLS certificate read before stays in use: {what}")),
            }
        }
        if timeout(ALIVE, stop.wait_for(|stop| *stop)).await.is_ok() {
            let _ = inbox.set(Instant::Alive, Timestamp::now());
            return;
        }
    }
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn unsubscribe(context: &Context) -> Result<Code> {
    let Some(inbox) = Inbox::open_existing(&context.folder())? else {
        return Err(usage("there was never a receiver here, so there is no subscription to end"));
    };
    let _only = Inbox::lock(&context.folder()).map_err(|error| {
        Failure::from(error).hint("a receiver runs and would subscribe anew: stop it before its subscription is ended")
    })?;
    let client = graph::Client::new(context.config.graph()?, Arc::new(())).map_err(sync::Error::from)?;
    let nowhere = Addresses { notification: String::new(), lifecycle: String::new() };
    let (mut keeper, _) = Keeper::new(client, inbox, nowhere, INTERVAL, None).map_err(kept)?;
    let ended = super::runtime()?.block_on(keeper.end()).map_err(kept)?;
    super::to_stdout(|out| writeln!(out, "{ended} subscriptions ended"))?;
    Ok(Code::Done)
}
