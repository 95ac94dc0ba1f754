//! Keeps the subscription by which Graph announces call records: makes it, renews it long before its end, makes it anew when it is gone.
//!
//! One at a time does that for an app: Graph takes no second subscription to the same records. So what is there is looked at before anything is
//! made, and a subscription of another receiver is left alone. Whenever there was none, or it may have been silent, the time is noted as
//! missed, and lists find what was not announced.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use crate::{
    archive::{
        self,
        inbox::{Inbox, Instant, Secrets, Subscription},
    },
    graph::{
        self, Client,
        subscriptions::{LIFE_MAX, Shown, Wanted},
    },
    model::time::{Age, Span, Timestamp},
};

/// Graph refuses an end that is too far by its clock, which comes in whole seconds.
const LIFE: Age = Age(LIFE_MAX.0 - Age::minutes(5).0);
/// How often the inbox is asked whether Graph wants something of the subscription.
const GLANCE: std::time::Duration = std::time::Duration::from_secs(5);
/// Longest and first wait after a failure.
const FAILED_FIRST: Age = Age::seconds(15);
const FAILED_LONGEST: Age = Age::minutes(10);
/// How long a subscription of another receiver is left alone before it is looked for again.
const OTHERS: Age = Age::minutes(5);
/// The random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// What keeps a receiver from having a subscription.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Graph(#[from] graph::Error),
    #[error("the inbox: {0}")]
    Inbox(#[from] archive::Error),
    /// Graph could not have the address validated.
    #[error("Graph could not validate {url}: {cause}")]
    Unreachable { url: String, cause: String },
    #[error("another receiver has a subscription of this app, at {url} until {expires}: it is left alone")]
    Others { url: String, expires: Timestamp },
    #[error(
        "this receiver's subscription was replaced by another one at the same address: give all receivers behind it one secret ([listen] client_state)"
    )]
    Replaced,
}

/// Where a subscription leads.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub notification: String,
    pub lifecycle: String,
}

/// The keeper of one receiver.
pub struct Keeper {
    graph: Client,
    inbox: Inbox,
    addresses: Addresses,
    /// How soon it is noticed that a subscription vanished without a word.
    interval: Age,
    /// One secret for several receivers behind one address.
    shared_secret: Option<String>,
    secret: String,
    secrets: watch::Sender<Secrets>,
    /// Whether one was made in place of a stranger at our address: that is done once, until one of ours has lived long enough to be renewed.
    /// Two receivers would do it for ever; a single one finds its own a stranger when Graph's answer to its making was lost.
    has_replaced: bool,
    failures: u32,
}

impl Keeper {
    /// # Errors
    /// When the inbox cannot be read, or there is no chance for a secret.
    pub fn new(
        graph: Client,
        inbox: Inbox,
        addresses: Addresses,
        interval: Age,
        shared_secret: Option<String>,
    ) -> Result<(Self, watch::Receiver<Secrets>), Error> {
        let own = inbox.subscriptions()?;
        let kept_secret = own.last().map(|kept| kept.client_state.clone());
        let secret = shared_secret.clone().or(kept_secret).unwrap_or_else(new_secret);
        let kept = own.into_iter().map(|kept| (kept.id, kept.client_state)).collect();
        let (secrets, told) = watch::channel(Secrets { kept, making: None });
        let keeper = Self {
            graph,
            inbox,
            addresses,
            interval,
            shared_secret,
            secret,
            secrets,
            has_replaced: false,
            failures: 0,
        };
        Ok((keeper, told))
    }

    /// Looks at the subscription and does what is due; returns what went wrong, and how long to wait before the next look.
    pub async fn look(&mut self, now: Timestamp) -> (Result<(), Error>, Age) {
        let outcome = self.keep(now).await;
        // It is known by its id now, or was not made.
        self.secrets.send_modify(|secrets| secrets.making = None);
        let noted = match &outcome {
            Ok(_) => self.inbox.clear(Instant::KeepingFailed),
            Err(_) => self.inbox.set(Instant::KeepingFailed, now),
        };
        let outcome = outcome.and_then(|expires| noted.map(|()| expires).map_err(Error::from));
        match outcome {
            Ok(expires) => {
                self.failures = 0;
                let until_renewal = Age((expires - self.now(now)).0 - LIFE.0 / 2);
                (Ok(()), spread(until_renewal.clamp(Age::seconds(1), self.interval.max(Age::seconds(1)))))
            }
            Err(error @ (Error::Others { .. } | Error::Replaced)) => (Err(error), spread(OTHERS)),
            Err(error) => {
                let wait = Age(FAILED_FIRST.0.saturating_mul(1 << self.failures.min(10))).min(FAILED_LONGEST);
                self.failures += 1;
                (Err(error), spread(wait))
            }
        }
    }

    /// Waits until the inbox says that Graph asks for a look at the subscription; `arrived` is told of whatever comes.
    pub async fn asked_for(&mut self, arrived: &Notify) {
        loop {
            // Others wait for the same word: it may have gone to them.
            let _ = timeout(GLANCE, arrived.notified()).await;
            if self.inbox.instant(Instant::Reauthorize).is_ok_and(|asked| asked.is_some()) {
                return;
            }
        }
    }

    /// Ends every subscription that this receiver keeps; says how many.
    ///
    /// # Errors
    /// The first that Graph does not end; those before it are ended.
    pub async fn end(&mut self) -> Result<usize, Error> {
        let own = self.inbox.subscriptions()?;
        for kept in &own {
            self.graph.unsubscribe(&kept.id).await?;
            self.inbox.remove_subscription(&kept.id)?;
        }
        self.tell()?;
        Ok(own.len())
    }

    /// Graph's time, once it has said something.
    fn now(&self, local: Timestamp) -> Timestamp {
        self.graph.server_time().unwrap_or(local)
    }

    /// Returns when the subscription ends that is there now.
    async fn keep(&mut self, local_now: Timestamp) -> Result<Timestamp, Error> {
        let shown: Vec<Shown> = self.graph.subscriptions().await?.into_iter().filter(Shown::is_of_calls).collect();
        let now = self.now(local_now);
        let mut at_hand = None;
        for kept in self.inbox.subscriptions()? {
            let there = shown.iter().find(|shown| shown.id == kept.id);
            let is_ours = kept.notification_url == self.addresses.notification
                && self.shared_secret.as_ref().is_none_or(|secret| *secret == kept.client_state);
            match there {
                Some(there) if is_ours => at_hand = Some(Subscription { expires: there.expires, ..kept }),
                // Under another address or with another secret nothing of it would arrive.
                Some(there) => {
                    self.graph.unsubscribe(&there.id).await?;
                    self.inbox.remove_subscription(&kept.id)?;
                }
                None => {
                    tracing::warn!(subscription = kept.id, "the subscription is gone");
                    self.inbox.remove_subscription(&kept.id)?;
                }
            }
        }
        let kept = match at_hand {
            Some(kept) => kept,
            None => {
                let begun = self.begin(&shown, local_now).await?;
                // Whatever fails from here on: its notifications are known by its secret.
                self.inbox.put_subscription(&begun)?;
                self.tell()?;
                begun
            }
        };
        let asked = self.inbox.instant(Instant::Reauthorize)?;
        let is_due = kept.expires - now < Age(LIFE.0 / 2) || asked.is_some_and(|asked| asked > kept.renewed);
        let kept = if is_due { self.renew(kept, now, local_now).await? } else { kept };
        self.inbox.put_subscription(&kept)?;
        self.inbox.set(Instant::Subscribed, local_now)?;
        // One that was made since then is as good as renewed. What is asked for meanwhile stays.
        if let Some(asked) = asked {
            self.inbox.clear_this(Instant::Reauthorize, asked)?;
        }
        self.tell()?;
        Ok(kept.expires)
    }

    async fn renew(&mut self, kept: Subscription, now: Timestamp, local_now: Timestamp) -> Result<Subscription, Error> {
        let renewed = self.graph.renew(&kept.id, now + LIFE).await?;
        tracing::info!(subscription = kept.id, until = %renewed.expires, "the subscription is renewed");
        self.has_replaced = false;
        Ok(Subscription { expires: renewed.expires, renewed: local_now, ..kept })
    }

    /// Takes over a subscription that leads here, or makes one.
    async fn begin(&mut self, shown: &[Shown], local_now: Timestamp) -> Result<Subscription, Error> {
        let address = self.addresses.notification.clone();
        let here = |shown: &&Shown| shown.notification_url == address;
        let of_kept = |shown: &Shown, secret: &str| Subscription {
            id: shown.id.clone(),
            notification_url: shown.notification_url.clone(),
            client_state: secret.to_owned(),
            expires: shown.expires,
            created: local_now,
            renewed: local_now,
        };
        if let Some(stranger) = shown.iter().find(here) {
            match &self.shared_secret {
                // Another receiver behind the same address made it.
                Some(secret) => {
                    let adopted = of_kept(stranger, secret);
                    self.note_silence(local_now)?;
                    return Ok(adopted);
                }
                None if self.has_replaced => return Err(Error::Replaced),
                // Its secret went with an inbox that was lost.
                None => {
                    tracing::warn!(
                        subscription = stranger.id,
                        "a subscription at this address whose secret nobody knows is replaced"
                    );
                    self.graph.unsubscribe(&stranger.id).await?;
                    self.has_replaced = true;
                }
            }
        }
        // Whoever lost it to another receiver would make it anew, and so on for ever.
        let expires = self.now(local_now) + LIFE;
        let Addresses { notification, lifecycle } = self.addresses.clone();
        let wanted =
            Wanted { notification_url: &notification, lifecycle_url: &lifecycle, client_state: &self.secret, expires };
        self.secrets.send_modify(|secrets| secrets.making = Some(self.secret.clone()));
        let made = self.graph.subscribe(&wanted).await;
        match made {
            Ok(made) => {
                tracing::info!(subscription = made.id, until = %made.expires, "subscribed to call records");
                self.note_silence(local_now)?;
                // What Graph gives back is what it will compare: its spelling of the address counts.
                let kept = of_kept(&made, &self.secret);
                Ok(Subscription { notification_url: notification, ..kept })
            }
            Err(graph::Error::Status { status: 409, url, refusal }) => {
                let other = shown.iter().find(|shown| !here(shown)).cloned();
                Err(other.map_or(Error::Graph(graph::Error::Status { status: 409, url, refusal }), |other| {
                    Error::Others { url: other.notification_url, expires: other.expires }
                }))
            }
            Err(graph::Error::Status { status: 400, refusal, .. }) => {
                Err(Error::Unreachable { url: notification, cause: refusal.to_string() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Notes the time since a subscription was last there.
    fn note_silence(&mut self, local_now: Timestamp) -> Result<(), Error> {
        if let Some(from) = self.inbox.instant(Instant::Subscribed)? {
            self.inbox.note_missed(Span::new(from, local_now.max(from)), "there was no subscription")?;
        }
        Ok(())
    }

    fn tell(&self) -> Result<(), Error> {
        let kept = self.inbox.subscriptions()?.into_iter().map(|kept| (kept.id, kept.client_state)).collect();
        self.secrets.send_modify(|secrets| secrets.kept = kept);
        Ok(())
    }
}

/// Two receivers that met the same outage do not come back together.
fn spread(wait: Age) -> Age {
    Age(rand::random_range(wait.0 / 5 * 4..=wait.0))
}

fn new_secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>())
}
