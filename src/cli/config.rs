//! Settings out of flag, environment, config file and default, in this order. The file holds nothing secret.

use std::{
    fs,
    path::{Path, PathBuf},
};

use etcetera::{BaseStrategy, choose_base_strategy};
use serde::Deserialize;

use crate::{
    cli::{
        env::Env,
        exit::{Code, Failure, Result},
    },
    graph::{self, Cloud, Credential, budget::Allowance},
    model::retention::Retention,
};

/// The config file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    pub archive: Option<PathBuf>,
    pub graph: GraphFile,
    pub retention: RetentionFile,
}

/// The table `[retention]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionFile {
    /// Usage countries of the users, two letters each: how long Microsoft keeps the logs goes by them.
    pub countries: Vec<String>,
}

/// The table `[graph]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GraphFile {
    pub tenant_id: Option<String>,
    pub client_id: Option<String>,
    pub cloud: Option<String>,
    pub authority_host: Option<String>,
    pub endpoint: Option<String>,
    /// Requests in any 20 seconds; Graph allows 1,500 for an app in a tenant.
    pub requests_per_20s: Option<u32>,
    /// Of one record: first pages in any 20 seconds; Graph allows 10.
    pub record_requests_per_20s: Option<u32>,
    /// Of one record: following pages in any 5 minutes; Graph allows 50.
    pub record_pages_per_5min: Option<u32>,
    /// Records fetched at a time.
    pub concurrency: Option<usize>,
}

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

    /// Resolves the settings of this run.
    pub fn resolve(archive: Option<PathBuf>, config: Option<PathBuf>, cloud: Option<String>, env: Env) -> Result<Self> {
        let named = config.or_else(|| env.config.clone());
        let file = match &named {
            Some(path) => read(path)?,
            None => {
                default_config().filter(|path| path.is_file()).map(|path| read(&path)).transpose()?.unwrap_or_default()
            }
        };
        let path = named.or_else(default_config);
        let archive_is_flag = archive.is_some();
        let named_archive = archive.or_else(|| env.archive.clone()).or_else(|| file.archive.clone());
        let archive_is_named = named_archive.is_some();
        let archive = named_archive.map_or_else(default_archive, Ok)?;
        Ok(Self { archive, archive_is_named, cloud_flag: cloud, archive_is_flag, path, file, env })
    }

    /// Settings that point at a given Graph, for the demo.
    #[must_use]
    pub fn of_demo(archive: PathBuf, env: Env, file: File) -> Self {
        Self { archive, archive_is_named: true, cloud_flag: None, archive_is_flag: true, path: None, file, env }
    }

    /// What the Graph client is to be told.
    pub fn graph(&self) -> Result<graph::Settings> {
        let (env, file) = (&self.env, &self.file.graph);
        let (Some(tenant_id), Some(client_id)) = (
            env.tenant_id.clone().or_else(|| file.tenant_id.clone()),
            env.client_id.clone().or_else(|| file.client_id.clone()),
        ) else {
            return Err(Failure::new(Code::Unauthorised, "AZURE_TENANT_ID and AZURE_CLIENT_ID are not set")
                .hint("set them to the tenant and to the app registration that may read call records"));
        };
        let Some(secret) = env.client_secret.clone() else {
            return Err(Failure::new(Code::Unauthorised, "no credential: AZURE_CLIENT_SECRET is not set")
                .hint("set it in the environment; secrets are never taken from flags or files"));
        };
        let cloud = self.cloud()?;
        let mut settings = graph::Settings::new(cloud, tenant_id, client_id, Credential::Secret(secret))?;
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

    /// The config file, whether it is there or not.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The proxies that the environment sets.
    #[must_use]
    pub fn proxies(&self) -> &[(&'static str, String)] {
        &self.env.proxies
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

fn read(path: &Path) -> Result<File> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::new(Code::Usage, format!("the config file {}: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        Failure::new(Code::Usage, format!("the config file {}, line {line}: {}", path.display(), error.message()))
    })
}

pub(super) fn default_config() -> Option<PathBuf> {
    choose_base_strategy().ok().map(|base| base.config_dir().join("callvault").join("config.toml"))
}

pub(super) fn default_archive() -> Result<PathBuf> {
    choose_base_strategy().map(|base| base.data_dir().join("callvault")).map_err(|_| {
        Failure::new(Code::Usage, "there is no home folder to keep the archive in").hint("name it with --archive DIR")
    })
}
