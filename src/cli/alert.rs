//! Alerts of a service: what is newly wrong is sent once, and once more when it is over.
//!
//! By the judgement of `/healthz`. What was sent is kept in `alerts.json` beside the archive's database, so that a service that starts again
//! repeats nothing; the file may be lost. Sending happens on a thread of its own and holds nobody up.

use std::{fs, thread, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    cli::{Context, config::AlertFile, program, whole},
    graph,
    model::time::{Age, Timestamp},
    status::{
        health::{Measure, Trouble},
        standing::Standing,
    },
};

/// How long a program may take to take an alert.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// The alerts of one service.
pub(super) struct Alerts {
    up_since: Timestamp,
    /// What was sent; `None` until it was read, and while somebody sends.
    sent: Option<Sent>,
    sending: Option<thread::JoinHandle<Sent>>,
}

/// What each way was told to be wrong and not to be over: one that fails makes the other repeat nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Sent {
    webhook: Vec<Trouble>,
    command: Vec<Trouble>,
}

/// What is sent.
#[derive(Debug, Serialize)]
struct Alert<'a> {
    /// For people, and for services that show just this.
    text: String,
    archive: String,
    state: State,
    at: Timestamp,
    #[serde(flatten)]
    trouble: &'a Trouble,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Begun,
    Over,
}

impl Alerts {
    pub(super) fn new() -> Self {
        Self { up_since: Timestamp::now(), sent: None, sending: None }
    }

    /// Sends what is due by how things stand now; what could not be sent is tried again after the next round.
    pub(super) fn after_round(&mut self, interval: Age, context: &Context) {
        let settings = context.config.alert();
        if !settings.is_set() || self.sending.as_ref().is_some_and(|sending| !sending.is_finished()) {
            return;
        }
        if let Some(Ok(sent)) = self.sending.take().map(thread::JoinHandle::join) {
            self.sent = Some(sent);
        }
        let Ok(policy) = context.config.policy() else { return };
        let standing = Standing::read(&context.folder(), Timestamp::now(), &policy);
        let wrong = standing.troubles(&Measure { interval, up_since: self.up_since });
        // A service that has just begun is patient with what was wrong before: that is not over for it.
        let not_over = standing.troubles(&Measure { interval, up_since: Timestamp(0) });
        let mut sent = self.sent.take().unwrap_or_else(|| read(context));
        let is_due = |told: &[Trouble]| !due(told, &wrong, &not_over).is_empty();
        let [webhook, command] = [settings.webhook.is_some(), !settings.command.is_empty()];
        if !(webhook && is_due(&sent.webhook) || command && is_due(&sent.command)) {
            self.sent = Some(sent);
            return;
        }
        let (own, settings) = (context.with(context.config.clone()), settings.clone());
        let send = move || {
            let before = sent.clone();
            let at = standing.local_now;
            for failed in send(&settings, &mut sent, (&wrong, &not_over), &own.config.archive.display().to_string(), at)
            {
                own.note(&format!("an alert could not be sent, and will be after the next round: {failed}"));
            }
            if sent != before {
                keep(&sent, &own);
            }
            sent
        };
        // Where the system gives no thread, the next round tries again.
        self.sending = thread::Builder::new().name("alerts".to_owned()).spawn(send).ok();
    }
}

/// Sends all that is due on each way, and notes what was taken; says what failed.
fn send(
    settings: &AlertFile,
    sent: &mut Sent,
    (wrong, not_over): (&[Trouble], &[Trouble]),
    archive: &str,
    at: Timestamp,
) -> Vec<String> {
    let mut failed = Vec::new();
    if let Some(url) = &settings.webhook {
        let all = due(&sent.webhook, wrong, not_over);
        failed.extend(deliver(all, &mut sent.webhook, archive, at, |json| posted(url, json)).err());
    }
    if !settings.command.is_empty() {
        let all = due(&sent.command, wrong, not_over);
        let given = |json: &str| program::feed(&settings.command, &format!("{json}\n"), Some(COMMAND_LIMIT));
        failed.extend(deliver(all, &mut sent.command, archive, at, given).err());
    }
    failed
}

/// One after the other; the first that is not taken ends it, since the others would fare no better.
fn deliver(
    due: Vec<(State, Trouble)>,
    told: &mut Vec<Trouble>,
    archive: &str,
    at: Timestamp,
    hand: impl Fn(&str) -> Result<(), String>,
) -> Result<(), String> {
    for (state, mut trouble) in due {
        // As it is told to have begun, it is told to be over.
        trouble.since = trouble.since.or(Some(at));
        let (archive, text) = (archive.to_owned(), text(state, &trouble, archive));
        let alert = Alert { text, archive, state, at, trouble: &trouble };
        hand(&serde_json::to_string(&alert).unwrap_or_default())?;
        told.retain(|known| !is_same(known, &trouble));
        if state == State::Begun {
            told.push(trouble);
        }
    }
    Ok(())
}

fn text(state: State, trouble: &Trouble, archive: &str) -> String {
    let about = trouble.source.as_ref().map_or_else(String::new, |source| format!(" ({source})"));
    let what = trouble.what.name().replace('_', " ");
    match state {
        State::Begun => format!("callvault {archive}: {what}{about}: {}", trouble.details),
        State::Over => format!("callvault {archive}: over: {what}{about}"),
    }
}

/// What is newly wrong, and what is over.
fn due(told: &[Trouble], wrong: &[Trouble], not_over: &[Trouble]) -> Vec<(State, Trouble)> {
    let is_in = |all: &[Trouble], one: &Trouble| all.iter().any(|other| is_same(other, one));
    let begun = wrong.iter().filter(|trouble| !is_in(told, trouble)).map(|trouble| (State::Begun, trouble.clone()));
    let over = told.iter().filter(|trouble| !is_in(wrong, trouble) && !is_in(not_over, trouble));
    begun.chain(over.map(|trouble| (State::Over, trouble.clone()))).collect()
}

fn is_same(one: &Trouble, other: &Trouble) -> bool {
    (one.what, &one.source) == (other.what, &other.source)
}

fn posted(url: &SecretString, json: &str) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(graph::alert::send(url.expose_secret(), json.as_bytes().to_vec()))
}

/// What was sent before; nothing where that cannot be told: then it is sent once more.
fn read(context: &Context) -> Sent {
    let text = fs::read_to_string(context.folder().alerts()).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn keep(sent: &Sent, context: &Context) {
    let folder = context.folder();
    // A folder without an archive is for others to make.
    if !folder.exists() {
        return;
    }
    let text = serde_json::to_string(sent).unwrap_or_default();
    if let Err(error) = whole::write(&folder.alerts(), text.as_bytes(), true) {
        context.note(&format!(
            "which alerts were sent is forgotten with this service: {}: {error}",
            folder.alerts().display()
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::health::What;

    fn trouble(what: What, source: Option<&str>) -> Trouble {
        Trouble { what, source: source.map(Into::into), since: None, details: "as it is".into() }
    }

    fn states(due: &[(State, Trouble)]) -> Vec<(State, What)> {
        due.iter().map(|(state, trouble)| (*state, trouble.what)).collect()
    }

    #[test]
    fn what_is_wrong_is_due_once_and_again_when_it_is_over() {
        let calls = trouble(What::CoverageAtRisk, Some("calls"));
        let sms = trouble(What::CoverageAtRisk, Some("sms"));
        let silent = trouble(What::NoRound, None);
        let due = |told: &[&Trouble], wrong: &[&Trouble], not_over: &[&Trouble]| {
            let [told, wrong, not_over] =
                [told, wrong, not_over].map(|all| all.iter().map(|one| (*one).clone()).collect::<Vec<_>>());
            states(&super::due(&told, &wrong, &not_over))
        };
        assert_eq!(
            due(&[], &[&calls, &silent], &[]),
            [(State::Begun, What::CoverageAtRisk), (State::Begun, What::NoRound)]
        );
        let worse = Trouble { details: "worse".into(), ..calls.clone() };
        assert_eq!(due(&[&calls], &[&worse], &[]), []);
        assert_eq!(due(&[&calls], &[&calls, &sms], &[]), [(State::Begun, What::CoverageAtRisk)]);
        assert_eq!(due(&[&calls, &silent], &[&silent], &[&silent]), [(State::Over, What::CoverageAtRisk)]);
        // A service that has just begun waits for its first round.
        assert_eq!(due(&[&silent], &[], &[&silent]), []);
    }

    #[test]
    fn what_was_not_taken_stays_due() {
        let all = vec![(State::Begun, trouble(What::NoRound, None)), (State::Begun, trouble(What::Waiting, None))];
        let mut told = Vec::new();
        let taken = |json: &str| if json.contains("waiting") { Err("no".to_owned()) } else { Ok(()) };
        assert!(deliver(all.clone(), &mut told, "/archive", Timestamp(0), taken).is_err());
        assert_eq!(told.iter().map(|trouble| trouble.what).collect::<Vec<_>>(), [What::NoRound]);
        assert_eq!(
            states(&due(&told, &all.iter().map(|(_, trouble)| trouble.clone()).collect::<Vec<_>>(), &[])),
            [(State::Begun, What::Waiting)]
        );
    }
}
