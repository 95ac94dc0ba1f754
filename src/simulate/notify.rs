//! Sends notifications: what became visible, to whom it is due, again when it was not taken. A task of the simulator's own
//! runtime; a simulator in process sends nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, Semaphore};

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        World,
        deliveries::Deliveries,
        dice::Dice,
        notices::{self, Forged, Forgery, LifecycleEvent, Notice, Notifications, Spelling},
        outbound::Outbound,
        routes::Server,
        subscriptions::{Change, Subscription, Subscriptions},
        timeline::{Appearance, Timeline},
        watched::Watched,
        world::Record,
    },
};

/// How often it is looked what is due, in real time.
const TICK: Duration = Duration::from_millis(10);
/// How many POSTs may wait for their answers at once.
const IN_FLIGHT_MAX: usize = 64;

/// Who is told of what, and what came of it.
#[derive(Debug)]
pub(super) struct Notifier {
    pub(super) settings: Notifications,
    pub(super) outbound: Outbound,
    tenant: String,
    seed: u64,
    desk: Mutex<Desk>,
    wake: Notify,
    lines: Semaphore,
    thrown: AtomicU64,
}

/// What lies on the table, by whoever sends and whoever changes subscriptions.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) subscriptions: Subscriptions,
    /// Begins with the first subscription.
    timeline: Option<Timeline>,
    /// By when they are due; the number keeps apart what is due at the same time.
    waiting: BTreeMap<(Timestamp, u64), Waiting>,
    numbers: u64,
    deliveries: Deliveries,
}

#[derive(Debug)]
enum Waiting {
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
struct Post {
    url: String,
    body: String,
    /// How many of its items are true.
    items: u64,
    /// Whose notifications these are; it is not tried again when that is no more.
    subscription: Option<String>,
    /// Whoever forges does not try again.
    is_forged: bool,
}

/// The POSTs of one subscription, in their order.
type Posts = Vec<Post>;

impl Notifier {
    pub(super) fn new(settings: Notifications, authorities: Option<Vec<u8>>, tenant: String, seed: u64) -> Self {
        Self {
            outbound: Outbound::new(authorities, settings.answer_within),
            settings,
            tenant,
            seed,
            desk: Mutex::default(),
            wake: Notify::new(),
            lines: Semaphore::new(IN_FLIGHT_MAX),
            thrown: AtomicU64::new(0),
        }
    }

    /// The desk without the subscriptions whose end has come.
    pub(super) fn desk(&self, now: Timestamp) -> MutexGuard<'_, Desk> {
        let mut desk = self.locked();
        desk.subscriptions.expire(now);
        desk
    }

    fn locked(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self, subscription: Subscription, world: &World, now: Timestamp) {
        let mut desk = self.desk(now);
        desk.subscriptions.insert(subscription);
        desk.timeline.get_or_insert_with(|| Timeline::new(world, now));
        drop(desk);
        self.wake();
    }

    pub(super) fn planted(&self, record: &Record, now: Timestamp) {
        if let Some(timeline) = &mut self.locked().timeline {
            timeline.plant(record, now);
        }
        self.wake();
    }

    /// Something may be due now.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) fn deliveries(&self, now: Timestamp) -> Deliveries {
        let desk = self.desk(now);
        Deliveries { waiting: desk.waiting.len() as u64 + desk.deliveries.waiting, ..desk.deliveries.clone() }
    }

    pub(super) fn notify_now(&self, records: &[String], now: Timestamp) {
        let mut desk = self.desk(now);
        let ids: Vec<_> = desk.subscriptions.iter().map(|known| known.id.clone()).collect();
        for subscription in ids {
            desk.put(now, Waiting::Batch { subscription, records: records.to_vec() });
        }
        drop(desk);
        self.wake();
    }

    /// Sends a forged item to every subscription's receiver, each in a POST of its own; gives the id that they name.
    pub(super) fn forge_now(&self, forgery: Forgery, now: Timestamp) -> String {
        let mut dice = Dice::of(self.seed, &[0xf06, self.thrown.fetch_add(1, Ordering::Relaxed)]);
        let forged = Forged { is_alone: true, ..Forged::thrown(forgery, &mut dice) };
        let record = forged.record.clone();
        let mut desk = self.desk(now);
        let ids: Vec<_> = desk.subscriptions.iter().map(|known| known.id.clone()).collect();
        for subscription in ids {
            desk.put(now, Waiting::Forged { subscription, forged: forged.clone() });
        }
        drop(desk);
        self.wake();
        record
    }

    pub(super) fn send_lifecycle(&self, event: LifecycleEvent, now: Timestamp) {
        let mut desk = self.desk(now);
        let all: Vec<_> = desk.subscriptions.iter().cloned().collect();
        for subscription in all {
            desk.tell(subscription, event, now);
        }
        drop(desk);
        self.wake();
    }

    /// False when there is none of this id.
    pub(super) fn remove(&self, id: &str, event: Option<LifecycleEvent>, now: Timestamp) -> bool {
        let mut desk = self.desk(now);
        let Some(removed) = desk.subscriptions.remove(id) else { return false };
        if let Some(event) = event {
            desk.tell(removed, event, now);
        }
        drop(desk);
        self.wake();
        true
    }

    /// Moves time on to `now` and takes from the desk what is to be sent.
    fn due(&self, world: &World, now: Timestamp) -> Vec<Posts> {
        let mut desk = self.locked();
        self.notice_what_appeared(&mut desk, world, now);
        desk.subscriptions.expire(now);
        self.ask_for_reauthorization(&mut desk, now);
        let mut by_receiver: BTreeMap<String, Outgoing> = BTreeMap::new();
        let mut posts = Vec::new();
        for (key, waiting) in desk.take_due(now) {
            match waiting {
                Waiting::Lifecycle { subscription, event } => {
                    posts.extend(self.lifecycle_post(&subscription, event).map(|post| vec![post]));
                    desk.deliveries.lifecycle += 1;
                }
                waiting => {
                    let patience = self.settings.reauthorize_within;
                    let is_held =
                        desk.subscriptions.get(waiting.subscription()).map(|known| known.is_held(now, patience));
                    match is_held {
                        Some(false) => {
                            by_receiver.entry(waiting.subscription().to_owned()).or_default().take(key, waiting)
                        }
                        Some(true) if now - key.0 <= self.settings.retry_for => _ = desk.waiting.insert(key, waiting),
                        Some(true) | None => desk.deliveries.lost += waiting.true_items(),
                    }
                }
            }
        }
        for (id, outgoing) in by_receiver {
            posts.push(outgoing.posts(&id, &mut desk, self, now));
        }
        desk.deliveries.waiting += posts.iter().map(|posts| posts.len() as u64).sum::<u64>();
        posts.retain(|posts| !posts.is_empty());
        posts
    }

    fn notice_what_appeared(&self, desk: &mut Desk, world: &World, now: Timestamp) {
        let Desk { timeline: Some(timeline), subscriptions, .. } = desk else { return };
        let mut fates = Vec::new();
        let appeared = timeline.advance(world, now);
        // Whoever had filtered for a participant is asked for each appearance: the people of a call are thrown anew each time.
        let mut records: HashMap<String, Option<Record>> = HashMap::new();
        for appearance in &appeared {
            for subscription in subscriptions.iter().filter(|known| known.is_told_of(appearance)) {
                if let Watched::With(ids) = &subscription.draft.watched {
                    let record = records.entry(appearance.id.clone()).or_insert_with(|| world.find(&appearance.id));
                    let is_in =
                        |id| record.as_ref().is_some_and(|record: &Record| world.names(record, appearance.edition, id));
                    if !ids.iter().any(|id| is_in(id)) {
                        continue;
                    }
                }
                for change in subscription.wants(appearance.edition) {
                    let fate = self.settings.fate(self.seed, appearance, change, &subscription.id);
                    let due = appearance.at + self.settings.latency;
                    fates.push((due, subscription.id.clone(), appearance.id.clone(), fate));
                }
            }
        }
        for (due, subscription, record, fate) in fates {
            let told = &mut desk.deliveries;
            if fate.sent.is_empty() {
                told.dropped += 1;
                told.dropped_ids.push(record);
            }
            told.doubled += u64::from(fate.sent.len() == 2);
            told.late += u64::from(fate.is_late);
            told.overtaken += u64::from(fate.sent.iter().any(|(_, notice)| notice.is_overtaken));
            for (at, notice) in fate.sent {
                desk.put(at, Waiting::Notice(notice));
            }
            if let Some(forged) = fate.forged {
                desk.put(due, Waiting::Forged { subscription, forged });
            }
        }
    }

    /// Asks each subscription once in its life; without a place to ask at, none.
    fn ask_for_reauthorization(&self, desk: &mut Desk, now: Timestamp) {
        let before = self.settings.reauthorize_before;
        let due = |known: &&Subscription| {
            !known.was_asked && known.draft.lifecycle_url.is_some() && known.asks_at(before) <= now
        };
        let asked: Vec<_> = desk.subscriptions.iter().filter(due).cloned().collect();
        for subscription in asked {
            desk.tell(subscription, LifecycleEvent::ReauthorizationRequired, now);
        }
    }

    fn lifecycle_post(&self, subscription: &Subscription, event: LifecycleEvent) -> Option<Post> {
        let url = subscription.draft.lifecycle_url.clone()?;
        let body = notices::body(&[notices::lifecycle_item(event, subscription, &self.tenant)]);
        Some(Post { url, body, items: 0, subscription: None, is_forged: false })
    }

    async fn attempt(&self, post: &Post) -> bool {
        let Ok(_line) = self.lines.acquire().await else { return false };
        let is_taken = self.outbound.post(&post.url, post.body.clone()).await;
        let told = &mut self.locked().deliveries;
        told.posts += 1;
        if is_taken {
            told.accepted += post.items;
        } else {
            told.refused += 1;
        }
        is_taken
    }

    /// A POST is done with, one way or the other.
    fn settle(&self, post: &Post, is_taken: bool) {
        let told = &mut self.locked().deliveries;
        told.waiting -= 1;
        if !is_taken {
            told.lost += post.items;
        }
    }

    fn may_be_retried(&self, post: &Post, began: Timestamp, now: Timestamp) -> bool {
        let is_there = |id: &String| self.desk(now).subscriptions.get(id).is_some();
        !post.is_forged && now - began <= self.settings.retry_for && post.subscription.as_ref().is_none_or(is_there)
    }
}

/// Sends what becomes due until the runtime ends.
pub(super) async fn run(server: Arc<Server>) {
    let notifier = &server.notifier;
    loop {
        for posts in notifier.due(&server.world, server.clock.now()) {
            tokio::spawn(deliver(server.clone(), posts));
        }
        let is_idle = {
            let desk = notifier.locked();
            desk.waiting.is_empty() && desk.subscriptions.len() == 0
        };
        if is_idle {
            notifier.wake.notified().await;
        } else {
            tokio::select! {
                () = notifier.wake.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }
}

/// Sends in order; what is not taken is tried again beside the rest.
async fn deliver(server: Arc<Server>, posts: Posts) {
    for post in posts {
        if server.notifier.attempt(&post).await {
            server.notifier.settle(&post, true);
        } else {
            tokio::spawn(retry(server.clone(), post));
        }
    }
}

async fn retry(server: Arc<Server>, post: Post) {
    let notifier = &server.notifier;
    let (began, mut pause) = (server.clock.now(), notifier.settings.retry_pause);
    while notifier.may_be_retried(&post, began, server.clock.now()) {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(notifier.settings.retry_pause_max);
        notifier.locked().deliveries.retried += 1;
        if notifier.attempt(&post).await {
            return notifier.settle(&post, true);
        }
    }
    notifier.settle(&post, false);
}

impl Desk {
    fn put(&mut self, due: Timestamp, waiting: Waiting) {
        self.numbers += 1;
        self.waiting.insert((due, self.numbers), waiting);
    }

    /// Sends an event about a subscription, if it has a place for it.
    fn tell(&mut self, subscription: Subscription, event: LifecycleEvent, now: Timestamp) {
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
    fn posts(mut self, id: &str, desk: &mut Desk, notifier: &Notifier, now: Timestamp) -> Posts {
        let Notifier { settings, tenant, .. } = notifier;
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
    /// Whether it was there when this appeared.
    fn is_told_of(&self, appearance: &Appearance) -> bool {
        appearance.at > self.made
    }
}
