//! What an error means to whoever called: an exit code of the contract, one line, and what to do next.

use std::{fmt, io, process::ExitCode};

use crate::{
    archive,
    cli::render::pointed,
    doctor, follow, graph, query, search, simulate,
    sync::{self, Lack},
};

/// The exit codes of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    Done = 0,
    Unexpected = 1,
    Usage = 2,
    Incomplete = 3,
    Unauthorised = 4,
    InUse = 5,
    Integrity = 6,
    Lost = 7,
}

impl Code {
    /// What a round came to, by its summary.
    #[must_use]
    pub fn of_round(summary: &sync::round::Summary) -> Self {
        let any = |test: fn(&sync::SourceReport) -> bool| summary.sources.iter().any(test);
        // Of sources that nobody asked for by name, those that cannot be had are no failure.
        let asked_for = summary.left_out.iter().filter(|left_out| left_out.asked_for);
        if any(|report| report.lost > 0) || !summary.newly_lost.is_empty() {
            Code::Lost
        } else if let Some(code) = asked_for.map(|left_out| Failure::of_left_out(&left_out.error).code).max() {
            code
        } else if any(|report| report.failed > 0 || report.windows_failed > 0 || report.stopped)
            || summary.checkpoint_kept_back
        {
            Code::Incomplete
        } else {
            Code::Done
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        ExitCode::from(code as u8)
    }
}

impl From<doctor::Risk> for Code {
    fn from(risk: doctor::Risk) -> Self {
        use doctor::Risk;
        match risk {
            Risk::InUse => Code::InUse,
            Risk::Incomplete => Code::Incomplete,
            Risk::Settings => Code::Usage,
            Risk::Unauthorised => Code::Unauthorised,
            Risk::Integrity => Code::Integrity,
            Risk::Lost => Code::Lost,
        }
    }
}

/// How a command failed.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub message: String,
    /// What was typed, and under it a mark where it is wrong.
    pub place: Option<String>,
    /// The next thing to do or type.
    pub hint: Option<String>,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), place: None, hint: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Shows the place in what was typed: a column counted in characters from 1.
    #[must_use]
    pub fn shown(mut self, typed: &str, column: usize) -> Self {
        self.place = Some(pointed(typed, column));
        self
    }

    /// Why a source was left out, and what would bring it.
    #[must_use]
    pub fn of_left_out(error: &sync::Error) -> Self {
        let (code, hint) = match error {
            sync::Error::LeftOut { why: Lack::Permission(permission), .. } => (
                Code::Unauthorised,
                Some(format!("grant it the application permission {permission}, with admin consent")),
            ),
            sync::Error::LeftOut { why: Lack::Refused { .. }, .. } => (
                Code::Unauthorised,
                Some(
                    "look at the app's consent and at the tenant's policies; callvault doctor tries each source"
                        .to_owned(),
                ),
            ),
            sync::Error::LeftOut { why: Lack::NotServed { .. }, .. } => (
                Code::Incomplete,
                Some("leave it out of --source, or check the cloud: not every cloud has every log".to_owned()),
            ),
            _ => (Code::Incomplete, None),
        };
        Self { code, message: error.to_string(), place: None, hint }
    }

    /// A reader that went away (`| head`) is no failure.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        self.code == Code::Done
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        self.place.as_ref().map_or(Ok(()), |place| write!(f, "\n{place}"))?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let code = if error.kind() == io::ErrorKind::BrokenPipe { Code::Done } else { Code::Unexpected };
        Self::new(code, error.to_string())
    }
}

const LIMITS: &str =
    "look at the limit on file sizes (ulimit -f), the quota and the disk, then run the same command again";

const MAY_NOT_WRITE: &str =
    "this command writes to the archive: run it as the folder's owner, where the folder can be written";

fn may_not_write(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

impl From<archive::Error> for Failure {
    fn from(error: archive::Error) -> Self {
        use archive::Error;
        let message = error.to_string();
        match error {
            Error::Missing(_) => Self::new(Code::Usage, message)
                .hint("name another with --archive DIR, or fill this one with: callvault sync"),
            Error::Foreign(_) => Self::new(Code::Usage, message)
                .hint("name an empty folder, or one that does not exist, with --archive DIR"),
            Error::Newer { .. } => {
                Self::new(Code::Usage, message).hint("use the callvault that made it, or a later one")
            }
            Error::OtherRows(_) => {
                Self::new(Code::Incomplete, message).hint("make them anew, from the records, with: callvault reindex")
            }
            Error::InUse(_) => {
                Self::new(Code::InUse, message).hint("wait until it ends; reading commands work meanwhile")
            }
            Error::Key(_) => Self::new(Code::Usage, message).hint(
                "put the ledger's key where [ledger] key in the config file says; one that is lost for good is replaced with: callvault key replace --lost --reason TEXT",
            ),
            Error::Unsigned(_) => Self::new(Code::Integrity, message).hint(
                "callvault verify names each; what somebody has looked at and answers for is signed with: callvault checkpoint sign --reason TEXT",
            ),
            Error::DiskFull => Self::new(Code::Unexpected, message)
                .hint("make room where the archive is, then run the same command again to go on"),
            Error::WriteRefused(_) => Self::new(Code::Unexpected, message).hint(LIMITS),
            Error::Unclosed(_) => Self::new(Code::Unexpected, message).hint(
                "copy the whole folder to where it can be written, or make it writable, and run the command again",
            ),
            Error::Io { ref source, .. } if source.kind() == io::ErrorKind::FileTooLarge => {
                Self::new(Code::Unexpected, message).hint(LIMITS)
            }
            Error::ReadOnly(_) => Self::new(Code::Unexpected, message).hint(MAY_NOT_WRITE),
            Error::Io { ref source, .. } if may_not_write(source) => {
                Self::new(Code::Unexpected, message).hint(MAY_NOT_WRITE)
            }
            Error::Volume { .. } => Self::new(Code::Integrity, message)
                .hint("copy the file back from where it is kept; what it should be says: callvault verify"),
            error if error.is_damage() => {
                Self::new(Code::Integrity, message).hint("list all that is damaged with: callvault verify")
            }
            _ => Self::new(Code::Unexpected, message),
        }
    }
}

impl From<graph::Error> for Failure {
    fn from(error: graph::Error) -> Self {
        let code = if error.is_unauthorised() {
            Code::Unauthorised
        } else if error.is_usage() {
            Code::Usage
        } else {
            Code::Incomplete
        };
        let resume = || "nothing is lost: run the same command again to go on".to_owned();
        let hint = error.hint().or_else(|| (code == Code::Incomplete).then(resume));
        Self { code, message: error.to_string(), place: None, hint }
    }
}

impl From<sync::Error> for Failure {
    fn from(error: sync::Error) -> Self {
        match error {
            sync::Error::Graph(error) | sync::Error::Withdrawn(error) => error.into(),
            error @ sync::Error::LeftOut { .. } => Self::of_left_out(&error),
            sync::Error::Archive(error) => error.into(),
            sync::Error::Writer(gone) => Self::new(Code::Unexpected, gone.to_string()),
            sync::Error::Index(error) => error.into(),
            sync::Error::Stopped => Self::new(Code::Incomplete, error.to_string()),
        }
    }
}

impl From<search::Error> for Failure {
    fn from(error: search::Error) -> Self {
        let hint = if error.is_environment() {
            "no record is lost by it: mend the cause; the next sync or reindex goes on with the index"
        } else {
            "make the index anew with: callvault reindex"
        };
        Self::new(Code::Unexpected, error.to_string()).hint(hint)
    }
}

impl From<follow::Error> for Failure {
    fn from(error: follow::Error) -> Self {
        match error {
            follow::Error::Archive(error) => error.into(),
            follow::Error::Search(error) => error.into(),
            other => Self::new(Code::Unexpected, other.to_string()),
        }
    }
}

impl From<query::Error> for Failure {
    fn from(error: query::Error) -> Self {
        let message = error.to_string();
        match error {
            query::Error::Archive(error) => error.into(),
            query::Error::Search(error) => error.into(),
            query::Error::Follow(error) => error.into(),
            query::Error::Syntax { text, error } => Self::new(Code::Usage, message).shown(&text, error.column),
        }
    }
}

impl From<simulate::Error> for Failure {
    fn from(error: simulate::Error) -> Self {
        Self::new(Code::Unexpected, error.to_string())
    }
}
