//! A receiver that listens, as the tests of `listen` and of what it keeps want it.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use callvault::{
    archive::{Folder, inbox},
    model::time::Timestamp,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Bench, end_of};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(100);

pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "it never came to this: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A port that nobody has at the moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A receiver of a bench; what it says goes into files beside the archive.
pub(crate) struct Listening<'a> {
    bench: &'a Bench,
    pub(crate) port: u16,
    child: Child,
    name: String,
}

impl<'a> Listening<'a> {
    pub(crate) fn start(bench: &'a Bench, more: &str) -> Self {
        Self::at(bench, free_port(), "http", more)
    }

    pub(crate) fn at(bench: &'a Bench, port: u16, scheme: &str, more: &str) -> Self {
        let mut program = bench.program();
        program.args(["listen", "--bind", &format!("127.0.0.1:{port}")]);
        program.args(["--public-url", &format!("{scheme}://localhost:{port}/calls")]);
        program.args(more.split_whitespace());
        let listening = Self::of(bench, port, program);
        wait_until("a subscription", || listening.kept().len() == 1);
        listening
    }

    pub(crate) fn of(bench: &'a Bench, port: u16, mut program: Command) -> Self {
        let name = format!("listen-{port}-{}", Timestamp::now().0);
        let file = |end: &str| Stdio::from(File::create(bench.beside(&format!("{name}.{end}"))).unwrap());
        let child = program.stdout(file("out")).stderr(file("err")).spawn().unwrap();
        let listening = Self { bench, port, child, name };
        wait_until("a receiver", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        listening
    }

    /// The subscriptions that lead here.
    pub(crate) fn kept(&self) -> Vec<String> {
        let here = format!("localhost:{}/", self.port);
        let all = self.bench.simulator.subscriptions();
        all.into_iter().filter(|kept| format!("{kept:?}").contains(&here)).map(|kept| kept.id).collect()
    }

    pub(crate) fn said(&self, end: &str) -> String {
        fs::read_to_string(self.bench.beside(&format!("{}.{end}", self.name))).unwrap()
    }

    /// What it took of the processors so far.
    pub(crate) fn processor_time(&self) -> Duration {
        let told = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after_name = told.rsplit_once(')').unwrap().1;
        let ticks: u64 =
            after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        // A hundred of them are a second.
        Duration::from_millis(ticks * 10)
    }

    pub(crate) fn tell(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn stops(mut self, code: i32) {
        self.tell(Signal::TERM);
        let ended = end_of(&mut self.child, "listen");
        assert_eq!(ended.code(), Some(code), "{}", self.said("err"));
    }

    pub(crate) fn ends_by_kill(mut self) {
        self.tell(Signal::KILL);
        end_of(&mut self.child, "listen");
    }

    /// Posts `body` and gives the answer whole.
    pub(crate) fn post(&self, path: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        self.ask(&format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"))
    }

    pub(crate) fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // An answer may come before all was sent.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        // A test that failed leaves nobody behind; one that has ended is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn holds(bench: &Bench, id: &str, version: i64) -> bool {
    let shown = bench.run("query --format ndjson --limit 0");
    shown.text().lines().any(|line| {
        let hit: serde_json::Value = serde_json::from_str(line).unwrap();
        hit["id"] == id && hit["version"].as_i64() >= Some(version)
    })
}

pub(crate) fn facts(bench: &Bench) -> inbox::Facts {
    inbox::facts(&Folder::new(&bench.archive())).unwrap().unwrap()
}

pub(crate) fn tally(bench: &Bench, tally: inbox::Tally) -> u64 {
    facts(bench).tallies[tally.name()]
}

pub(crate) fn id(number: u32) -> String {
    format!("5b1c2f6e-0000-4000-8000-{number:012}")
}

/// A bench whose services hear of nothing by listing: the next look is an hour away.
pub(crate) const BY_NOTIFICATION: &str = "--interval 1h";
