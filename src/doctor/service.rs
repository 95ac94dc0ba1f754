//! Whether Graph can be asked: hosts, clock, token, permissions, and each source by its smallest request.

use std::{sync::Arc, time::Duration};

use crate::{
    doctor::{
        check::{Check, Risk},
        mend::{self, App},
    },
    graph::{self, Claims, Client, Cloud, Credential, Error, IMPATIENT, Reached},
    model::{
        source::{GRAPH_APP_ID, Source},
        time::{Age, Timestamp},
    },
};

/// For one request: longer waits only whoever cannot be reached.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Microsoft takes assertions and tokens for so long before and after their time.
const SKEW_FAIL: Age = Age::minutes(5);

/// What is asked, and by whom.
#[derive(Debug)]
pub struct Service<'a> {
    pub settings: graph::Settings,
    pub cloud: Cloud,
    /// Sources that the archive holds: they were permitted once.
    pub kept: &'a [Source],
    /// This machine's clock.
    pub now: Timestamp,
}

/// What came of it.
#[derive(Debug)]
pub struct Asked {
    pub checks: Vec<Check>,
    /// How far Microsoft's clock is ahead of this machine's, where it could be seen.
    pub ahead: Option<Age>,
}

/// Asks each host and each source once. Never fails: what fails is a finding.
pub async fn graph_checks(service: Service<'_>) -> Asked {
    let Service { mut settings, cloud, kept, now } = service;
    settings.limits = IMPATIENT;
    settings.timeout = TIMEOUT;
    let mut examined = Examined {
        cloud,
        kept,
        login_host: settings.login_host.clone(),
        graph_host: settings.graph_host.clone(),
        tenant_id: settings.tenant_id.clone(),
        app: App {
            client_id: settings.client_id.clone().unwrap_or_else(|| "\"$AZURE_CLIENT_ID\"".to_owned()),
            is_managed: matches!(settings.credential, Credential::Managed(_)),
        },
        credential: settings.credential.name(),
        asks_login_host: settings.credential.asks_login_host(),
        checks: Vec::new(),
        ahead: None,
    };
    match Client::new(settings, Arc::new(())) {
        Ok(client) => examined.ask(&client, now).await,
        Err(error) => {
            examined.checks.push(mend::failed("client", &error, &examined.app));
            examined.checks.extend(graph_skipped("the client cannot start"));
        }
    }
    Asked { checks: examined.checks, ahead: examined.ahead }
}

/// The lines of all that is not even tried.
#[must_use]
pub fn graph_skipped(why: &str) -> Vec<Check> {
    let names = HOSTS.iter().chain(["sign-in"].iter()).chain(&OF_TOKEN).copied();
    names.chain(Source::ALL.map(Source::name)).map(|name| Check::skipped(name, why)).collect()
}

const HOSTS: [&str; 3] = ["login-host", "graph-host", "clock"];
/// What is read in a token.
const OF_TOKEN: [&str; 3] = ["tenant", "audience", "permissions"];

/// The lines so far, and what they are about.
struct Examined<'a> {
    cloud: Cloud,
    kept: &'a [Source],
    login_host: url::Url,
    graph_host: url::Url,
    tenant_id: Option<String>,
    app: App,
    credential: &'static str,
    asks_login_host: bool,
    checks: Vec<Check>,
    ahead: Option<Age>,
}

impl Examined<'_> {
    async fn ask(&mut self, client: &Client, now: Timestamp) {
        let login_host = self.login_host.clone();
        let graph_host = self.graph_host.clone();
        let can_sign_in = if self.asks_login_host {
            self.reach(client, "login-host", &login_host).await
        } else {
            self.skip(["login-host"], &format!("not asked: the token comes by {}", self.credential));
            true
        };
        let can_ask = self.reach(client, "graph-host", &graph_host).await;
        self.clock();
        let claims =
            if can_sign_in { self.sign_in(client, now).await } else { Err("the login host cannot be reached") };
        let claims = match claims {
            Ok(claims) => claims,
            Err(why) => return self.skip_token(why),
        };
        match &claims {
            Some(claims) => self.claims(claims),
            None => self.skip(OF_TOKEN, "the token cannot be read, which means nothing"),
        }
        let now = now + self.ahead.unwrap_or_default();
        for source in Source::ALL {
            let roles = claims.as_ref().map(|claims| claims.roles.as_slice());
            let check = match self.without_asking(source, roles) {
                Some(check) => check,
                None if can_ask => self.source(client, source, now).await,
                None => Check::skipped(source.name(), "Graph's host cannot be reached"),
            };
            self.checks.push(check);
        }
    }

    async fn reach(&mut self, client: &Client, check: &str, host: &url::Url) -> bool {
        match client.reach(host).await {
            Ok(Reached { took, ahead, .. }) => {
                self.ahead = self.ahead.or(ahead);
                let finding = format!("{} answers after {} ms", address(host), took.as_millis());
                self.checks.push(Check::ok(check, finding));
                true
            }
            Err(error) => {
                self.checks.push(mend::failed(check, &error, &self.app));
                false
            }
        }
    }

    fn clock(&mut self) {
        let check = match self.ahead {
            None => Check::skipped("clock", "no host told the time"),
            Some(ahead) => clock(ahead),
        };
        self.checks.push(check);
    }

    async fn sign_in(&mut self, client: &Client, now: Timestamp) -> Result<Option<Claims>, &'static str> {
        let claims = match client.claims().await {
            Ok(claims) => claims,
            Err(error) => {
                self.checks.push(mend::failed("sign-in", &error, &self.app));
                return Err("there is no token");
            }
        };
        let told = claims.as_ref().map_or_else(String::new, |claims| {
            let app = claims.client_id.as_deref().unwrap_or("?");
            let life = claims.expires.map(|expires| expires - (now + self.ahead.unwrap_or_default()));
            let minutes =
                life.map_or_else(String::new, |life| format!(", good for {} min", life.to_duration().as_secs() / 60));
            format!(" for the app {app}{minutes}")
        });
        self.checks.push(Check::ok("sign-in", format!("a token by {}{told}", self.credential)));
        Ok(claims)
    }

    fn claims(&mut self, claims: &Claims) {
        let checks = [
            tenant(claims.tenant_id.as_deref(), self.tenant_id.as_deref()),
            audience(claims.audience.as_deref(), self.cloud, &self.graph_host),
            permissions(&claims.roles, &self.app),
        ];
        self.checks.extend(checks);
    }

    /// A source of which it is known already that asking is in vain.
    fn without_asking(&self, source: Source, roles: Option<&[String]>) -> Option<Check> {
        let roles = roles?;
        if !self.cloud.has(source) {
            return Some(Check::skipped(source.name(), format!("the cloud {} does not have it", self.cloud)));
        }
        if source.is_permitted(roles) {
            return None;
        }
        let permission = source.permission();
        let mend = mend::grant(permission, &self.app);
        let any_events = Source::ALL.iter().any(|source| source.is_of_events() && source.is_permitted(roles));
        Some(if self.kept.contains(&source) {
            let finding =
                format!("the app lacks {permission}, and the archive holds it: the permission was taken away");
            Check::fail(source.name(), finding, mend, Risk::Unauthorised)
        } else if source == Source::Calls && !any_events {
            let finding = format!("the app lacks {permission}: there is nothing to archive");
            Check::fail(source.name(), finding, mend, Risk::Unauthorised)
        } else {
            Check::warn(source.name(), format!("the app lacks {permission}: sync leaves it out"), mend)
        })
    }

    async fn source(&self, client: &Client, source: Source, now: Timestamp) -> Check {
        let beta = if source.is_beta() { "; beta: Graph may change or withdraw it" } else { "" };
        match client.probe(source, now).await {
            Ok(rows) => Check::ok(source.name(), format!("permitted, answers with {rows} rows{beta}")),
            // Some clouds have no beta, and nobody says which.
            Err(error @ (Error::NotFound { .. } | Error::Status { status: 400 | 404, .. }))
                if source != Source::Calls && !self.kept.contains(&source) =>
            {
                Check::warn(
                    source.name(),
                    format!("Graph does not serve it: {error}{beta}"),
                    "nothing to do if this cloud does not have it; sync leaves it out",
                )
            }
            Err(error) => mend::failed(source.name(), &error, &self.app),
        }
    }

    fn skip<const N: usize>(&mut self, names: [&str; N], why: &str) {
        self.checks.extend(names.map(|name| Check::skipped(name, why)));
    }

    /// Everything that takes a token.
    fn skip_token(&mut self, why: &str) {
        let signed_in = self.checks.iter().any(|check| check.check == "sign-in");
        if !signed_in {
            self.skip(["sign-in"], why);
        }
        self.skip(OF_TOKEN, why);
        self.skip(Source::ALL.map(Source::name), why);
    }
}

/// How wrong this machine's clock is, in words, where Microsoft's is `ahead` of it.
#[must_use]
pub fn clock_words(ahead: Age) -> String {
    let seconds = Age(ahead.0.abs()).to_duration().as_secs();
    let way = if ahead.0 > 0 { "behind" } else { "ahead of" };
    format!("this machine's clock is {seconds} s {way} Microsoft's")
}

fn clock(ahead: Age) -> Check {
    let size = Age(ahead.0.abs());
    let finding = clock_words(ahead);
    let mend = "set it right and keep it so: timedatectl set-ntp true";
    if size > SKEW_FAIL {
        Check::fail(
            "clock",
            format!("{finding}: assertions are refused, and deadlines are wrong"),
            mend,
            Risk::Settings,
        )
    } else if size > graph::CLOCK_TOLERANCE {
        Check::warn("clock", finding, mend)
    } else {
        Check::ok("clock", "agrees with Microsoft's to a minute")
    }
}

fn tenant(told: Option<&str>, configured: Option<&str>) -> Check {
    let Some(told) = told else { return Check::skipped("tenant", "the token does not name its tenant") };
    let Some(configured) = configured else { return Check::ok("tenant", told) };
    let is_id = |text: &str| uuid::Uuid::try_parse(text).is_ok();
    if !is_id(configured) {
        return Check::ok("tenant", format!("{told}, of the domain {configured}"));
    }
    if told.eq_ignore_ascii_case(configured) {
        return Check::ok("tenant", told);
    }
    Check::fail(
        "tenant",
        format!("the token is of the tenant {told}, set is {configured}"),
        "set AZURE_TENANT_ID to the tenant whose records are meant, and sign in with an app of that tenant",
        Risk::Unauthorised,
    )
}

/// A token names Graph by its host or by its app id. Where another host is set, as for a test, the cloud's own is good too.
fn audience(told: Option<&str>, cloud: Cloud, graph_host: &url::Url) -> Check {
    let Some(told) = told else { return Check::skipped("audience", "the token does not say whom it is for") };
    let bare = told.trim_end_matches('/');
    let hosts = [cloud.graph_host().to_owned(), address(graph_host), GRAPH_APP_ID.to_owned()];
    if hosts.iter().any(|host| host.eq_ignore_ascii_case(bare)) {
        return Check::ok("audience", told);
    }
    let theirs = Cloud::ALL.into_iter().find(|cloud| cloud.graph_host().eq_ignore_ascii_case(bare));
    let whose = theirs.map_or_else(|| "not Graph's".to_owned(), |theirs| format!("that of the cloud {theirs}"));
    Check::fail(
        "audience",
        format!("the token is for {told}, {whose}, and not for {}", address(graph_host)),
        theirs.map_or_else(
            || "check CALLVAULT_GRAPH_ENDPOINT and --cloud".to_owned(),
            |theirs| format!("set the cloud: --cloud {theirs}, or CALLVAULT_CLOUD={theirs}"),
        ),
        Risk::Unauthorised,
    )
}

fn permissions(roles: &[String], app: &App) -> Check {
    if roles.is_empty() {
        return Check::fail(
            "permissions",
            "the token has no application permission: none was added to the app, or admin consent is missing",
            mend::grant(Source::Calls.permission(), app),
            Risk::Unauthorised,
        );
    }
    Check::ok("permissions", roles.join(", "))
}

fn address(host: &url::Url) -> String {
    host.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{doctor::check::State, graph::cloud};

    #[test]
    fn a_clock_is_judged_by_how_far_it_is_off_either_way() {
        let state = |seconds: i64| clock(Age::seconds(seconds)).state;
        let states = [0, 60, -60, 61, -90, 300].map(state);
        assert_eq!(states, [State::Ok, State::Ok, State::Ok, State::Warn, State::Warn, State::Warn]);
        assert_eq!((state(301), state(-3600)), (State::Fail, State::Fail));
        assert!(clock(Age::hours(1)).finding.contains("3600 s behind"));
        assert!(clock(Age(-Age::hours(1).0)).finding.contains("3600 s ahead of"));
    }

    #[test]
    fn a_token_of_another_tenant_or_cloud_is_told_by_its_claims() {
        let (one, other) = ("53c6df1f-9d5c-4d2f-a5b5-19b9a76b1d4e", "00000000-9d5c-4d2f-a5b5-19b9a76b1d4e");
        assert_eq!(tenant(Some(one), Some(&one.to_uppercase())).state, State::Ok);
        assert_eq!(tenant(Some(one), Some("contoso.com")).state, State::Ok);
        let wrong = tenant(Some(one), Some(other));
        assert!(wrong.state == State::Fail && wrong.finding.contains(one) && wrong.finding.contains(other));

        let graph = cloud::parse_host("https://graph.microsoft.com").unwrap();
        for good in ["https://graph.microsoft.com", "https://graph.microsoft.com/", GRAPH_APP_ID] {
            assert_eq!(audience(Some(good), Cloud::Global, &graph).state, State::Ok, "{good}");
        }
        let wrong = audience(Some("https://graph.microsoft.us"), Cloud::Global, &graph);
        assert_eq!((wrong.state, wrong.risk), (State::Fail, Some(Risk::Unauthorised)));
        assert!(wrong.mend.unwrap().contains("--cloud usgov-l4"));
    }
}
