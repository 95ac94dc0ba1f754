//! Disks that are full, too small, read-only, or whose clock goes wrong: one clear line, nothing acknowledged is lost, and the next
//! run heals.
//!
//! A small disk and a read-only one are mounted where nobody else sees them: in a mount namespace of their own, for which
//! Linux asks no privilege. A machine that does not give one skips those tests and says so, unless
//! `CALLVAULT_TEST_SKIPS=fail`.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use callvault::{
    archive::{Archive, Folder},
    model::{
        id::Seq,
        time::{Age, Timestamp},
    },
    simulate::{Planted, Settings},
};

use crate::{
    crash::assert_ledger_is_gapless,
    seal::grown_unsealed,
    support::{Bench, Ran, ago, bytes_of, company, files_under, finish},
};

/// Says on the real stderr, which the test runner does not swallow, that a test could not be made.
fn skip(why: &str) {
    assert!(std::env::var_os("CALLVAULT_TEST_SKIPS").is_none_or(|wish| wish != "fail"), "cannot be tested here: {why}");
    let name = thread::current().name().unwrap_or_default().to_owned();
    std::io::stderr().write_all(format!("SKIPPED {name}: {why}\n").as_bytes()).unwrap();
}

/// Mounts that only the program sees, kept by a process that waits for its end.
struct Namespace {
    keeper: Child,
    /// Whether it is one of users too, in which the program is root.
    of_users: bool,
}

impl Namespace {
    /// `script` mounts; `None` where the machine does not let it.
    fn with(script: &str, folder: &Path) -> Option<Self> {
        [true, false].into_iter().find_map(|of_users| {
            let mut unshare = Command::new("unshare");
            unshare.arg("--mount").args(of_users.then_some("--map-root-user"));
            unshare.args(["sh", "-c", &format!("{script} && echo ready && exec cat"), "sh"]).arg(folder);
            unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut keeper = unshare.spawn().ok()?;
            let mut said = [0; 6];
            if keeper.stdout.take()?.read_exact(&mut said).is_ok() {
                return Some(Self { keeper, of_users });
            }
            keeper.wait().ok()?;
            None
        })
    }

    /// An empty disk of this size where the archive is to be.
    fn small_disk(bench: &Bench, kib: u32) -> Option<Self> {
        fs::create_dir_all(bench.archive()).unwrap();
        let made = Self::with(&format!("mount -t tmpfs -o size={kib}k,mode=700 tmpfs \"$1\""), &bench.archive());
        if made.is_none() {
            skip("no mount namespace to be had, so no small disk");
        }
        made
    }

    /// The archive's own folder, in which nothing can be written.
    fn read_only(bench: &Bench) -> Option<Self> {
        let remount = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"";
        let made = Self::with(remount, &bench.archive());
        if made.is_none() {
            skip("no mount namespace to be had, so no read-only disk");
        }
        made
    }

    fn enter(&self) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--target", &self.keeper.id().to_string(), "--mount"]);
        nsenter.args(self.of_users.then_some("--user")).args(self.of_users.then_some("--preserve-credentials"));
        nsenter
    }

    fn run(&self, bench: &Bench, line: &str) -> Ran {
        let mut program = bench.program();
        program.args(line.split_whitespace());
        run_by(self.enter(), &program, line)
    }

    fn shell(&self, script: &str, folder: &Path) {
        let status = self.enter().args(["sh", "-c", script, "sh"]).arg(folder).status().unwrap();
        assert!(status.success(), "{script}");
    }

    /// The archive's files as the program left them.
    fn copy_out(&self, bench: &Bench, name: &str) -> PathBuf {
        let copy = bench.beside(name);
        let script = format!("cp -r \"$1\" '{}'", copy.display());
        self.shell(&script, &bench.archive());
        copy
    }

    /// Fills the disk but for so much.
    fn fill(&self, bench: &Bench, left_kib: u32) {
        let script = format!(
            "head -c {left_kib}k /dev/zero > \"$1/.callvault-room\"; cat /dev/zero > \"$1/.callvault-ballast\" 2> /dev/null; \
             rm \"$1/.callvault-room\""
        );
        self.shell(&script, &bench.archive());
    }

    fn make_room(&self, bench: &Bench) {
        self.shell("rm -f \"$1/.callvault-ballast\"; mount -o remount,size=200m tmpfs \"$1\"", &bench.archive());
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its input ends, and with it the namespace and what is mounted there.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Has `wrapper` run `program` with its environment.
fn run_by(mut wrapper: Command, program: &Command, typed: &str) -> Ran {
    wrapper.arg(program.get_program()).args(program.get_args()).env_clear();
    wrapper.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapper.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    finish(wrapper.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap(), typed)
}

/// Runs the program with files of at most so many KiB.
fn run_limited(bench: &Bench, kib: u32, line: &str) -> Ran {
    let mut program = bench.program();
    program.args(line.split_whitespace());
    let mut shell = Command::new("sh");
    // POSIX counts in blocks of 512 bytes.
    shell.args(["-c", &format!("ulimit -f {}; exec \"$@\"", kib * 2), "sh"]);
    run_by(shell, &program, line)
}

/// A command failed as the contract says: 1, one line and what to do, neither silence nor a panic.
fn assert_fails_clearly(ran: &Ran, told: &[&str]) {
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    assert!(told.iter().any(|told| ran.stderr.contains(told)), "{ran:?}");
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    let errors = ran.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    let hints = ran.stderr.lines().filter(|line| line.starts_with("hint: ")).count();
    assert_eq!((errors, hints), (1, 1), "{ran:?}");
}

/// The ledger's lines, which acknowledge what is stored; none where the archive has not begun.
fn ledger(folder: &Path) -> Vec<(Seq, String)> {
    Archive::open(&Folder::new(folder))
        .map(|archive| archive.entries_after(Seq(0), usize::from(u16::MAX)).unwrap())
        .unwrap_or_default()
}

fn assert_nothing_acknowledged_is_lost(before: &[(Seq, String)], folder: &Path) {
    let after = ledger(folder);
    assert!(after.starts_with(before), "{} entries, then {}", before.len(), after.len());
}

const DISK_TELLS: [&str; 3] = ["the disk is full", "disk refuses a write", "No space left on device"];

#[test]
fn a_disk_that_fills_up_under_a_sync_costs_nothing_that_was_stored() {
    for kib in [300, 2500, 5000] {
        let bench = Bench::new(company(14, 26));
        let Some(disk) = Namespace::small_disk(&bench, kib) else { return };
        assert_fails_clearly(&disk.run(&bench, "sync"), &DISK_TELLS);
        let before = ledger(&disk.copy_out(&bench, "full"));
        assert!(kib < 2500 || before.len() > 1, "nothing fitted into {kib} KiB");
        let code = disk.run(&bench, "verify").status.code();
        assert!(matches!(code, Some(0 | 2)), "on a full disk, verify ends with {code:?}");
        assert_fails_clearly(&disk.run(&bench, "sync"), &DISK_TELLS);

        disk.make_room(&bench);
        let began = bench.simulator.now();
        disk.run(&bench, "sync").ends_with(0);
        disk.run(&bench, "verify").ends_with(0);
        let healed = disk.copy_out(&bench, "healed");
        drop(disk);
        fs::remove_dir(bench.archive()).unwrap();
        fs::rename(healed, bench.archive()).unwrap();
        assert_nothing_acknowledged_is_lost(&before, &bench.archive());
        bench.assert_holds_the_world(began);
        assert_ledger_is_gapless(&bench);
    }
}

#[test]
fn a_full_disk_keeps_no_reader_out_and_no_reindex_from_healing() {
    let bench = Bench::new(company(10, 8));
    let Some(disk) = Namespace::small_disk(&bench, 40_000) else { return };
    disk.run(&bench, "sync").ends_with(0);
    let count = disk.run(&bench, "query --count").ends_with(0).line();
    let mut failed = 0;
    for left_kib in [0, 120, 300, 600, 900] {
        disk.fill(&bench, left_kib);
        let reindexed = disk.run(&bench, "reindex");
        if reindexed.status.code() != Some(0) {
            assert_fails_clearly(&reindexed, &DISK_TELLS);
            failed += 1;
        }
        for line in ["query --count", "verify", "status"] {
            let ran = disk.run(&bench, line);
            assert!(matches!(ran.status.code(), Some(0 | 3)), "{left_kib} KiB left: {ran:?}");
        }
        disk.make_room(&bench);
        disk.run(&bench, "reindex").ends_with(0);
        disk.run(&bench, "verify").ends_with(0);
        assert_eq!(disk.run(&bench, "query --count").ends_with(0).line(), count);
    }
    assert!(failed >= 3, "the disk was not full");
}

#[test]
fn an_index_that_finds_no_room_is_told_and_the_records_are_kept_all_the_same() {
    let mut failed = 0;
    for kib in [8, 40, 64, 80] {
        let bench = Bench::new(company(10, 8));
        bench.run("sync --source people").ends_with(0);
        let index = bench.archive().join("index");
        fs::remove_dir_all(&index).unwrap();
        fs::create_dir(&index).unwrap();
        let Some(disk) = Namespace::with(&format!("mount -t tmpfs -o size={kib}k tmpfs \"$1\""), &index) else {
            return skip("no mount namespace to be had, so no small disk");
        };
        let began = bench.simulator.now();
        let ran = disk.run(&bench, "sync");
        if ran.status.code() != Some(0) {
            assert_fails_clearly(&ran, &["No space left on device"]);
            assert!(ran.stderr.contains("no record is lost"), "{ran:?}");
            failed += 1;
        }
        drop(disk);
        bench.assert_holds_the_world(began);
        bench.sync();
        bench.run("verify").ends_with(0);
        let count = bench.simulator.world().expected(began).len();
        let found = bench.args(&["query", "type:groupCall OR type:peerToPeer", "--count"]).ends_with(0).line();
        assert!(found.parse::<usize>().unwrap() >= count, "{found} of {count}");
    }
    assert!(failed >= 2, "there was room for the index");
}

/// The files of sealed months that somebody would see.
fn sealed_in(archive: &Path) -> Vec<PathBuf> {
    let folder = archive.join("sealed");
    let mut files = if folder.is_dir() { files_under(&folder) } else { Vec::new() };
    files.retain(|file| !file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".callvault-")));
    files
}

#[test]
fn a_disk_that_is_full_while_a_month_is_sealed_costs_nothing_and_shows_no_half_file() {
    let bench = grown_unsealed(company(8, 20));
    let before = ledger(&bench.archive());
    let script = "cp -r \"$1\" \"$1.grown\" && mount -t tmpfs -o size=60000k,mode=700 tmpfs \"$1\" && cp -r \"$1.grown/.\" \"$1\"";
    let Some(disk) = Namespace::with(script, &bench.archive()) else {
        return skip("no mount namespace to be had, so no small disk");
    };
    let whole = disk.run(&bench, "export --format ndjson --versions all").ends_with(0).text();
    let mut failed = 0;
    for left_kib in [0, 40, 80, 120, 200, 300] {
        disk.fill(&bench, left_kib);
        let sealed = disk.run(&bench, "seal");
        if sealed.status.code() != Some(0) {
            assert_fails_clearly(&sealed, &DISK_TELLS);
            failed += 1;
        }
        let copy = disk.copy_out(&bench, &format!("full-{left_kib}"));
        let status = sealed_in(&copy);
        assert!(matches!(status.len(), 0 | 2), "{left_kib} KiB left: {status:?}");
        assert_nothing_acknowledged_is_lost(&before, &copy);
        disk.run(&bench, "verify").ends_with(0);
        assert_eq!(disk.run(&bench, "export --format ndjson --versions all").ends_with(0).text(), whole);
        disk.make_room(&bench);
    }
    assert!(failed >= 2, "the disk was not full");
    disk.run(&bench, "seal").ends_with(0);
    disk.run(&bench, "verify").ends_with(0);
    assert_eq!(disk.run(&bench, "export --format ndjson --versions all").ends_with(0).text(), whole);
    assert_eq!(sealed_in(&disk.copy_out(&bench, "sealed")).len(), 2);
}

#[test]
fn a_limit_on_file_sizes_leaves_no_half_of_a_sealed_month() {
    let bench = grown_unsealed(company(5, 20));
    assert_fails_clearly(&run_limited(&bench, 8, "seal"), &["limit on file sizes", "File too large"]);
    assert_eq!(sealed_in(&bench.archive()), [] as [PathBuf; 0]);
    bench.run("verify").ends_with(0);
    bench.run("seal").ends_with(0);
    bench.run("verify").ends_with(0);
}

#[test]
fn a_limit_on_file_sizes_ends_a_sync_with_a_line_and_not_by_its_signal() {
    for kib in [4, 700, 1500] {
        let bench = Bench::new(company(14, 26));
        assert_fails_clearly(&run_limited(&bench, kib, "sync"), &["limit on file sizes", "File too large"]);
        let before = ledger(&bench.archive());
        let code = bench.run("verify").status.code();
        assert!(matches!(code, Some(0 | 2)), "at {kib} KiB, verify ends with {code:?}");
        let began = bench.sync();
        assert_nothing_acknowledged_is_lost(&before, &bench.archive());
        bench.assert_holds_the_world(began);
        bench.run("verify").ends_with(0);
        assert_ledger_is_gapless(&bench);
    }
}

#[test]
fn a_limit_on_file_sizes_leaves_no_half_of_an_export_and_no_half_of_an_index() {
    let bench = Bench::new(company(10, 8));
    bench.sync();
    for format in ["ndjson", "csv", "parquet --rows streams", "xlsx --rows streams"] {
        let output = bench.beside("out");
        let export = format!("export --format {format} --output {}", output.display());
        assert_fails_clearly(&run_limited(&bench, 16, &export), &["File too large"]);
        assert!(!output.exists(), "{format}");
        let beside = fs::read_dir(output.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(beside.filter(|name| name.to_string_lossy().starts_with(".callvault-")).count() == 0, "half a file");
    }
    for kib in [40, 200, 1000] {
        let ran = run_limited(&bench, kib, "reindex");
        if ran.status.code() != Some(0) {
            assert_fails_clearly(&ran, &["limit on file sizes", "File too large"]);
        }
        bench.run("reindex").ends_with(0);
        bench.run("verify").ends_with(0);
    }
}

#[test]
fn an_archive_on_a_read_only_disk_is_read_and_not_touched() {
    let bench = Bench::new(company(5, 3));
    bench.sync();
    let before = bytes_of(&bench.archive());
    let Some(disk) = Namespace::read_only(&bench) else { return };
    for line in ["sync", "reindex"] {
        assert_fails_clearly(&disk.run(&bench, line), &["Read-only file system", "cannot be written"]);
    }
    for line in ["query --count", "query type:groupCall", "verify", "status", "export --format ndjson"] {
        disk.run(&bench, line).ends_with(0);
    }
    assert!(bytes_of(&bench.archive()) == before, "something was written");
    drop(disk);
    let began = bench.sync();
    bench.assert_holds_the_world(began);
}

#[test]
fn an_archive_cut_off_in_mid_write_is_read_on_a_read_only_disk_or_says_what_it_needs() {
    let bench = Bench::new(company(14, 26));
    let mut sync = bench.start("sync");
    while ledger(&bench.archive()).len() < 20 {
        thread::sleep(Duration::from_millis(5));
    }
    sync.kill().unwrap();
    sync.wait().unwrap();
    let before = ledger(&bench.archive());
    let Some(disk) = Namespace::read_only(&bench) else { return };
    for line in ["query --count", "verify"] {
        disk.run(&bench, line).ends_with(0);
    }
    drop(disk);
    // A copy that took the log and left out what SQLite makes again.
    fs::remove_file(bench.archive().join("archive.db-shm")).unwrap();
    let Some(disk) = Namespace::read_only(&bench) else { return };
    for line in ["query --count", "verify", "status"] {
        assert_fails_clearly(&disk.run(&bench, line), &["was not closed in order"]);
    }
    drop(disk);
    assert_nothing_acknowledged_is_lost(&before, &bench.archive());
    let began = bench.sync();
    bench.assert_holds_the_world(began);
    bench.run("verify").ends_with(0);
}

#[test]
fn an_archive_in_a_folder_of_somebody_else_is_read_and_not_touched() {
    if rustix::process::getuid().is_root() {
        return skip("root may write everywhere; the read-only disk is tested all the same");
    }
    let bench = Bench::new(company(5, 3));
    bench.sync();
    let modes = |folder: u32, file: u32| {
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for path in bytes_of(&bench.archive()).into_keys() {
            set(&path, file);
        }
        set(&bench.archive().join("index"), folder);
        set(&bench.archive(), folder);
    };
    let before = bytes_of(&bench.archive());
    modes(0o500, 0o400);
    for line in ["sync", "reindex"] {
        assert_fails_clearly(&bench.run(line), &["Permission denied", "cannot be written"]);
    }
    for line in ["query --count", "verify", "status", "export --format ndjson"] {
        bench.run(line).ends_with(0);
    }
    modes(0o700, 0o600);
    assert!(bytes_of(&bench.archive()) == before, "something was written");
    let began = bench.sync();
    bench.assert_holds_the_world(began);
}

#[test]
fn a_clock_that_is_set_back_loses_and_doubles_nothing() {
    let bench = Bench::new(company(12, 10));
    bench.simulator.advance(Age::days(3));
    bench.sync();
    let before = ledger(&bench.archive());

    bench.simulator.advance(Age::days(-3));
    bench.run("sync").ends_with(0);
    bench.run("verify").ends_with(0);
    let visible_at = bench.simulator.now() + Age::hours(30);
    let late = Planted::meeting("late", ago(Age::hours(30))).visible_at(visible_at);
    bench.simulator.plant(late);
    bench.run("sync").ends_with(0);

    bench.simulator.advance(Age::days(3));
    let began = bench.sync();
    assert_nothing_acknowledged_is_lost(&before, &bench.archive());
    bench.assert_holds_the_world(began);
    bench.run("show late --raw").ends_with(0);
    bench.run("verify").ends_with(0);
    assert_ledger_is_gapless(&bench);
}

#[test]
fn a_local_clock_that_is_wrong_by_weeks_costs_no_record() {
    for days in [-20, 20] {
        // Graph's clock is days away from this machine's; the world goes by Graph's.
        let now = Timestamp::now() + Age::days(days);
        let bench = Bench::new(Settings { start_clock: Some(now), ..company(10, 8) });
        let began = bench.sync();
        bench.assert_holds_the_world(began);
        bench.simulator.advance(Age::days(2));
        let began = bench.sync();
        bench.assert_holds_the_world(began);
        bench.run("verify").ends_with(0);
        assert_ledger_is_gapless(&bench);
        // What asks Graph for nothing reckons by its clock all the same.
        let status = bench.run("status --format json").ends_with(0).json();
        let off_s = status["clock_off_s"].as_i64().unwrap();
        assert!((off_s - (days + 2) * 86_400).abs() < 300, "{off_s} s for {days} days");
        let (calls, none) = (&status["sources"][0], serde_json::json!([]));
        assert_eq!((&calls["gaps"], &calls["at_risk"], &calls["lost"]), (&none, &none, &none), "{days}");
        let way = if days < 0 { "ahead of" } else { "behind" };
        for command in ["status", "failures", "sync --dry-run", "sync"] {
            bench.run(command).ends_with(0).telling("this machine's clock is").telling(way);
        }
        bench.simulator.plant(Planted::meeting("young", bench.simulator.now() - Age::hours(9)));
        let began = bench.sync();
        bench.assert_holds_the_world(began);
    }
}
