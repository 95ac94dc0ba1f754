//! How the archive stands: the place, who may look into it, the files, what is covered, and how the last sync went.

use crate::{
    archive::{self, Archive, Folder, Site, coverage::Coverage, runs::Run},
    doctor::check::{Check, Risk},
    model::{
        retention::Retention,
        source::Source,
        time::{Age, Timestamp},
    },
    search::{self, Index},
};

/// Runs looked through for the last sync.
const RUNS: usize = 100;
/// Versions that the index may lack before it is worth a word: what a query reads beside it without being slow.
const INDEX_BEHIND_MAX: u64 = 5_000;
/// Room that is left for fewer days than this is worth a word; for fewer than the second, it is at risk.
const ROOM_WARN_DAYS: u64 = 60;
const ROOM_FAIL_DAYS: u64 = 7;
/// Room for less than this is at risk, however slowly the archive grows.
const ROOM_FAIL_BYTES: u64 = 256 * 1024 * 1024;
/// Graph keeps calls for 30 days: a sync that did not run for so long leaves a week to notice.
const SYNC_OVERDUE: Age = Age::days(7);

/// An archive as far as it can be opened.
pub struct Holding {
    folder: Folder,
    site: Site,
    archive: Option<archive::Result<Archive>>,
}

impl Holding {
    #[must_use]
    pub fn look(folder: &Folder) -> Self {
        let site = folder.site();
        let archive = (site == Site::Archive).then(|| Archive::open(folder));
        Self { folder: folder.clone(), site, archive }
    }

    /// The sources that it has or had records of.
    #[must_use]
    pub fn kept(&self) -> Vec<Source> {
        let Some(Ok(archive)) = &self.archive else { return Vec::new() };
        Source::ALL.into_iter().filter(|source| is_kept(archive, *source).unwrap_or(false)).collect()
    }
}

fn is_kept(archive: &Archive, source: Source) -> archive::Result<bool> {
    if !source.is_of_events() {
        return Ok(archive.delta(source)?.is_some());
    }
    Ok(archive.facts(source)?.listings.iter().any(|listing| listing.listed.is_some()))
}

/// Examines it; `now` is Microsoft's time where that is known. Never fails: what fails is a finding.
#[must_use]
pub fn archive_checks(holding: &Holding, now: Timestamp, retention: &Retention) -> Vec<Check> {
    let folder = &holding.folder;
    let mut checks = vec![site(holding)];
    let Some(Ok(archive)) = &holding.archive else {
        if holding.site == Site::Free {
            checks.push(disk(folder, None));
        }
        return checks;
    };
    let in_use = folder.is_in_use();
    checks.push(private(folder));
    checks.push(lock(folder, &in_use));
    let covered = Source::ALL.map(|source| (source, archive.coverage(source, now, retention)));
    checks.push(disk(folder, daily_bytes(archive, &covered)));
    checks.push(database(archive));
    checks.push(index(archive));
    checks.push(rows(archive));
    for (source, coverage) in &covered {
        checks.push(coverage_check(archive, *source, coverage, retention, now));
    }
    let is_writing = in_use.unwrap_or(false);
    checks.push(last_sync(&archive.latest_runs(RUNS), is_writing, now));
    checks
}

fn site(holding: &Holding) -> Check {
    let path = holding.folder.path().display();
    match (&holding.site, &holding.archive) {
        (Site::Free, _) => Check::ok("archive", format!("none in {path} yet; the first sync makes it")),
        (Site::Foreign, _) => Check::fail(
            "archive",
            format!("{path} is not empty and holds no archive"),
            "name an empty folder, or one that does not exist, with --archive DIR",
            Risk::Settings,
        ),
        (Site::Closed(ancestor), _) => Check::fail(
            "archive",
            format!("{path} cannot be made: this user may not write in {}", ancestor.display()),
            format!("make it as root and give it to this user: install -d -m 700 -o \"$(id -un)\" {path}"),
            Risk::Settings,
        ),
        (Site::Archive, Some(Ok(archive))) => match archive.format() {
            Ok(format) => Check::ok("archive", format!("{path}, schema {format}")),
            Err(error) => failed("archive", &error),
        },
        (Site::Archive, Some(Err(archive::Error::Missing(_)))) => {
            Check::ok("archive", format!("{path} was begun and never written; the first sync goes on"))
        }
        (Site::Archive, Some(Err(error))) => failed("archive", error),
        (Site::Archive, None) => Check::skipped("archive", format!("{path} was not opened")),
    }
}

fn failed(check: &str, error: &archive::Error) -> Check {
    let (mend, risk) = match error {
        error if error.is_damage() => (
            "keep the folder as it is, and list what is damaged with: callvault verify; then compare with the latest backup",
            Risk::Integrity,
        ),
        archive::Error::Newer { .. } => ("use the callvault that made it, or a later one", Risk::Settings),
        _ => ("check that this user may read the folder and that its disk is well", Risk::Settings),
    };
    Check::fail(check, error.to_string(), mend, risk)
}

fn private(folder: &Folder) -> Check {
    match folder.open_to_others() {
        Ok(open) if open.is_empty() => Check::ok("folder", "nobody but its owner can read it"),
        Ok(open) => {
            let named: Vec<_> =
                open.iter().take(3).map(|(path, mode)| format!("{} ({mode:04o})", path.display())).collect();
            let more = if open.len() > named.len() {
                format!(" and {} more", open.len() - named.len())
            } else {
                String::new()
            };
            Check::warn(
                "folder",
                format!("others may look into it: {}{more}; call records are personal data", named.join(", ")),
                format!("chmod -R go= {}", folder.path().display()),
            )
        }
        Err(error) => failed("folder", &error),
    }
}

fn lock(folder: &Folder, in_use: &archive::Result<bool>) -> Check {
    match in_use {
        Ok(false) => Check::ok("lock", "nobody writes"),
        Ok(true) => Check::fail(
            "lock",
            "another process writes to the archive at this moment",
            format!("wait until it ends; who it is says: fuser -v {}", folder.path().join("lock").display()),
            Risk::InUse,
        ),
        Err(error) => failed("lock", error),
    }
}

/// What a day of calls takes, all in.
fn daily_bytes(archive: &Archive, covered: &[(Source, archive::Result<Coverage>)]) -> Option<u64> {
    let calls = covered.iter().find(|(source, _)| *source == Source::Calls)?.1.as_ref().ok()?;
    let hours: i64 = calls.covered.iter().map(|span| (span.to - span.from).0 / Age::hours(1).0).sum();
    let sizes = archive.sizes();
    (hours >= 24).then(|| (sizes.database_bytes + sizes.index_bytes) * 24 / hours.unsigned_abs())
}

fn disk(folder: &Folder, daily_bytes: Option<u64>) -> Check {
    let free = match folder.free_bytes() {
        Ok(free) => free,
        Err(error) => return failed("disk", &error),
    };
    let days = daily_bytes.filter(|daily| *daily > 0).map(|daily| free / daily);
    let lasting = days.map_or_else(String::new, |days| match days {
        0..=3650 => format!(", room for {days} days at {} MB a day", daily_bytes.unwrap_or(0).div_ceil(1_000_000)),
        _ => ", room for more than ten years".to_owned(),
    });
    let finding = format!("{} MB free{lasting}", free / 1_000_000);
    let mend = "move the archive to a larger disk, or make room on this one";
    if free < ROOM_FAIL_BYTES || days.is_some_and(|days| days < ROOM_FAIL_DAYS) {
        Check::fail("disk", finding, mend, Risk::Incomplete)
    } else if days.is_some_and(|days| days < ROOM_WARN_DAYS) {
        Check::warn("disk", finding, mend)
    } else {
        Check::ok("disk", finding)
    }
}

/// SQLite's quick look, and whether the ledger still has its end.
fn database(archive: &Archive) -> Check {
    let look = || {
        let faults = archive.database_faults(true)?;
        Ok((faults, archive.head()?, archive.last_seq_given()?))
    };
    let mend = "keep the folder as it is, and list all that is damaged with: callvault verify";
    match look() {
        Ok((faults, ..)) if !faults.is_empty() => {
            Check::fail("database", format!("it is damaged: {}", faults[0]), mend, Risk::Integrity)
        }
        Ok((_, head, given)) if head != given => {
            let finding = format!("the ledger ends at {head}, and went to {given} once");
            Check::fail("database", finding, mend, Risk::Integrity)
        }
        Ok((_, head, _)) => Check::ok("database", format!("sound at a quick look; {head} ledger entries")),
        Err(error) => failed("database", &error),
    }
}

fn index(archive: &Archive) -> Check {
    let reindex = "make it anew with: callvault reindex";
    let index = match Index::open(&archive.folder().index()) {
        Ok(search::State::Ready(index)) => index,
        Ok(search::State::Missing) => {
            return Check::warn("index", "there is no search index; the next sync makes it", reindex);
        }
        Ok(search::State::OtherSchema) => {
            return Check::warn("index", "another version of callvault made it; the next sync makes it anew", reindex);
        }
        Ok(search::State::Damaged(why)) => {
            return Check::fail("index", format!("it is damaged: {why}"), reindex, Risk::Integrity);
        }
        Err(error) => {
            return Check::fail("index", error.to_string(), "check that this user may read it", Risk::Settings);
        }
    };
    let place = || Ok((archive.head()?, archive.versions_after(index.position())?));
    match place() {
        Ok((head, _)) if index.position() > head => {
            let finding = format!("it has followed the ledger to {}, the ledger ends at {head}", index.position());
            Check::fail("index", finding, "find out what became of the archive with: callvault verify", Risk::Integrity)
        }
        Ok((_, 0)) => Check::ok("index", "knows all that is stored"),
        Ok((_, behind)) if behind <= INDEX_BEHIND_MAX => {
            Check::ok("index", format!("lacks the latest {behind} versions; queries read them beside it"))
        }
        Ok((_, behind)) => {
            Check::warn("index", format!("lacks {behind} versions"), "let it catch up with: callvault sync")
        }
        Err(error) => failed("index", &error),
    }
}

/// The directory tells of changes for some weeks; whoever was renamed since is not found under the new name.
const STALE_DIRECTORY: Age = Age::days(7);

fn rows(archive: &Archive) -> Check {
    match archive.require_rows().and_then(|()| archive.underived()) {
        Err(error @ archive::Error::OtherRows(_)) => {
            Check::fail("rows", error.to_string(), "make them anew with: callvault reindex", Risk::Incomplete)
        }
        Ok(0) => Check::ok("rows", "made for every record"),
        Ok(missing) => Check::fail(
            "rows",
            format!("{missing} records have none yet: queries do not find them"),
            "make them with: callvault reindex",
            Risk::Incomplete,
        ),
        Err(error) => failed("rows", &error),
    }
}

/// How old what is known of the directory is.
fn directory(name: String, archive: &Archive, source: Source, now: Timestamp) -> Check {
    match archive.delta(source) {
        Ok(Some(delta)) if now - delta.asked > STALE_DIRECTORY => Check::warn(
            name,
            format!("the directory is known as of {} only", delta.asked.to_seconds_text()),
            "pull what has changed since with: callvault sync --source people",
        ),
        Ok(Some(delta)) => Check::ok(name, format!("the directory as of {}", delta.asked.to_seconds_text())),
        Ok(None) => {
            Check::warn(name, "the directory was not read to its end", "read it with: callvault sync --source people")
        }
        Err(error) => failed(&name, &error),
    }
}

fn coverage_check(
    archive: &Archive,
    source: Source,
    coverage: &archive::Result<Coverage>,
    retention: &Retention,
    now: Timestamp,
) -> Check {
    let name = format!("coverage-{source}");
    let kept = is_kept(archive, source).and_then(|kept| Ok((kept, archive.queued(source.kind())?)));
    let (coverage, kept, queued) = match (coverage, kept) {
        (Ok(coverage), Ok((kept, queued))) => (coverage, kept, queued),
        (Err(error), _) => return failed(&name, error),
        (_, Err(error)) => return failed(&name, &error),
    };
    if !kept && source != Source::Calls {
        return Check::skipped(name, "never pulled");
    }
    if !source.is_of_events() {
        return directory(name, archive, source, now);
    }
    let text = Timestamp::to_seconds_text;
    let again = format!("pull what can still be had, now: callvault sync --source {source}");
    if let Some(first) = coverage.lost.first() {
        let spans = coverage.lost.len();
        let finding = format!(
            "LOST: {} to {}{}; Graph has it no more",
            text(first.from),
            text(first.to),
            if spans > 1 { format!(" and {} spans more", spans - 1) } else { String::new() }
        );
        return Check::fail(
            name,
            finding,
            "callvault status lists the spans; look in backups and other archives",
            Risk::Lost,
        );
    }
    if let Some(risk) = coverage.at_risk.iter().min_by_key(|risk| risk.deadline) {
        let finding = format!(
            "at risk: {} to {} is not covered, and Graph forgets it from {} on ({} h left)",
            text(risk.from),
            text(risk.to),
            text(risk.deadline),
            (risk.deadline - now).to_duration().as_secs() / 3600
        );
        return Check::fail(name, finding, again, Risk::Incomplete);
    }
    if queued > 0 {
        return Check::fail(name, format!("{queued} records are still to fetch"), again, Risk::Incomplete);
    }
    let until = coverage
        .covered
        .last()
        .map_or_else(|| "nothing covered yet".to_owned(), |span| format!("covered up to {}", text(span.to)));
    let deadline = coverage.gaps.first().map(|gap| gap.from + retention.certain(source));
    let nearest = deadline
        .map_or_else(|| "no gap".to_owned(), |deadline| format!("gaps that Graph keeps until {}", text(deadline)));
    Check::ok(name, format!("{until}; {nearest}"))
}

fn last_sync(runs: &archive::Result<Vec<Run>>, is_writing: bool, now: Timestamp) -> Check {
    let runs = match runs {
        Ok(runs) => runs,
        Err(error) => return failed("last-sync", error),
    };
    let Some(run) = runs.iter().find(|run| run.command == "sync") else {
        return Check::warn("last-sync", "there was none yet", "callvault sync");
    };
    let begun = run.begun.to_seconds_text();
    let again = "run it again: callvault sync";
    let (Some(ended), Some(code)) = (run.ended, run.exit_code) else {
        return if is_writing {
            Check::ok("last-sync", format!("began at {begun} and is at it"))
        } else {
            Check::warn(
                "last-sync",
                format!("began at {begun} and was ended from outside; nothing is lost by that"),
                again,
            )
        };
    };
    let finding = format!("ended at {} with {code}", ended.to_seconds_text());
    if now - ended > SYNC_OVERDUE {
        let days = (now - ended).0 / Age::days(1).0;
        return Check::warn(
            "last-sync",
            format!("{finding}, {days} days ago"),
            "see why the scheduler runs it no more; then: callvault sync",
        );
    }
    match code {
        0 => Check::ok("last-sync", finding),
        4 => Check::warn("last-sync", format!("{finding}: it could not sign in, or lacked a permission"), again),
        7 => Check::warn("last-sync", format!("{finding}: it found something lost"), "callvault status lists what"),
        _ => Check::warn("last-sync", finding, again),
    }
}
