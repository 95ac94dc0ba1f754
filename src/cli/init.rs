//! `init`: writes the config file, and says how to register the app that may read call records.
//!
//! Answers come from flags, or from a person at a terminal. Secrets are neither asked for nor written. Nothing is sent: what is
//! printed is typed by somebody who may do it.

mod azure_cli;
mod configuration;
mod powershell;
mod questions;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use crate::{
    archive::{Folder, Site},
    cli::{
        config::{default_archive, default_config},
        env::Env,
        exit::{Code, Failure, Result},
        init::questions::Questions,
        ledger_key, to_stdout, usage,
    },
    graph::Cloud,
    model::{retention::Retention, source::Source},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Tenant: its id or one of its domain names
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// App registration, if there is one already
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// How the app proves who it is
    #[arg(long, value_enum, value_name = "KIND")]
    credential: Option<Kind>,
    /// Certificate with its key, PEM or PFX
    #[arg(long, value_name = "PATH")]
    certificate: Option<PathBuf>,
    /// What is to be archived, separated by commas: calls, pstn, direct-routing, blocked-users, dial-out, sms, people
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    source: Vec<String>,
    /// Usage countries of the users, two letters each, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    countries: Vec<String>,
    /// Replace a config file that is there
    #[arg(long)]
    force: bool,
}

/// A kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Secret,
    Certificate,
    Federated,
    ManagedIdentity,
    AzureCli,
}

impl Kind {
    const ALL: [Kind; 5] = [Kind::Secret, Kind::Certificate, Kind::Federated, Kind::ManagedIdentity, Kind::AzureCli];

    fn name(self) -> &'static str {
        match self {
            Kind::Secret => "secret",
            Kind::Certificate => "certificate",
            Kind::Federated => "federated",
            Kind::ManagedIdentity => "managed-identity",
            Kind::AzureCli => "azure-cli",
        }
    }

    /// As the config file names it.
    fn setting(self) -> &'static str {
        if self == Kind::Federated { "workload-identity" } else { self.name() }
    }
}

/// What the flags of all commands and the environment say.
pub(super) struct Given {
    pub archive: Option<PathBuf>,
    pub config: Option<PathBuf>,
    pub cloud: Option<String>,
    pub env: Env,
}

/// What was decided.
#[derive(Debug)]
struct Choice {
    /// `None`: a managed identity knows its own.
    tenant: Option<String>,
    /// `None`: the app is still to be registered.
    client_id: Option<String>,
    cloud: Cloud,
    kind: Kind,
    certificate: Option<PathBuf>,
    sources: Vec<Source>,
    countries: Vec<String>,
    archive: PathBuf,
}

impl Choice {
    /// The application permissions that the sources take, the fewest.
    fn permissions(&self) -> Vec<&'static str> {
        let has_calls = self.sources.contains(&Source::Calls);
        let mut permissions = Vec::new();
        for source in &self.sources {
            // What lets one read calls is good for the logs too.
            let permission =
                if has_calls || !source.is_of_events() { source.permission() } else { source.least_permission() };
            if !permissions.contains(&permission) {
                permissions.push(permission);
            }
        }
        permissions
    }
}

pub(super) fn run(args: &Args, given: &Given) -> Result<Code> {
    let file = given.config.clone().or_else(|| given.env.config.clone()).or_else(default_config);
    let file =
        file.ok_or_else(|| usage("there is no home folder for a config file").hint("name one with --config FILE"))?;
    if file.exists() && !args.force {
        return Err(usage(format!("there is a config file already: {}", file.display()))
            .hint("replace it with --force, or write another with --config FILE"));
    }
    let choice = decide(args, given)?;
    check_archive(&choice.archive)?;
    configuration::write(&file, &choice, args.force)?;
    let stderr = &mut io::stderr();
    io::Write::write_fmt(stderr, format_args!("written: {}\n", file.display()))?;
    if let Some(path) = choice.certificate.as_ref().filter(|path| !path.exists()) {
        io::Write::write_fmt(stderr, format_args!("{} is not there yet; the commands make it\n", path.display()))?;
    }
    make_ledger_key(&file, stderr)?;
    let is_default = default_config().is_some_and(|default| default == file);
    to_stdout(|out| {
        azure_cli::print(&choice, out)?;
        powershell::print(&choice, out)?;
        next_steps(&choice, (!is_default).then_some(file.as_path()), out)
    })?;
    Ok(Code::Done)
}

/// The key that signs the ledger, beside the config file; one that is there stays.
fn make_ledger_key(config: &Path, stderr: &mut io::Stderr) -> Result<()> {
    let path = absolute(config).with_file_name("ledger.key");
    if ledger_key::read(&path)?.is_none() {
        ledger_key::make(&path)?;
        let told = format_args!(
            "written: {}, the key that signs the ledger; keep a copy where nobody has the archive too\n",
            path.display()
        );
        io::Write::write_fmt(stderr, told)?;
    }
    Ok(())
}

/// Flags first; what they leave open is asked for at a terminal, and defaults elsewhere.
fn decide(args: &Args, given: &Given) -> Result<Choice> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return choose(args, given, &mut Questions::to(&mut stdin.lock(), &mut io::stderr()));
    }
    let kind = args.credential.unwrap_or(Kind::Secret);
    let missing = |flag: &str| usage(format!("{flag} is missing, and there is no terminal to ask at"));
    if args.tenant.is_none() && kind != Kind::ManagedIdentity {
        return Err(missing("--tenant").hint("az account show --query tenantId --output tsv prints it"));
    }
    if args.certificate.is_none() && kind == Kind::Certificate {
        return Err(missing("--certificate"));
    }
    choose(args, given, &mut Questions::none())
}

fn choose(args: &Args, given: &Given, questions: &mut Questions<'_>) -> Result<Choice> {
    let given_cloud = given.cloud.as_deref().or(given.env.cloud.as_deref());
    let cloud = questions.ask(
        "cloud",
        "Microsoft's cloud: global, usgov-l4, usgov-l5, china",
        given_cloud,
        "global",
        str::parse,
    )?;
    let kinds = Kind::ALL.map(Kind::name).join(", ");
    let given_kind = args.credential.map(Kind::name);
    let kind = questions.ask(
        "credential",
        &format!("How the app proves who it is: {kinds}"),
        given_kind,
        "secret",
        kind_of,
    )?;
    let tenant = args.tenant.as_deref();
    let tenant = if kind == Kind::ManagedIdentity {
        questions.given("tenant", tenant, tenant_of)?
    } else {
        Some(questions.ask("tenant", "Tenant: its id or a domain name", tenant, "", tenant_of)?)
    };
    let client_id = questions.optional(
        "client-id",
        "App registration (Application ID), if there is one already",
        args.client_id.as_deref(),
        client_id_of,
    )?;
    let certificate = args.certificate.as_ref().map(|path| path.display().to_string());
    let certificate = match kind {
        Kind::Certificate => Some(questions.ask(
            "certificate",
            "Certificate with its key, PEM or PFX; made below if it is not there",
            certificate.as_deref(),
            "",
            path_of,
        )?),
        _ => None,
    };
    let given_sources = (!args.source.is_empty()).then(|| args.source.join(","));
    let all = Source::ALL.map(Source::name).join(",");
    let sources = questions.ask("source", "What is to be archived", given_sources.as_deref(), &all, sources_of)?;
    let given_countries = (!args.countries.is_empty()).then(|| args.countries.join(","));
    let countries = questions.optional(
        "countries",
        "Countries of the users with phones (DE,FR), for how long Microsoft keeps their logs",
        given_countries.as_deref(),
        countries_of,
    )?;
    let default = default_archive().map(|path| path.display().to_string()).unwrap_or_default();
    let given_archive = given.archive.as_ref().or(given.env.archive.as_ref()).map(|path| path.display().to_string());
    let archive = questions.ask("archive", "Folder of the archive", given_archive.as_deref(), &default, path_of)?;
    Ok(Choice {
        tenant,
        client_id,
        cloud,
        kind,
        certificate,
        sources,
        countries: countries.unwrap_or_default(),
        archive,
    })
}

/// It is made by the first sync; that it can be is seen now.
fn check_archive(path: &Path) -> Result<()> {
    match Folder::new(path).site() {
        Site::Archive | Site::Free => Ok(()),
        Site::Foreign => Err(crate::archive::Error::Foreign(path.to_path_buf()).into()),
        Site::Closed(ancestor) => Err(usage(format!(
            "the archive {} cannot be made: this user may not write in {}",
            path.display(),
            ancestor.display()
        ))
        .hint("name another folder with --archive DIR, or have this one made and given to this user")),
    }
}

fn next_steps(choice: &Choice, config: Option<&Path>, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "\n# Next, where callvault is to run:")?;
    if let Some(config) = config {
        writeln!(out, "export CALLVAULT_CONFIG={}", quoted(&absolute(config)))?;
    }
    if choice.client_id.is_none() && choice.kind != Kind::ManagedIdentity && choice.kind != Kind::AzureCli {
        writeln!(out, "export AZURE_CLIENT_ID=…      # the app's id, printed above; or put it into the config file")?;
    }
    match choice.kind {
        Kind::Secret => writeln!(
            out,
            "export AZURE_CLIENT_SECRET=…  # the secret, printed above; into no file that others can read"
        )?,
        Kind::Federated => writeln!(out, "export AZURE_FEDERATED_TOKEN_FILE=…  # Kubernetes sets it by itself")?,
        Kind::Certificate | Kind::ManagedIdentity | Kind::AzureCli => {}
    }
    writeln!(out, "callvault doctor")?;
    if choice.sources.len() == Source::ALL.len() {
        return writeln!(out, "callvault sync");
    }
    let sources: Vec<_> = choice.sources.iter().map(|source| source.name()).collect();
    writeln!(out, "callvault sync --source {}", sources.join(","))
}

fn kind_of(text: &str) -> std::result::Result<Kind, String> {
    let kinds = Kind::ALL.map(Kind::name).join(", ");
    Kind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| format!("there are {kinds}"))
}

fn tenant_of(text: &str) -> std::result::Result<String, String> {
    let is_tenant = text.contains(|letter: char| letter.is_ascii_alphanumeric())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-'));
    if is_tenant { Ok(text.to_owned()) } else { Err("expected its id or its domain name".to_owned()) }
}

fn client_id_of(text: &str) -> std::result::Result<String, String> {
    match uuid::Uuid::try_parse(text) {
        Ok(id) => Ok(id.to_string()),
        Err(_) => Err("expected an id such as 00000000-0000-0000-0000-000000000000".to_owned()),
    }
}

fn sources_of(text: &str) -> std::result::Result<Vec<Source>, String> {
    let known = Source::ALL.map(Source::name).join(", ");
    let one = |name: &str| {
        let found = Source::ALL.into_iter().find(|source| source.name() == name.trim());
        found.ok_or_else(|| format!("no such source '{name}'; there are {known}"))
    };
    text.split(',').map(one).collect()
}

fn countries_of(text: &str) -> std::result::Result<Vec<String>, String> {
    let countries: Vec<String> = text.split(',').map(|country| country.trim().to_ascii_uppercase()).collect();
    Retention::of_countries(&countries).map(|_| countries)
}

/// A path as it holds wherever callvault is started.
fn path_of(text: &str) -> std::result::Result<PathBuf, String> {
    if text.is_empty() { Err("expected a path".to_owned()) } else { Ok(absolute(Path::new(text))) }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// A path as a POSIX shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.chars().all(|letter| letter.is_alphanumeric() || "/._-+@".contains(letter));
    if is_plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

impl From<questions::Wrong> for Failure {
    fn from(questions::Wrong { flag, why }: questions::Wrong) -> Self {
        usage(format!("--{flag}: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> Args {
        Args {
            tenant: None,
            client_id: None,
            credential: None,
            certificate: None,
            source: Vec::new(),
            countries: Vec::new(),
            force: false,
        }
    }

    fn given() -> Given {
        Given { archive: Some("/a".into()), config: None, cloud: None, env: Env::default() }
    }

    #[test]
    fn a_person_is_asked_for_what_no_flag_gave_and_again_when_the_answer_is_wrong() {
        let answers = "mars\nusgov-l4\n\n\ncontoso.com\n\ncalls,gossip\ncalls\nde, fr\n\n";
        let (mut input, mut output) = (answers.as_bytes(), Vec::new());
        let choice = choose(&args(), &given(), &mut Questions::to(&mut input, &mut output)).unwrap();
        assert_eq!((choice.cloud, choice.kind), (Cloud::UsGovL4, Kind::Secret));
        assert_eq!((choice.tenant.as_deref(), choice.client_id), (Some("contoso.com"), None));
        assert_eq!((choice.sources, choice.countries), (vec![Source::Calls], vec!["DE".to_owned(), "FR".to_owned()]));
        let asked = String::from_utf8(output).unwrap();
        assert!(asked.contains("no such cloud") && asked.contains("'gossip'") && asked.contains("[global]"), "{asked}");
        assert!(!asked.contains("Folder of the archive"), "the flag said it: {asked}");
    }

    #[test]
    fn an_end_of_input_ends_the_questions() {
        let (mut input, mut output) = ("global\n".as_bytes(), Vec::new());
        let failure = choose(&args(), &given(), &mut Questions::to(&mut input, &mut output)).unwrap_err();
        assert_eq!(failure.code, Code::Usage);
        assert!(failure.message.contains("--credential"), "{}", failure.message);
    }

    fn permissions(sources: &str) -> Vec<&'static str> {
        let mut choice =
            choose(&Args { tenant: Some("t".to_owned()), ..args() }, &given(), &mut Questions::none()).unwrap();
        choice.sources = sources_of(sources).unwrap();
        choice.permissions()
    }

    #[test]
    fn no_more_permissions_are_asked_for_than_the_sources_take() {
        assert_eq!(permissions("calls,pstn,sms"), ["CallRecords.Read.All"]);
        assert_eq!(permissions("pstn,sms"), ["CallRecord-PstnCalls.Read.All"]);
        assert_eq!(permissions("people,calls"), ["User.Read.All", "CallRecords.Read.All"]);
    }

    #[test]
    fn paths_are_quoted_for_a_shell() {
        assert_eq!(quoted(Path::new("/srv/a-b.c")), "/srv/a-b.c");
        assert_eq!(quoted(Path::new("/it's $HOME")), "'/it'\\''s $HOME'");
    }
}
