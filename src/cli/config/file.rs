//! What a config file may say. One that holds something secret is taken only when its owner alone can read it.

use std::{
    fs,
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

use crate::cli::{
    env::Env,
    exit::{Code, Failure, Result},
};

/// The config file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    pub archive: Option<PathBuf>,
    pub graph: GraphFile,
    pub sync: SyncFile,
    pub retention: RetentionFile,
    pub seal: SealFile,
    pub ledger: LedgerFile,
    pub journal: JournalFile,
    pub disposal: DisposalFile,
    pub listen: ListenFile,
    pub alert: AlertFile,
}

impl File {
    /// Reads the text of a config file.
    ///
    /// # Errors
    /// The line and what is wrong with it, without a word of what stands there.
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            format!("line {line}: {}", error.message())
        })
    }
}

/// The table `[sync]`: how often time is listed again.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyncFile {
    /// An hour is due again when its age has grown by this factor since it was last listed.
    pub relist_factor: Option<f64>,
    /// So long before Graph forgets an hour it is listed once more.
    pub sweep_margin: Option<String>,
    /// Ages below this count as this.
    pub age_min: Option<String>,
    /// With at most so many records of the last 30 days all of them are listed each time.
    pub list_all_rows: Option<u64>,
    /// How often a service looks for new calls.
    pub interval: Option<String>,
}

/// The table `[retention]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionFile {
    /// Usage countries of the users, two letters each: how long Microsoft keeps the logs goes by them.
    pub countries: Vec<String>,
}

/// The table `[seal]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SealFile {
    /// Whether `sync` seals months that are over.
    pub when_due: Option<bool>,
    /// How hard to compress, zstd's 1 to 22.
    pub level: Option<i64>,
}

/// The table `[ledger]`: who signs it, and where its checkpoints go.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerFile {
    /// The file of the key that signs.
    pub key: Option<PathBuf>,
    /// Where the newest checkpoint is put: a file, or a folder for all.
    pub checkpoint_file: Option<PathBuf>,
    /// A program and its arguments; the checkpoint is its standard input.
    pub checkpoint_command: Vec<String>,
    /// Whether `sync` and `seal` print it.
    pub checkpoint_stdout: bool,
    /// A time-stamp authority (RFC 3161) that vouches for when it was there.
    pub timestamp_url: Option<String>,
}

/// The table `[disposal]`: how long records are kept, and who may dispose of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DisposalFile {
    /// Whether a second person has to approve a disposal.
    pub approval: bool,
    pub rule: Vec<RuleFile>,
}

/// A table of `[[disposal.rule]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    pub kind: String,
    #[serde(rename = "type")]
    pub call_type: Option<String>,
    /// Whole days, weeks or years.
    pub keep: String,
}

/// The table `[journal]`: the journal of accesses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournalFile {
    /// Whether accesses are noted.
    pub keep: Option<bool>,
}

/// The table `[listen]`: the receiver of change notifications. Flags of the same names come first.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenFile {
    pub bind: Option<String>,
    pub public_url: Option<String>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    /// Where `/metrics` and `/healthz` are answered to others than this machine.
    pub metrics_bind: Option<String>,
    /// One secret for several receivers behind one address; made by each alone unless it is set.
    #[serde(deserialize_with = "secret")]
    pub client_state: Option<SecretString>,
    /// Requests of a second that are taken.
    pub requests_per_s: Option<u64>,
}

/// The table `[alert]`: who is told what is wrong with a service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertFile {
    /// Where alerts are posted as JSON. Whoever knows such an address can post there.
    #[serde(deserialize_with = "secret")]
    pub webhook: Option<SecretString>,
    /// A program and its arguments; the alert is its standard input, as JSON on one line.
    pub command: Vec<String>,
}

impl AlertFile {
    /// Whether anybody is to be told.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.webhook.is_some() || !self.command.is_empty()
    }
}

/// The table `[graph]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GraphFile {
    pub tenant_id: Option<String>,
    pub client_id: Option<String>,
    /// Which kind of credential is to be taken, if not the first that is set.
    pub credential: Option<String>,
    #[serde(deserialize_with = "secret")]
    pub client_secret: Option<SecretString>,
    pub client_certificate_path: Option<PathBuf>,
    #[serde(deserialize_with = "secret")]
    pub client_certificate_password: Option<SecretString>,
    pub federated_token_file: Option<PathBuf>,
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

/// Reads a config file, and refuses one with a secret that others can read or have made.
pub(super) fn read(path: &Path, env: &Env) -> Result<File> {
    let trouble = |what: String| Failure::new(Code::Usage, format!("the config file {}{what}", path.display()));
    let mut opened = fs::File::open(path).map_err(|error| trouble(format!(": {error}")))?;
    let mut text = Zeroizing::new(String::new());
    opened.read_to_string(&mut text).map_err(|error| trouble(format!(": {error}")))?;
    let file = File::parse(&text).map_err(|what| trouble(format!(", {what}")))?;
    let GraphFile { client_secret, client_certificate_password, .. } = &file.graph;
    let secrets = [client_secret, client_certificate_password, &file.listen.client_state, &file.alert.webhook];
    let holds_secret = secrets.iter().any(|secret| secret.is_some());
    // Of the file that was read, not of what stands under its name by now.
    let about = opened.metadata().map_err(|error| trouble(format!(": {error}")))?;
    let mode = about.permissions().mode();
    let me = rustix::process::geteuid().as_raw();
    if holds_secret && ![me, 0].contains(&about.uid()) {
        return Err(trouble(format!(" holds a secret and belongs to another user, of number {}", about.uid()))
            .hint(format!("chown {me} {}", path.display())));
    }
    // Of what systemd hands over the group's bits say who is on the file's list: the service alone.
    let is_handed_over = env.credentials.as_ref().is_some_and(|folder| path.starts_with(folder));
    let others = if is_handed_over { 0o037 } else { 0o077 };
    if holds_secret && mode & others != 0 {
        return Err(
            trouble(" holds a secret, and others can read it".to_owned()).hint(format!("chmod 600 {}", path.display()))
        );
    }
    Ok(file)
}

/// A text that no error message repeats.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<SecretString>, D::Error> {
    let text = String::deserialize(deserializer).map_err(|_| de::Error::custom("expected a text in quotes"))?;
    Ok(Some(SecretString::from(text)))
}
