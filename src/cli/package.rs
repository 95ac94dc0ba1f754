//! `export --package` and `verify --package`: audit packages made, and checked without an archive.

mod age;
pub(super) mod encrypted;
mod tarball;

use std::{
    fs,
    io::{self, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use self::encrypted::{Encrypted, Recipients};
use crate::{
    archive::Archive,
    cli::{
        Context, access,
        exit::{Code, Failure, Result},
        ledger_key,
        render::{plain, size},
        to_stdout, usage,
    },
    export::{self, PackageAsk, Report, Versions},
    model::filter::Selection,
    package::{
        self,
        check::Summary,
        profile::{Redaction, TokenKey},
    },
    proof::note::{PrivateKey, PublicKey},
    verify,
};

/// How much of the records a package shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ProfileArg {
    /// All that was received
    #[default]
    Full,
    /// Without networks, devices, machines and addresses
    NoNetwork,
    /// The same, and tokens in place of whatever names somebody
    Pseudonymised,
}

/// What the command line says of a package.
pub(super) struct Asked<'a> {
    pub folder: &'a Path,
    pub person: Option<&'a str>,
    pub versions: Versions,
    pub profile: ProfileArg,
    pub token_key: Option<&'a Path>,
    /// Those who may read it, where it is to be encrypted.
    pub recipients: &'a Recipients,
}

/// Makes one.
pub(super) fn make(asked: &Asked<'_>, selection: Selection, context: &Context) -> Result<Code> {
    let redaction = redaction(asked, context)?;
    let encrypted = Encrypted::new(asked.folder, asked.recipients)?;
    let archive = context.archive()?;
    archive.require_rows()?;
    let ask = PackageAsk {
        selection,
        person: asked.person.map(str::to_owned),
        versions: asked.versions,
        redaction,
        user: access::user().called(),
        retention: context.config.retention()?,
        key: key(context),
    };
    who_is_meant(&archive, asked.person, context)?;
    let made = match &encrypted {
        Some(encrypted) => encrypted.write(|folder, on| export::export_package(&archive, &ask, folder, on))?,
        None => {
            let mut on = |_: &Report| ControlFlow::Continue(());
            export::export_package(&archive, &ask, asked.folder, &mut on)?
        }
    };
    let contents = &made.contents;
    context.act.count(contents.records);
    let (path, identity) = match &encrypted {
        Some(encrypted) => (encrypted.file.as_path(), " --identity FILE"),
        None => (asked.folder, ""),
    };
    context.note(&format!(
        "{} records in {} versions written to {path}; check it with: callvault verify --package {path}{identity}",
        contents.records,
        contents.versions,
        path = path.display()
    ));
    Ok(Code::Done)
}

/// Says so where a name is that of several: what is about one of them is not to be handed to another.
pub(super) fn who_is_meant(archive: &Archive, person: Option<&str>, context: &Context) -> Result<()> {
    let Some(person) = person else { return Ok(()) };
    let people = archive.people_named(person)?;
    if people.len() > 1 {
        let ids: Vec<&str> = people.iter().map(|key| key.id.as_str()).collect();
        context.note(&format!(
            "{person} may be {} people of the directory, and records of all are taken; to have one name an id: {}",
            people.len(),
            ids.join(", ")
        ));
    }
    Ok(())
}

/// The ledger's key, where whoever asks may read it.
fn key(context: &Context) -> Option<Arc<PrivateKey>> {
    let path = context.config.ledger_key()?;
    let key = ledger_key::read(&path).ok().flatten().map(Arc::new);
    if key.is_none() {
        context.note("the package's manifest is not signed: the ledger's key is not at hand");
    }
    key
}

fn redaction(asked: &Asked<'_>, context: &Context) -> Result<Redaction> {
    match (asked.profile, asked.token_key) {
        (ProfileArg::Pseudonymised, Some(path)) => {
            for (folder, what) in [(asked.folder, "the package"), (context.config.archive.as_path(), "the archive")] {
                if is_within(path, folder) {
                    return Err(usage(format!(
                        "--token-key: {} lies in {what}, and whoever has that could undo the tokens",
                        path.display()
                    )));
                }
            }
            let content = fs::read(path).map_err(|error| {
                usage(format!("--token-key: {}: {error}", path.display())).hint("make one with: openssl rand -hex 32")
            })?;
            let key =
                TokenKey::new(&content).map_err(|fault| usage(format!("--token-key: {}: {fault}", path.display())))?;
            Ok(Redaction::Pseudonymised(key.into()))
        }
        (ProfileArg::Pseudonymised, None) => {
            Err(usage("--profile pseudonymised: name the file with the secret key of its tokens with --token-key FILE")
                .hint(
                    "make one with: openssl rand -hex 32 > FILE; keep it apart from the archive and from the package",
                ))
        }
        (_, Some(_)) => Err(usage("--token-key: only --profile pseudonymised has tokens")),
        (ProfileArg::Full, None) => Ok(Redaction::None),
        (ProfileArg::NoNetwork, None) => Ok(Redaction::NoNetwork),
    }
}

fn is_within(file: &Path, folder: &Path) -> bool {
    match (fs::canonicalize(file), fs::canonicalize(folder)) {
        (Ok(file), Ok(folder)) => file.starts_with(folder),
        _ => false,
    }
}

/// Checks one: a folder, or a file that is encrypted to one of `identities`.
pub(super) fn check(
    path: &Path,
    identities: &[PathBuf],
    key: Option<&PublicKey>,
    format: super::show::Format,
) -> Result<Code> {
    let summary = if path.is_file() || !identities.is_empty() {
        encrypted::check(path, identities, key)?
    } else {
        verify::package(path, key)?
    };
    to_stdout(|out| {
        if format == super::show::Format::Json {
            serde_json::to_writer(&mut *out, &summary)?;
            return writeln!(out);
        }
        text(&summary, out)
    })?;
    Ok(if summary.is_whole() { Code::Done } else { Code::Integrity })
}

fn text(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    for finding in &summary.findings {
        let record = finding.record.as_ref().map_or_else(String::new, |record| format!("{record}: "));
        writeln!(out, "{}: {}{}", plain(&finding.file), plain(&record), plain(&finding.message))?;
    }
    if summary.findings_count > summary.findings.len() as u64 {
        writeln!(out, "… and {} findings more", summary.findings_count - summary.findings.len() as u64)?;
    }
    for note in &summary.notes {
        writeln!(out, "note: {}", plain(note))?;
    }
    if let (Some(origin), Some(entries), Some(root)) = (&summary.origin, summary.size, &summary.root) {
        writeln!(out, "ledger {}, {entries} entries, root {root}", plain(origin))?;
    }
    if let Some(key) = &summary.key {
        writeln!(out, "key {}", plain(key))?;
    }
    let verdict = if summary.is_whole() { "whole" } else { "DAMAGED" };
    writeln!(
        out,
        "{verdict}: {} records in {} versions, {} bodies with {} bytes, {} files with {}, {} findings",
        summary.contents.records,
        summary.contents.versions,
        summary.contents.bodies,
        summary.contents.raw_bytes,
        summary.files,
        size(summary.bytes),
        summary.findings_count
    )
}

impl From<package::Error> for Failure {
    fn from(error: package::Error) -> Self {
        use package::Error;
        let message = error.to_string();
        match error {
            Error::Taken(_) => {
                Self::new(Code::Usage, message).hint("name a folder that does not exist, or an empty one")
            }
            Error::NoFolder(_) => Self::new(Code::Usage, message),
            Error::NoPackage(_) => Self::new(Code::Usage, message).hint("name the folder that export --package made"),
            Error::File { .. } | Error::Key(_) => Self::new(Code::Unexpected, message),
        }
    }
}
