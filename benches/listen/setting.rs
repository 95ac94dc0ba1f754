//! A simulated tenant, and the program beside it.

use std::{
    fs::{self, File},
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use callvault::simulate::{Settings, Simulator};

use crate::Result;

/// More than is ever asked for.
const REQUESTS_PER_20S: u32 = 4_000_000;
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Setting {
    pub(crate) simulator: Simulator,
    pub(crate) port: u16,
    scratch: tempfile::TempDir,
}

impl Setting {
    pub(crate) fn new(settings: Settings) -> Result<Self> {
        let simulator = Simulator::start(settings)?;
        let scratch = tempfile::tempdir()?;
        let limits = format!(
            "[graph]\nrequests_per_20s = {REQUESTS_PER_20S}\nrecord_requests_per_20s = 1000\n[listen]\nrequests_per_s = 1000000\n"
        );
        File::create(scratch.path().join("config.toml"))?.write_all(limits.as_bytes())?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Self { simulator, port, scratch })
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.scratch.path().join("archive")
    }

    pub(crate) fn program(&self, arguments: &[&str]) -> Result<Command> {
        let said = |name: &str| -> Result<Stdio> {
            let file = File::options().create(true).append(true).open(self.scratch.path().join(name))?;
            Ok(Stdio::from(file))
        };
        let mut program = Command::new(env!("CARGO_BIN_EXE_callvault"));
        program
            .env_clear()
            .env("HOME", self.scratch.path())
            .env("AZURE_TENANT_ID", self.simulator.tenant_id())
            .env("AZURE_CLIENT_ID", self.simulator.client_id())
            .env("AZURE_CLIENT_SECRET", self.simulator.client_secret())
            .env("AZURE_AUTHORITY_HOST", self.simulator.url())
            .env("CALLVAULT_GRAPH_ENDPOINT", self.simulator.url())
            .arg("--archive")
            .arg(self.archive())
            .arg("--config")
            .arg(self.scratch.path().join("config.toml"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(said("out")?)
            .stderr(said("err")?);
        Ok(program)
    }

    /// A receiver, once it has its subscription.
    pub(crate) fn listen(&self, more: &[&str]) -> Result<Child> {
        let (bind, url) = (format!("127.0.0.1:{}", self.port), format!("http://localhost:{}/calls", self.port));
        let receiver = self.program(&[&["listen", "--bind", &bind, "--public-url", &url], more].concat())?.spawn()?;
        let began = Instant::now();
        while self.simulator.subscriptions().is_empty() {
            if began.elapsed() > PATIENCE {
                return Err(format!("no subscription: {}", self.said("err")).into());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(receiver)
    }

    pub(crate) fn said(&self, name: &str) -> String {
        fs::read_to_string(self.scratch.path().join(name)).unwrap_or_default()
    }
}

/// CPU time of a process so far, user and system.
pub(crate) fn cpu(process: &Child) -> Result<Duration> {
    let stat = fs::read_to_string(Path::new("/proc").join(process.id().to_string()).join("stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    // A hundred ticks a second, on every Linux there is.
    Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10))
}

/// The value below which a share of them lies; they are sorted.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list"
)]
pub(crate) fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    sorted.get((sorted.len().saturating_sub(1) as f64 * share) as usize).copied()
}
