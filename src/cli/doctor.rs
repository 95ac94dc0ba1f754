//! `doctor`: is everything set up as it should be, and if not, what is to be done?

use std::{fs, io::Write, os::unix::fs::PermissionsExt};

use serde::Serialize;
use tokio::runtime::Runtime;

use crate::{
    cli::{
        Context,
        config::{Config, Origin},
        exit::{Code, Failure, Result},
        render::plain,
        to_stdout,
    },
    doctor::{Asked, Check, Holding, Risk, Service, State, archive_checks, graph_checks, graph_skipped, worst},
    graph,
    model::{retention::Retention, time::Age},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Format of the answer
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: super::show::Format,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    let config = &context.config;
    let holding = Holding::look(&context.folder());
    let mut checks = vec![config_file(config), archive_place(config), cloud(config)];
    let mut ahead = Age::default();
    match config.cloud().and_then(|cloud| Ok((cloud, config.graph()?))) {
        Ok((cloud, settings)) => {
            checks.extend([identity(config, &settings), credential(&settings), hosts(config, &settings)]);
            checks.push(proxy(config));
            let service = Service { settings, cloud, kept: &holding.kept(), now: context.now };
            let Asked { checks: asked, ahead: seen } = Runtime::new()?.block_on(graph_checks(service));
            checks.extend(asked);
            ahead = seen.unwrap_or_default();
        }
        Err(failure) => {
            // A wrong cloud has a line of its own.
            if config.cloud().is_ok() {
                checks.push(failed("credential", &failure));
            }
            checks.push(proxy(config));
            checks.extend(graph_skipped("the settings do not allow it"));
        }
    }
    let retention = match config.retention() {
        Ok(retention) => retention,
        Err(failure) => {
            checks.push(failed("retention", &failure));
            Retention::default()
        }
    };
    checks.extend(archive_checks(&holding, context.now + ahead, &retention));
    print(args, &checks)
}

/// When the config file itself cannot be read.
pub(super) fn without_config(args: &Args, failure: &Failure) -> Result<Code> {
    let rest = Check::skipped("archive", "which one is meant is not known without the config file");
    print(args, &[failed("config-file", failure), rest])
}

fn print(args: &Args, checks: &[Check]) -> Result<Code> {
    #[derive(Serialize)]
    struct Report<'a> {
        checks: &'a [Check],
    }
    to_stdout(|out| {
        if args.format == super::show::Format::Json {
            serde_json::to_writer_pretty(&mut *out, &Report { checks })?;
            return writeln!(out);
        }
        checks.iter().try_for_each(|check| line(check, out))
    })?;
    Ok(worst(checks).map_or(Code::Done, Code::from))
}

fn line(check: &Check, out: &mut dyn Write) -> std::io::Result<()> {
    let state = match check.state {
        State::Ok => "ok",
        State::Warn => "warn",
        State::Fail => "FAIL",
        State::Skipped => "-",
    };
    writeln!(out, "{state:<4}  {:<23} {}", check.check, plain(&check.finding))?;
    let Some(mend) = &check.mend else { return Ok(()) };
    writeln!(out, "{:30}→ {}", "", plain(mend))
}

/// A failure of the settings as a line.
fn failed(check: &str, failure: &Failure) -> Check {
    let risk = if failure.code == Code::Unauthorised { Risk::Unauthorised } else { Risk::Settings };
    let mend =
        failure.hint.clone().unwrap_or_else(|| "mend it there; callvault init writes one that is right".to_owned());
    Check::fail(check, &failure.message, mend, risk)
}

fn config_file(config: &Config) -> Check {
    let name = "config-file";
    let Some(path) = config.path() else { return Check::ok(name, "none, and no home folder to look in") };
    let shown = path.display();
    let Ok(file) = fs::metadata(path) else {
        return Check::ok(name, format!("none: {shown} is not there; environment and defaults apply"));
    };
    let mode = file.permissions().mode() & 0o777;
    if mode & 0o022 != 0 {
        let finding = format!("{shown} has mode {mode:04o}: others can change where records come from");
        return Check::warn(name, finding, format!("chmod 600 {shown}"));
    }
    let others =
        if mode & 0o044 == 0 { "its owner alone can read it" } else { "others can read it; it holds no secret" };
    Check::ok(name, format!("{shown}, mode {mode:04o}: {others}"))
}

fn archive_place(config: &Config) -> Check {
    Check::ok("archive-setting", format!("{}, by {}", config.archive.display(), from(config, "archive")))
}

fn cloud(config: &Config) -> Check {
    match config.cloud() {
        Ok(cloud) => Check::ok("cloud", format!("{cloud}, by {}", from(config, "cloud"))),
        Err(failure) => {
            let mend = "name one of these with --cloud, CALLVAULT_CLOUD or in the config file";
            Check::fail("cloud", failure.message, mend, Risk::Settings)
        }
    }
}

fn identity(config: &Config, settings: &graph::Settings) -> Check {
    let part = |what, value: &Option<String>, name| match value {
        Some(value) => format!("{what} {value}, by {}", from(config, name)),
        None => format!("{what} that of the credential"),
    };
    let tenant = part("tenant", &settings.tenant_id, "tenant_id");
    Check::ok("identity", format!("{tenant}; {}", part("app", &settings.client_id, "client_id")))
}

fn credential(settings: &graph::Settings) -> Check {
    Check::ok("credential", settings.credential.name())
}

fn hosts(config: &Config, settings: &graph::Settings) -> Check {
    let part = |what, host: &url::Url, name| {
        let address = host.as_str().trim_end_matches('/');
        match origin(config, name).from {
            Some(from) => format!("{what} {address}, by {from}"),
            None => format!("{what} {address}, the cloud's"),
        }
    };
    let login = part("login", &settings.login_host, "authority_host");
    Check::ok("hosts", format!("{login}; {}", part("Graph", &settings.graph_host, "endpoint")))
}

/// The HTTP library obeys them for https alone.
fn proxy(config: &Config) -> Check {
    let set: Vec<_> = config.network().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let has_proxy = config.proxy().is_some();
    let none = if has_proxy { None } else { Some("no proxy is set".to_owned()) };
    Check::ok("proxy", none.into_iter().chain(set).collect::<Vec<_>>().join(", "))
}

fn origin(config: &Config, name: &'static str) -> Origin {
    let found = config.origins().into_iter().find(|origin| origin.name == name);
    found.unwrap_or(Origin { name, from: None })
}

fn from(config: &Config, name: &'static str) -> &'static str {
    origin(config, name).from.unwrap_or("default")
}
