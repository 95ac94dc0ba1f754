//! The bench: a simulated Graph, an archive's folder, and the program as it is typed.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use callvault::{
    model::time::{Age, Timestamp},
    simulate::{ExpectedCall, Limits, Settings, Simulator, Weather},
};
use serde_json::Value;
use tempfile::TempDir;

/// No command of the suite takes longer, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(150);

/// Budgets that nobody waits for: the pace has tests of its own, beside the code.
pub(crate) const CONFIG: &str =
    "[graph]\nrequests_per_20s = 30000\nrecord_requests_per_20s = 1000\nrecord_pages_per_5min = 1000\n";

/// A simulator and an archive beside it.
pub(crate) struct Bench {
    pub(crate) simulator: Simulator,
    folder: TempDir,
    secret: String,
}

/// A world without calls but those that a test plants.
pub(crate) fn empty() -> Settings {
    Settings { calls_per_day: 0, users: 30, ..company(1, 1) }
}

/// A world with calls of its own, up to now by the wall clock, in fair weather and without throttling.
pub(crate) fn company(calls_per_day: u32, days: u32) -> Settings {
    Settings {
        users: 40,
        calls_per_day,
        days,
        limits: Limits::off(),
        weather: mild(Weather::calm()),
        ..Settings::default()
    }
}

/// The weather with waits that a test has time for.
pub(crate) fn mild(weather: Weather) -> Weather {
    Weather { retry_after: Duration::ZERO, slow_body: Duration::from_millis(30), ..weather }
}

/// A moment of the last days, on the full second.
pub(crate) fn ago(age: Age) -> Timestamp {
    (Timestamp::now() - age).floor_to(Age::seconds(1))
}

impl Bench {
    pub(crate) fn new(settings: Settings) -> Self {
        let simulator = Simulator::start(settings).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        std::fs::write(folder.path().join("config.toml"), CONFIG).unwrap();
        let secret = simulator.client_secret().to_owned();
        Self { simulator, folder, secret }
    }

    /// The same with another secret than the registered one.
    #[must_use]
    pub(crate) fn with_secret(self, secret: &str) -> Self {
        Self { secret: secret.to_owned(), ..self }
    }

    /// The folder of the archive.
    pub(crate) fn archive(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    /// A file beside the archive.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with its environment, before any argument.
    pub(crate) fn program(&self) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_callvault"));
        program
            .env_clear()
            .env("HOME", self.folder.path().join("home"))
            .env("AZURE_TENANT_ID", self.simulator.tenant_id())
            .env("AZURE_CLIENT_ID", self.simulator.client_id())
            .env("AZURE_CLIENT_SECRET", &self.secret)
            .env("AZURE_AUTHORITY_HOST", self.simulator.url())
            .env("CALLVAULT_GRAPH_ENDPOINT", self.simulator.url())
            // Where nothing else is set the machine's metadata is asked: never a real one by a test.
            .env("AZURE_POD_IDENTITY_AUTHORITY_HOST", self.simulator.url())
            .arg("--archive")
            .arg(self.archive())
            .arg("--config")
            .arg(self.folder.path().join("config.toml"))
            .stdin(Stdio::null());
        program
    }

    /// Runs a command line of words without spaces.
    pub(crate) fn run(&self, line: &str) -> Ran {
        self.args(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn args(&self, args: &[&str]) -> Ran {
        let mut program = self.program();
        program.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(program.spawn().unwrap(), &args.join(" "))
    }

    /// Starts a command line without waiting for its end; what it says is thrown away.
    pub(crate) fn start(&self, line: &str) -> Child {
        let mut program = self.program();
        program.args(line.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Pulls everything, and says when it began by the simulator's clock.
    pub(crate) fn sync(&self) -> Timestamp {
        let began = self.simulator.now();
        self.run("sync").ends_with(0);
        began
    }

    /// The archived JSON of a record's newest version.
    pub(crate) fn raw(&self, id: &str) -> String {
        self.run(&format!("show {id} --raw")).ends_with(0).line()
    }

    pub(crate) fn raw_value(&self, id: &str) -> Value {
        serde_json::from_str(&self.raw(id)).unwrap()
    }

    /// The one source of `status`; the command may end with any code.
    pub(crate) fn calls_status(&self) -> Value {
        self.run("status --format json").json()["sources"][0].clone()
    }

    /// The archive holds exactly what the world says: every call in its last version, with all sessions and participants.
    ///
    /// What changed in the world after `began`, when the last sync set out, may be in the archive or not.
    pub(crate) fn assert_holds_the_world(&self, began: Timestamp) {
        let held: BTreeMap<String, ExpectedCall> =
            self.newest().into_iter().map(|call| (call.id.clone(), call)).collect();
        let world = self.simulator.world();
        let expected = world.expected(self.simulator.now());
        assert!(!expected.is_empty(), "the world has no calls");
        for call in &expected {
            let before = world.expected_call(&call.id, began);
            let in_doubt = before.as_ref().map(|call| call.version) != Some(call.version);
            match held.get(&call.id) {
                Some(held) => {
                    assert!(held == call || (in_doubt && Some(held) == before.as_ref()), "{held:?}\nis not\n{call:?}");
                }
                None => assert!(in_doubt && before.is_none(), "{} is missing", call.id),
            }
        }
        for id in held.keys() {
            assert!(expected.iter().any(|call| call.id == *id), "the world does not know {id}");
        }
    }

    /// The newest version of each record, read from what `export` writes.
    fn newest(&self) -> Vec<ExpectedCall> {
        let lines = self.run("export --kind call --format ndjson").ends_with(0).text();
        lines.lines().map(|line| told(&serde_json::from_str(line).unwrap())).collect()
    }
}

/// What a body says, in the words of the truth.
pub(crate) fn told(record: &Value) -> ExpectedCall {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let sessions = record["sessions"].as_array().unwrap();
    ExpectedCall {
        id: text(&record["id"]),
        version: record["version"].as_i64().unwrap(),
        start: Timestamp::parse(record["startDateTime"].as_str().unwrap()).unwrap(),
        end: Timestamp::parse(record["endDateTime"].as_str().unwrap()).unwrap(),
        call_type: text(&record["type"]),
        organizer_id: record["organizer_v2"]["id"].as_str().map(str::to_owned),
        session_ids: ids(&record["sessions"]),
        participant_ids: ids(&record["participants_v2"]),
        failed: sessions.iter().any(|session| !session["failureInfo"].is_null()),
        segments: sessions.iter().map(|session| session["segments"].as_array().map_or(0, Vec::len)).sum(),
    }
}

/// The ids of a list of things that have one.
pub(crate) fn ids(items: &Value) -> Vec<String> {
    items.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) typed: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    /// Fails the test unless the exit code is this one.
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(
            self.status.code(),
            Some(code),
            "callvault {}\nstdout: {}\nstderr: {}",
            self.typed,
            String::from_utf8_lossy(&self.stdout).chars().take(2000).collect::<String>(),
            self.stderr
        );
        self
    }

    /// Fails the test unless stderr has this text.
    pub(crate) fn telling(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "callvault {} does not tell '{text}' but: {}", self.typed, self.stderr);
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    /// What stdout says, which is one line.
    pub(crate) fn line(&self) -> String {
        let text = self.text();
        let line = text.strip_suffix('\n').unwrap_or(&text);
        assert!(!line.contains('\n'), "more than one line: {text}");
        line.to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Waits for the end of a command whose output is piped; one that hangs is ended and fails the test.
pub(crate) fn finish(mut child: Child, typed: &str) -> Ran {
    let mut stdout_pipe = child.stdout.take().unwrap();
    let mut stderr_pipe = child.stderr.take().unwrap();
    let stdout = thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout_pipe.read_to_end(&mut bytes).map(|_| bytes)
    });
    let stderr = thread::spawn(move || {
        let mut bytes = Vec::new();
        stderr_pipe.read_to_end(&mut bytes).map(|_| bytes)
    });
    let status = end_of(&mut child, typed);
    let stderr = String::from_utf8_lossy(&stderr.join().unwrap().unwrap()).into_owned();
    Ran { typed: typed.to_owned(), status, stdout: stdout.join().unwrap().unwrap(), stderr }
}

/// Waits for the end of a process, within reason.
pub(crate) fn end_of(child: &mut Child, typed: &str) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("callvault {typed} did not end within {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Every file of a folder and its folders.
pub(crate) fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files
}

/// Every file of a folder with its bytes.
pub(crate) fn bytes_of(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files_under(folder).into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
}
