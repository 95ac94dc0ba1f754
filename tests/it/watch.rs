//! `sync --watch`: what is due when it is due, and what signals ask of it.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use callvault::{
    archive::{Archive, Folder},
    model::time::Age,
    simulate::{Fault, Planted, Weather},
};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Bench, ago, company, empty, end_of};

/// Far less than what a service would wait for by itself in these tests, far more than it takes to end.
const SOON: Duration = Duration::from_secs(60);

fn tell(service: &Child, signal: Signal) {
    kill_process(Pid::from_child(service), signal).unwrap();
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(100);
    while !is_so() {
        assert!(Instant::now() < patience, "it never came to this: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Starts a service whose words go into files beside the archive.
fn start(bench: &Bench, mut program: Command) -> Child {
    let file = |name: &str| Stdio::from(File::create(bench.beside(name)).unwrap());
    program.stdout(file("out")).stderr(file("err")).spawn().unwrap()
}

fn said(bench: &Bench, file: &str) -> String {
    fs::read_to_string(bench.beside(file)).unwrap()
}

fn rounds(bench: &Bench) -> usize {
    said(bench, "out").lines().filter(|line| line.contains(" requests, ")).count()
}

fn stops_soon(mut program: Child, code: i32, what: &str) {
    let told = Instant::now();
    tell(&program, Signal::TERM);
    assert_eq!(end_of(&mut program, "sync").code(), Some(code), "{what}");
    assert!(told.elapsed() < SOON, "{what}");
}

#[test]
fn a_service_looks_again_and_again_until_it_is_told_to_end() {
    let bench = Bench::new(company(6, 4));
    let mut service = bench.start("sync --watch --interval 1s");
    let looked = |times: u64| {
        while bench.simulator.requests().token < times {
            thread::sleep(Duration::from_millis(20));
        }
    };
    looked(1);
    bench.simulator.plant(Planted::meeting("meanwhile", ago(Age::hours(20))));
    looked(4);
    tell(&service, Signal::TERM);
    assert_eq!(end_of(&mut service, "sync --watch").code(), Some(0));
    bench.run("show meanwhile --raw").ends_with(0);
    let began = bench.sync();
    bench.assert_holds_the_world(began);
}

#[test]
fn a_service_asks_only_for_what_is_due() {
    let bench = Bench::new(company(12, 28));
    fs::write(bench.beside("config.toml"), "[graph]\nrequests_per_20s = 30000\n[sync]\nlist_all_rows = 0\n").unwrap();
    bench.sync();
    let before = bench.simulator.requests();
    let mut program = bench.program();
    program.args(["sync", "--watch", "--interval", "1s"]);
    let service = start(&bench, program);
    wait_until("six rounds", || rounds(&bench) >= 6);
    let asked = bench.simulator.requests();
    stops_soon(service, 0, "between rounds");
    // The hours of the last three, and perhaps one whose age has doubled; nothing of the 28 days before.
    let looks = asked.token - before.token;
    assert!(asked.list - before.list <= 3 * looks, "{} lists in {looks} looks", asked.list - before.list);
    assert!(asked.get - before.get <= 12, "{} records fetched again", asked.get - before.get);
    // Young days of a log wait for an hour: they were read once, at the first look.
    let logs = |counts: &callvault::simulate::Counts| -> u64 {
        callvault::simulate::LogKind::ALL.iter().map(|log| counts.of_log(*log)).sum()
    };
    assert!(logs(&asked) - logs(&before) <= 20, "{} pages of logs", logs(&asked) - logs(&before));
}

#[test]
fn a_service_stops_soon_wherever_it_is() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting("m", ago(Age::hours(30))));
    let mut program = bench.program();
    program.args(["sync", "--watch"]);
    let service = start(&bench, program);
    wait_until("the first round's end", || rounds(&bench) == 1);
    stops_soon(service, 0, "in a nap of a quarter of an hour");

    let long = Duration::from_secs(600);
    for (fault, what) in [
        (Fault::ThrottledSeconds, "told to stay away for ten minutes"),
        (Fault::SlowBody, "a Graph that takes ten minutes for an answer"),
    ] {
        let weather = Weather::only(&[fault], 1.0, 1);
        bench.simulator.set_weather(Weather { retry_after: long, slow_body: long, in_a_row_max: 1000, ..weather });
        for (arguments, code) in [("sync --watch --interval 1s", 0), ("sync", 3)] {
            let before = bench.simulator.requests().faults;
            let mut program = bench.program();
            program.args(arguments.split(' '));
            let program = start(&bench, program);
            wait_until(what, || bench.simulator.requests().faults > before);
            stops_soon(program, code, what);
        }
    }

    for (arguments, code) in [("sync --watch --interval 1s", 0), ("sync", 3)] {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut program = bench.program();
        program.env("AZURE_AUTHORITY_HOST", format!("http://{}", silent.local_addr().unwrap()));
        program.args(arguments.split(' '));
        let program = start(&bench, program);
        let _asked = silent.accept().unwrap();
        stops_soon(program, code, "a login host that never answers");
    }
}

#[test]
fn a_service_reads_its_configuration_again_when_it_is_told_to() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting("m", ago(Age::hours(30))));
    let config = |text: &str| fs::write(bench.beside("config.toml"), text).unwrap();
    let archive_is = |folder: &Path| format!("archive = {:?}\n", folder.display().to_string());
    let here = archive_is(&bench.archive());
    config(&format!("{here}[sync]\ninterval = \"1h\"\n"));
    // The archive is named by the file alone.
    let typed = bench.program();
    let mut program = Command::new(typed.get_program());
    program.env_clear().envs(typed.get_envs().filter_map(|(name, value)| Some((name, value?))));
    program.arg("--config").arg(bench.beside("config.toml")).args(["sync", "--watch"]);
    let service = start(&bench, program);
    wait_until("the first round's end", || rounds(&bench) == 1);

    config(&format!("{here}[sync]\ninterval = \"1s\"\n"));
    tell(&service, Signal::HUP);
    wait_until("rounds by the second", || rounds(&bench) >= 4);
    assert!(said(&bench, "err").contains("the configuration was read again"));

    for (wrong, told) in [
        (format!("{here}[sync]\ninterval = \"soon\"\n"), "interval"),
        (format!("{here}[sync\n"), "line 2"),
        (archive_is(&bench.beside("elsewhere")), "another archive"),
    ] {
        config(&wrong);
        let before = said(&bench, "err").matches("stays in force").count();
        tell(&service, Signal::HUP);
        wait_until("word of what is wrong", || said(&bench, "err").matches("stays in force").count() > before);
        assert!(said(&bench, "err").contains(told), "{}", said(&bench, "err"));
    }
    let so_far = rounds(&bench);
    wait_until("more rounds by the second", || rounds(&bench) > so_far + 1);
    stops_soon(service, 0, "after its configuration went wrong");
    // Whatever is due, not what notifications brought: nobody receives any.
    let runs = Archive::open(&Folder::new(&bench.archive())).unwrap().latest_runs(1000).unwrap();
    assert!(runs.iter().all(|run| run.command == "sync"), "{runs:?}");
    assert!(!bench.beside("elsewhere").exists());
}
