//! How near `callvault sync` comes to the least time that a budget of requests allows, and what it asks for in vain.
//!
//! `cargo bench --bench throttle`. A simulated tenant on loopback counts requests in an exact sliding window of 20 s, refused ones
//! too; the program pulls all its calls into an empty archive. Budget and setting are Graph's and the program's own, times the
//! same number. Environment:
//! - `CALLVAULT_CALLS`: calls of the tenant (default 100,000)
//! - `CALLVAULT_TIMES`: so many times the published 1,500 requests in 20 s (default 10)
//! - `CALLVAULT_DELAY_MS`: on the way, there and back together (default 0)
//! - `CALLVAULT_RUNS`: of `one`, `two` and `half`, with commas between (default all)

use std::{
    collections::HashMap,
    env, fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use axum::{Router, extract::Request, response::Response};
use callvault::{
    httpd,
    model::time::Timestamp,
    simulate::{Limits, PageSizes, Rate, Settings, Simulator, World},
};
use tempfile::TempDir;
use tokio::{runtime::Runtime, time::sleep};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What Graph publishes, and what the program asks for unless told otherwise.
const PUBLISHED: usize = 1500;
const SET: usize = 1490;
const WINDOW: Duration = Duration::from_secs(20);

#[derive(Clone, Copy)]
struct Scale {
    calls: u32,
    times: usize,
    delay: Duration,
}

#[expect(clippy::print_stdout, reason = "its figures are the result")]
fn main() -> Result<()> {
    let number = |name, default| env::var(name).map_or(Ok(default), |text| text.parse::<u32>());
    let scale = Scale {
        calls: number("CALLVAULT_CALLS", 100_000)?,
        times: number("CALLVAULT_TIMES", 10)? as usize,
        delay: Duration::from_millis(number("CALLVAULT_DELAY_MS", 0)?.into()),
    };
    let runs = env::var("CALLVAULT_RUNS").unwrap_or_else(|_| "one,two,half".to_owned());
    println!("{} requests in 20 s, {} calls, {:?} on the way", PUBLISHED * scale.times, scale.calls, scale.delay);
    for run in runs.split(',') {
        let (title, processes, limit) = match run {
            "one" => ("one process", 1, PUBLISHED),
            "two" => ("two processes, one app", 2, PUBLISHED),
            "half" => ("one process, half of it", 1, PUBLISHED / 2),
            other => return Err(format!("no such run: {other}").into()),
        };
        println!("{title:<24} {}", measure(scale, processes, limit * scale.times)?);
    }
    Ok(())
}

fn measure(scale: Scale, processes: usize, limit: usize) -> Result<Figures> {
    let tenant = Tenant::start(scale, processes, limit)?;
    let folders = (0..processes).map(|_| tempfile::tempdir()).collect::<std::io::Result<Vec<TempDir>>>()?;
    let began = Instant::now();
    let children = folders
        .iter()
        .zip(&tenant.addresses)
        .map(|(folder, address)| tenant.program(folder.path(), address, scale.times, "sync --source calls"))
        .map(|program| Ok(program?.spawn()?))
        .collect::<Result<Vec<Child>>>()?;
    let mut walls_s = Vec::new();
    thread::scope(|scope| -> Result<()> {
        let waiting = children.into_iter().map(|mut child| scope.spawn(move || (child.wait(), began.elapsed())));
        for ended in waiting.collect::<Vec<_>>() {
            let (status, wall) = ended.join().map_err(|_| "a waiting thread ended")?;
            if !status?.success() {
                return Err("a sync failed".into());
            }
            walls_s.push(wall.as_secs_f64());
        }
        Ok(())
    })?;
    let mut held = Vec::new();
    for (folder, address) in folders.iter().zip(&tenant.addresses) {
        let output = tenant.program(folder.path(), address, scale.times, "query --count")?.output()?;
        held.push(String::from_utf8(output.stdout)?.trim().parse()?);
    }
    Ok(tenant.figures(walls_s, held, limit))
}

/// A simulated tenant with a door for each process, and a note of who asked for what.
struct Tenant {
    simulator: Arc<Simulator>,
    asked: Arc<Mutex<Vec<Asked>>>,
    addresses: Vec<String>,
    calls: usize,
    necessary: usize,
    _runtime: Runtime,
}

struct Asked {
    at: Timestamp,
    process: usize,
    url: String,
    status: u16,
}

impl Asked {
    /// Whether asking again later could bring something else: the first try failed, or its record has changed since.
    fn is_outdated(&self, later: Timestamp, world: &World) -> bool {
        let id = self.url.split("/callRecords/").nth(1).and_then(|rest| rest.split(['/', '?']).next());
        let newest = |at| id.and_then(|id| world.visible_versions(id, at).last().copied());
        self.status != 200 || newest(self.at) != newest(later)
    }
}

impl Tenant {
    fn start(scale: Scale, processes: usize, limit: usize) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let simulator = Arc::new(Simulator::in_process(Settings {
            // Of 28 days 20 are workdays, and the others have six calls for a hundred of theirs.
            calls_per_day: scale.calls * 100 / 2048,
            days: 28,
            users: (scale.calls / 50).max(100),
            limits: Limits { app: Some(Rate { requests: limit, per: WINDOW }), ..Limits::documented() },
            ..Settings::default()
        }));
        let pages = PageSizes::default();
        let following = |items: usize, page: usize| items.div_ceil(page).saturating_sub(1);
        let expected = simulator.world().expected(simulator.now());
        let of_records: usize = expected
            .iter()
            .map(|call| {
                2 + following(call.session_ids.len(), pages.sessions)
                    + following(call.participant_ids.len(), pages.participants)
            })
            .sum();
        let necessary = expected.len().div_ceil(pages.list) + of_records;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut addresses = Vec::new();
        for process in 0..processes {
            let listener = httpd::bind_loopback(0)?;
            addresses.push(format!("http://{}", listener.local_addr()?));
            let (simulator, asked) = (simulator.clone(), asked.clone());
            let door = move |request| answer(simulator.clone(), asked.clone(), process, scale.delay, request);
            runtime.spawn(httpd::serve(listener, Router::new().fallback(door), std::future::pending()));
        }
        Ok(Self { simulator, asked, addresses, calls: expected.len(), necessary, _runtime: runtime })
    }

    #[expect(clippy::disallowed_methods, reason = "a file of a moment")]
    fn program(&self, folder: &Path, address: &str, times: usize, typed: &str) -> Result<Command> {
        let config = folder.join("config.toml");
        fs::write(&config, format!("[graph]\nrequests_per_20s = {}\n", SET * times))?;
        let mut program = Command::new(env!("CARGO_BIN_EXE_callvault"));
        program
            .env_clear()
            .env("HOME", folder)
            .env("AZURE_TENANT_ID", self.simulator.tenant_id())
            .env("AZURE_CLIENT_ID", self.simulator.client_id())
            .env("AZURE_CLIENT_SECRET", self.simulator.client_secret())
            .env("AZURE_AUTHORITY_HOST", address)
            .env("CALLVAULT_GRAPH_ENDPOINT", address)
            .arg("--quiet")
            .arg("--archive")
            .arg(folder.join("archive"))
            .arg("--config")
            .arg(config)
            .args(typed.split(' '))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        Ok(program)
    }

    fn figures(&self, walls_s: Vec<f64>, held: Vec<usize>, limit: usize) -> Figures {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last: HashMap<(usize, &str), &Asked> = HashMap::new();
        let (mut again_needed, mut again_needless) = (0, 0);
        for again in asked.iter() {
            match last.insert((again.process, &again.url), again) {
                Some(before) if before.is_outdated(again.at, self.simulator.world()) => again_needed += 1,
                Some(_) => again_needless += 1,
                None => {}
            }
        }
        let count = |is: &dyn Fn(&Asked) -> bool| asked.iter().filter(|asked| is(asked)).count();
        let processes = walls_s.len();
        Figures {
            calls: self.calls,
            held,
            requests: asked.len(),
            necessary: self.necessary * processes,
            list_pages: count(&|asked| asked.url.contains("callRecords?")),
            versions: count(&|asked| asked.url.contains("$select=id,version")),
            refused: count(&|asked| asked.status == 429),
            again_needed,
            again_needless,
            floor_s: as_f64(self.necessary * processes) / as_f64(limit) * WINDOW.as_secs_f64(),
            walls_s,
        }
    }
}

async fn answer(
    simulator: Arc<Simulator>,
    asked: Arc<Mutex<Vec<Asked>>>,
    process: usize,
    delay: Duration,
    request: Request,
) -> Response {
    let url = request.uri().to_string();
    if !delay.is_zero() {
        sleep(delay / 2).await;
    }
    let at = simulator.now();
    let answer = simulator.answer(request).await;
    if !url.contains("/oauth2/") {
        let asked_for = Asked { at, process, url, status: answer.status().as_u16() };
        asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked_for);
    }
    if !delay.is_zero() {
        sleep(delay / 2).await;
    }
    answer
}

struct Figures {
    calls: usize,
    held: Vec<usize>,
    requests: usize,
    necessary: usize,
    list_pages: usize,
    versions: usize,
    refused: usize,
    again_needed: usize,
    again_needless: usize,
    floor_s: f64,
    walls_s: Vec<f64>,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let wall_s = self.walls_s.iter().copied().fold(0.0, f64::max);
        write!(
            f,
            "{} calls, held {:?}; {} requests ({} list pages, {} looks whether the version is still the same), {} necessary; \
             floor {:.1} s, wall {:.1?} s, {:.4} times the floor; {} refused ({:.3} %); asked twice: {} needed, {} needless",
            self.calls,
            self.held,
            self.requests,
            self.list_pages,
            self.versions,
            self.necessary,
            self.floor_s,
            self.walls_s,
            wall_s / self.floor_s,
            self.refused,
            as_f64(self.refused) / as_f64(self.requests) * 100.0,
            self.again_needed,
            self.again_needless,
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures to be looked at")]
fn as_f64(number: usize) -> f64 {
    number as f64
}
