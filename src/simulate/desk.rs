//! What is to be sent next, and to whom: subscriptions, what became visible, what waits for its time. Decides; sends nothing.

use std::collections::BTreeMap;

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        World,
        deliveries::Deliveries,
        notices::{self, Forged, LifecycleEvent, Notice, Notifications, Spelling},
        subscriptions::{Change, Subscription, Subscriptions},
        timeline::{Appearance, Timeline},
        watched::Watched,
        world::Record,
    },
};

/// How it is sent, and by whom.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) settings: Notifications,
    pub(super) tenant: String,
    pub(super) seed: u64,
}

/// What lies on the table, by whoever sends and whoever changes subscriptions.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) subscriptions: Subscriptions,
    /// Begins with the first subscription.
    pub(super) timeline: Option<Timeline>,
    /// By when they are due; the number keeps apart what is due at the same time.
    pub(super) waiting: BTreeMap<(Timestamp, u64), Waiting>,
    numbers: u64,
    pub(super) deliveries: Deliveries,
}

#[derive(Debug)]
pub(super) enum Waiting {
    Notice(Notice),
    Forged {
        subscription: String,
        forged: Forged,
    },
    /// By hand, in one POST and past all faults.
    Batch {
        subscription: String,
        records: Vec<String>,
    },
    Lifecycle {
        subscription: Box<Subscription>,
        event: LifecycleEvent,
    },
}

/// A request that goes out.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) url: String,
    pub(super) body: String,
    /// How many of its items are true.
    pub(super) items: u64,
    /// Whose notifications these are; it is not tried again when that is no more.
    pub(super) subscription: Option<String>,
    /// Whoever forges does not try again.
    pub(super) is_forged: bool,
}

/// The POSTs of one subscription, in their order.
pub(super) type Posts = Vec<Post>;

impl Desk {
    /// Moves time on to `now` and takes from the desk what is to be sent.
    pub(super) fn due(&mut self, rules: &Rules, world: &World, now: Timestamp) -> Vec<Posts> {
        self.notice_what_appeared(rules, world, now);
        self.subscriptions.expire(now);
        self.ask_for_reauthorization(&rules.settings, now);
        let mut by_receiver: BTreeMap<String, Outgoing> = BTreeMap::new();
        let mut posts = Vec::new();
        for (key, waiting) in self.take_due(now) {
            match waiting {
                Waiting::Lifecycle { subscription, event } => {
                    posts.extend(rules.lifecycle_post(&subscription, event).map(|post| vec![post]));
                    self.deliveries.lifecycle += 1;
                }
                waiting => {
                    let patience = rules.settings.reauthorize_within;
                    let is_held =
                        self.subscriptions.get(waiting.subscription()).map(|known| known.is_held(now, patience));
                    match is_held {
                        Some(false) => {
                            by_receiver.entry(waiting.subscription().to_owned()).or_default().take(key, waiting);
                        }
                        Some(true) if now - key.0 <= rules.settings.retry_for => _ = self.waiting.insert(key, waiting),
                        Some(true) | None => self.deliveries.lost += waiting.true_items(),
                    }
                }
            }
        }
        for (id, outgoing) in by_receiver {
            posts.push(outgoing.posts(&id, self, rules, now));
        }
        self.deliveries.waiting += posts.iter().map(|posts| posts.len() as u64).sum::<u64>();
        posts.retain(|posts| !posts.is_empty());
        posts
    }

    fn notice_what_appeared(&mut self, rules: &Rules, world: &World, now: Timestamp) {
        let Desk { timeline: Some(timeline), subscriptions, .. } = self else { return };
        let mut fates = Vec::new();
        let appeared = timeline.advance(world, now);
        for appearance in &appeared {
            for subscription in subscriptions.iter().filter(|known| known.is_told_of(appearance, world)) {
                for change in subscription.wants(appearance.edition) {
                    let fate = rules.settings.fate(rules.seed, appearance, change, &subscription.id);
                    let due = appearance.at + rules.settings.latency;
                    fates.push((due, subscription.id.clone(), appearance.id.clone(), fate));
                }
            }
        }
        for (due, subscription, record, fate) in fates {
            let told = &mut self.deliveries;
            if fate.sent.is_empty() {
                told.dropped += 1;
                told.dropped_ids.push(record);
            }
            told.doubled += u64::from(fate.sent.len() == 2);
            told.late += u64::from(fate.is_late);
            told.overtaken += u64::from(fate.sent.iter().any(|(_, notice)| notice.is_overtaken));
            for (at, notice) in fate.sent {
                self.put(at, Waiting::Notice(notice));
            }
            if let Some(forged) = fate.forged {
                self.put(due, Waiting::Forged { subscription, forged });
            }
        }
    }

    /// Asks each subscription once in its life; without a place to ask at, none.
    fn ask_for_reauthorization(&mut self, settings: &Notifications, now: Timestamp) {
        let before = settings.reauthorize_before;
        let due = |known: &&Subscription| {
            !known.was_asked && known.draft.lifecycle_url.is_some() && known.asks_at(before) <= now
        };
        let asked: Vec<_> = self.subscriptions.iter().filter(due).cloned().collect();
        for subscription in asked {
            self.tell(subscription, LifecycleEvent::ReauthorizationRequired, now);
        }
    }

    pub(super) fn put(&mut self, due: Timestamp, waiting: Waiting) {
        self.numbers += 1;
        self.waiting.insert((due, self.numbers), waiting);
    }

    /// Sends an event about a subscription, if it has a place for it.
    pub(super) fn tell(&mut self, subscription: Subscription, event: LifecycleEvent, now: Timestamp) {
        if subscription.draft.lifecycle_url.is_none() {
            return;
        }
        if event == LifecycleEvent::ReauthorizationRequired
            && let Some(known) = self.subscriptions.get_mut(&subscription.id)
        {
            (known.asked, known.was_asked) = (known.asked.or(Some(now)), true);
        }
        self.put(now, Waiting::Lifecycle { subscription: Box::new(subscription), event });
    }

    fn take_due(&mut self, now: Timestamp) -> BTreeMap<(Timestamp, u64), Waiting> {
        let later = self.waiting.split_off(&(now + Age(1), 0));
        std::mem::replace(&mut self.waiting, later)
    }
}

impl Waiting {
    /// Whose receiver it is for.
    fn subscription(&self) -> &str {
        match self {
            Waiting::Notice(notice) => &notice.subscription,
            Waiting::Forged { subscription, .. } | Waiting::Batch { subscription, .. } => subscription,
            Waiting::Lifecycle { subscription, .. } => &subscription.id,
        }
    }

    fn true_items(&self) -> u64 {
        match self {
            Waiting::Notice(_) => 1,
            Waiting::Batch { records, .. } => records.len() as u64,
            Waiting::Forged { .. } | Waiting::Lifecycle { .. } => 0,
        }
    }
}

/// What goes to one subscription's receiver now.
#[derive(Debug, Default)]
struct Outgoing {
    notices: Vec<Notice>,
    overtaken: Vec<((Timestamp, u64), Notice)>,
    forged: Vec<Forged>,
    batches: Vec<Vec<String>>,
}

impl Outgoing {
    fn take(&mut self, key: (Timestamp, u64), waiting: Waiting) {
        match waiting {
            Waiting::Notice(notice) if notice.is_overtaken => self.overtaken.push((key, notice)),
            Waiting::Notice(notice) => self.notices.push(notice),
            Waiting::Forged { forged, .. } => self.forged.push(forged),
            Waiting::Batch { records, .. } => self.batches.push(records),
            Waiting::Lifecycle { .. } => {}
        }
    }

    /// Overtaken ones go last, and wait on the desk while there is nothing to overtake them.
    fn posts(mut self, id: &str, desk: &mut Desk, rules: &Rules, now: Timestamp) -> Posts {
        let Rules { settings, tenant, .. } = rules;
        for (key, notice) in std::mem::take(&mut self.overtaken) {
            if self.notices.is_empty() && now - key.0 < settings.late_by {
                desk.waiting.insert(key, Waiting::Notice(notice));
            } else {
                self.notices.push(notice);
            }
        }
        let Some(subscription) = desk.subscriptions.get(id) else { return Posts::new() };
        let url = &subscription.draft.notification_url;
        let post = |items: &[String], true_items: usize| Post {
            url: url.clone(),
            body: notices::body(items),
            items: true_items as u64,
            subscription: Some(id.to_owned()),
            is_forged: true_items == 0,
        };
        let (alone, among): (Vec<_>, Vec<_>) =
            self.forged.iter().partition(|forged| forged.is_alone || self.notices.is_empty());
        let mut among: Vec<_> =
            among.into_iter().map(|forged| notices::forged_item(forged, subscription, tenant)).collect();
        let mut posts = Posts::new();
        for chunk in self.notices.chunks(settings.batch_max.max(1)) {
            let mut items: Vec<_> = chunk.iter().map(|notice| notices::item(notice, subscription, tenant)).collect();
            // The first POST has them, before the true ones: who stops at the first wrong item loses the rest.
            items.splice(0..0, among.drain(..));
            posts.push(post(&items, chunk.len()));
        }
        for records in &self.batches {
            let change = subscription.draft.changes.last().copied().unwrap_or(Change::Updated);
            let items: Vec<_> = records
                .iter()
                .map(|record| Notice {
                    subscription: id.to_owned(),
                    record: record.clone(),
                    change,
                    spelling: Spelling::Usual,
                    is_overtaken: false,
                })
                .map(|notice| notices::item(&notice, subscription, tenant))
                .collect();
            posts.push(post(&items, items.len()));
        }
        posts.extend(alone.iter().map(|forged| post(&[notices::forged_item(forged, subscription, tenant)], 0)));
        desk.deliveries.sent += posts.iter().map(|post| post.items).sum::<u64>();
        desk.deliveries.forged += self.forged.len() as u64;
        desk.deliveries.forged_ids.extend(self.forged.into_iter().map(|forged| (forged.forgery, forged.record)));
        posts
    }
}

impl Subscription {
    /// Whether it was there when this appeared, and is about it.
    fn is_told_of(&self, appearance: &Appearance, world: &World) -> bool {
        let is_about = |record: &Record| match &self.draft.watched {
            Watched::All => true,
            Watched::With(ids) => ids.iter().any(|id| world.names(record, appearance.edition, id)),
        };
        appearance.at > self.made && world.find(&appearance.id).as_ref().is_some_and(is_about)
    }
}

impl Rules {
    fn lifecycle_post(&self, subscription: &Subscription, event: LifecycleEvent) -> Option<Post> {
        let url = subscription.draft.lifecycle_url.clone()?;
        let body = notices::body(&[notices::lifecycle_item(event, subscription, &self.tenant)]);
        Some(Post { url, body, items: 0, subscription: None, is_forged: false })
    }
}
