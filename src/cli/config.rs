//! Settings out of flag, environment, config file and default, in this order.

mod file;

use std::path::{Path, PathBuf};

use etcetera::{BaseStrategy, choose_base_strategy};

pub use self::file::{AlertFile, File, GraphFile, LedgerFile, ListenFile, RuleFile};

use crate::{
    archive::policy::Rule,
    cli::{
        credential,
        env::Env,
        exit::{Code, Failure, Result},
        usage,
    },
    graph::{
        self, Cloud,
        budget::{Allowance, Rates},
    },
    model::{kind::Kind, relisting::Policy, retention::Retention, time::Age},
    retain::rule,
    seal::{LEVEL, LEVELS},
};

/// What set a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub name: &'static str,
    pub from: Option<&'static str>,
}

/// Settings of this run.
#[derive(Clone, Debug)]
pub struct Config {
    pub archive: PathBuf,
    /// Whether somebody named the archive, rather than the default.
    pub archive_is_named: bool,
    pub cloud_flag: Option<String>,
    /// Which settings the flags gave, as against environment, file and default.
    archive_is_flag: bool,
    named_file: Option<PathBuf>,
    /// The config file read; the default one when none was there.
    path: Option<PathBuf>,
    file: File,
    env: Env,
}

impl Config {
    /// How long Microsoft keeps this organisation's records.
    pub fn retention(&self) -> Result<Retention> {
        Retention::of_countries(&self.file.retention.countries)
            .map_err(|message| Failure::new(Code::Usage, format!("[retention] countries: {message}")))
    }

    /// Whether months are sealed when they are over, and how hard they are compressed.
    pub fn seal(&self) -> Result<(bool, i32)> {
        let level = self.file.seal.level.unwrap_or(i64::from(LEVEL));
        match i32::try_from(level) {
            Ok(fits) if LEVELS.contains(&level) => Ok((self.file.seal.when_due.unwrap_or(true), fits)),
            _ => Err(usage(format!("[seal] level: {level} is not one of 1 to 22"))),
        }
    }

    /// Whether a second person has to approve a disposal.
    #[must_use]
    pub fn needs_approval(&self) -> bool {
        self.file.disposal.approval
    }

    /// The rules of retention as the config file has them; in force they are once somebody set them.
    pub fn rules(&self) -> Result<Vec<Rule>> {
        let rule = |file: &RuleFile| {
            let wrong = |what: String| usage(format!("[[disposal.rule]] {what}"));
            let kind: Kind = file.kind.parse().map_err(|error| wrong(format!("kind: {error}")))?;
            let keep_days = rule::parse_keep(&file.keep).map_err(|error| wrong(format!("keep: {error}")))?;
            Ok(Rule { kind: kind.name().to_owned(), call_type: file.call_type.clone(), keep_days })
        };
        self.file.disposal.rule.iter().map(rule).collect()
    }

    /// Whether accesses are noted in the journal.
    #[must_use]
    pub fn keeps_journal(&self) -> bool {
        self.file.journal.keep.unwrap_or(true)
    }

    /// The file of the key that signs the ledger; by default it lies beside the config file.
    #[must_use]
    pub fn ledger_key(&self) -> Option<PathBuf> {
        let beside = || Some(self.path.as_ref()?.parent()?.join("ledger.key"));
        self.file.ledger.key.clone().or_else(beside)
    }

    /// Where checkpoints go.
    #[must_use]
    pub fn ledger(&self) -> &LedgerFile {
        &self.file.ledger
    }

    /// The receiver of change notifications.
    #[must_use]
    pub fn listen(&self) -> &ListenFile {
        &self.file.listen
    }

    /// Who is told what is wrong with a service.
    #[must_use]
    pub fn alert(&self) -> &AlertFile {
        &self.file.alert
    }

    /// How often time is listed again.
    pub fn policy(&self) -> Result<Policy> {
        let (file, default) = (&self.file.sync, Policy::default());
        let age = |name: &str, text: &Option<String>, default: Age| {
            let read = |text: &String| text.parse::<Age>().map_err(|error| usage(format!("[sync] {name}: {error}")));
            text.as_ref().map_or(Ok(default), read)
        };
        let policy = Policy {
            factor: file.relist_factor.unwrap_or(default.factor),
            age_min: age("age_min", &file.age_min, default.age_min)?,
            sweep_margin: age("sweep_margin", &file.sweep_margin, default.sweep_margin)?,
            list_all_rows: file.list_all_rows.unwrap_or(default.list_all_rows),
            retention: self.retention()?,
            ..default
        };
        policy.check().map_err(|error| usage(format!("[sync] {error}")))?;
        Ok(policy)
    }

    /// How often a service looks for new calls.
    pub fn interval(&self) -> Result<Option<Age>> {
        let read = |text: &String| text.parse::<Age>().map_err(|error| usage(format!("[sync] interval: {error}")));
        self.file.sync.interval.as_ref().map(read).transpose()
    }

    /// All requests that are sent in 20 seconds at the most.
    #[must_use]
    pub fn app_allowance(&self) -> Allowance {
        let app = Rates::default().app;
        self.file.graph.requests_per_20s.map_or(app, |requests| Allowance { requests, ..app })
    }

    /// Resolves the settings of this run.
    pub fn resolve(archive: Option<PathBuf>, config: Option<PathBuf>, cloud: Option<String>, env: Env) -> Result<Self> {
        let named_file = config.clone();
        let named = config.or_else(|| env.config.clone());
        let file = match &named {
            Some(path) => file::read(path, &env)?,
            None => default_config()
                .filter(|path| path.is_file())
                .map(|path| file::read(&path, &env))
                .transpose()?
                .unwrap_or_default(),
        };
        let path = named.or_else(default_config);
        let archive_is_flag = archive.is_some();
        let named_archive = archive.or_else(|| env.archive.clone()).or_else(|| file.archive.clone());
        let archive_is_named = named_archive.is_some();
        let archive = named_archive.map_or_else(default_archive, Ok)?;
        Ok(Self { archive, archive_is_named, cloud_flag: cloud, archive_is_flag, named_file, path, file, env })
    }

    /// Resolves the settings again, by the same flags and environment: the file may say something else by now.
    pub fn again(&self) -> Result<Self> {
        let archive = self.archive_is_flag.then(|| self.archive.clone());
        Self::resolve(archive, self.named_file.clone(), self.cloud_flag.clone(), self.env.clone())
    }

    /// Settings that point at a given Graph, for the demo.
    #[must_use]
    pub fn of_demo(archive: PathBuf, env: Env, file: File) -> Self {
        Self {
            archive,
            archive_is_named: true,
            cloud_flag: None,
            archive_is_flag: true,
            named_file: None,
            path: None,
            file,
            env,
        }
    }

    /// What the Graph client is to be told.
    pub fn graph(&self) -> Result<graph::Settings> {
        let (env, file) = (&self.env, &self.file.graph);
        let cloud = self.cloud()?;
        let credential = credential::choose(env, file)?;
        tracing::info!(credential = credential.name(), "credential chosen");
        let mut settings = graph::Settings::new(cloud, credential)?;
        settings.tenant_id = env.tenant_id.clone().or_else(|| file.tenant_id.clone());
        settings.client_id = env.client_id.clone().or_else(|| file.client_id.clone());
        settings.proxy.clone_from(&env.proxy);
        if settings.credential.asks_login_host() {
            named("AZURE_TENANT_ID", settings.tenant_id.as_ref())?;
            named("AZURE_CLIENT_ID", settings.client_id.as_ref())?;
        }
        if let Some(host) = env.authority_host.as_ref().or(file.authority_host.as_ref()) {
            settings.login_host = graph::cloud::parse_host(host)?;
        }
        if let Some(host) = env.graph_endpoint.as_ref().or(file.endpoint.as_ref()) {
            settings.graph_host = graph::cloud::parse_host(host)?;
        }
        let allow = |allowance: &mut Allowance, requests: Option<u32>| {
            if let Some(requests) = requests {
                *allowance = Allowance { requests, ..*allowance };
            }
        };
        allow(&mut settings.rates.app, file.requests_per_20s);
        allow(&mut settings.rates.record_first, file.record_requests_per_20s);
        allow(&mut settings.rates.record_following, file.record_pages_per_5min);
        Ok(settings)
    }

    /// Whether colours are switched off.
    #[must_use]
    pub fn no_color(&self) -> bool {
        self.env.no_color
    }

    /// The config file, whether it is there or not.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The proxy for https, as it may be shown.
    #[must_use]
    pub fn proxy(&self) -> Option<&str> {
        self.env.proxy.as_deref()
    }

    /// The variables set that say how the network is reached.
    #[must_use]
    pub fn network(&self) -> &[(&'static str, String)] {
        &self.env.network
    }

    /// Each setting that says where and as whom, and what set it; `None` is one that nothing set.
    #[must_use]
    pub fn origins(&self) -> Vec<Origin> {
        let (env, file) = (&self.env, &self.file.graph);
        let origin = |name, variable: &'static str, flag: bool, env: bool, file: bool| Origin {
            name,
            from: match (flag, env, file) {
                (true, ..) => Some("a flag"),
                (_, true, _) => Some(variable),
                (.., true) => Some("the config file"),
                _ => None,
            },
        };
        vec![
            origin(
                "archive",
                "CALLVAULT_ARCHIVE",
                self.archive_is_flag,
                env.archive.is_some(),
                self.file.archive.is_some(),
            ),
            origin("tenant_id", "AZURE_TENANT_ID", false, env.tenant_id.is_some(), file.tenant_id.is_some()),
            origin("client_id", "AZURE_CLIENT_ID", false, env.client_id.is_some(), file.client_id.is_some()),
            origin("cloud", "CALLVAULT_CLOUD", self.cloud_flag.is_some(), env.cloud.is_some(), file.cloud.is_some()),
            origin(
                "authority_host",
                "AZURE_AUTHORITY_HOST",
                false,
                env.authority_host.is_some(),
                file.authority_host.is_some(),
            ),
            origin(
                "endpoint",
                "CALLVAULT_GRAPH_ENDPOINT",
                false,
                env.graph_endpoint.is_some(),
                file.endpoint.is_some(),
            ),
        ]
    }

    /// Records fetched at a time, where the file says so.
    #[must_use]
    pub fn concurrency(&self) -> Option<usize> {
        self.file.graph.concurrency.filter(|records| *records > 0)
    }

    pub fn cloud(&self) -> Result<Cloud> {
        let named = self.cloud_flag.as_ref().or(self.env.cloud.as_ref()).or(self.file.graph.cloud.as_ref());
        named.map_or(Ok(Cloud::Global), |name| name.parse().map_err(|error: String| Failure::new(Code::Usage, error)))
    }
}

/// Refuses to sign in without what tells who signs in where.
fn named(variable: &str, value: Option<&String>) -> Result<()> {
    match value {
        Some(_) => Ok(()),
        None => Err(Failure::new(Code::Unauthorised, format!("{variable} is not set"))
            .hint("set AZURE_TENANT_ID and AZURE_CLIENT_ID to the tenant and to the app that may read call records")),
    }
}

pub(super) fn default_config() -> Option<PathBuf> {
    choose_base_strategy().ok().map(|base| base.config_dir().join("callvault").join("config.toml"))
}

pub(super) fn default_archive() -> Result<PathBuf> {
    choose_base_strategy().map(|base| base.data_dir().join("callvault")).map_err(|_| {
        Failure::new(Code::Usage, "there is no home folder to keep the archive in").hint("name it with --archive DIR")
    })
}
