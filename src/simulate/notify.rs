//! Sends notifications: what became visible, to whom it is due, again when it was not taken. A task of the simulator's own
//! runtime; a simulator in process sends nothing.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, Semaphore};

use crate::{
    model::time::Timestamp,
    simulate::{
        World,
        deliveries::Deliveries,
        desk::{Desk, Post, Posts, Rules, Waiting},
        dice::Dice,
        notices::{Forged, Forgery, LifecycleEvent, Notifications},
        outbound::Outbound,
        routes::Server,
        subscriptions::Subscription,
        timeline::Timeline,
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
    pub(super) rules: Rules,
    pub(super) outbound: Outbound,
    desk: Mutex<Desk>,
    wake: Notify,
    lines: Semaphore,
    thrown: AtomicU64,
}

impl Notifier {
    pub(super) fn new(settings: Notifications, authorities: Option<Vec<u8>>, tenant: String, seed: u64) -> Self {
        Self {
            outbound: Outbound::new(authorities, settings.answer_within),
            rules: Rules { settings, tenant, seed },
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
        let mut dice = Dice::of(self.rules.seed, &[0xf06, self.thrown.fetch_add(1, Ordering::Relaxed)]);
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
        !post.is_forged
            && now - began <= self.rules.settings.retry_for
            && post.subscription.as_ref().is_none_or(is_there)
    }
}

/// Sends what becomes due until the runtime ends.
pub(super) async fn run(server: Arc<Server>) {
    let notifier = &server.notifier;
    loop {
        for posts in notifier.locked().due(&notifier.rules, &server.world, server.clock.now()) {
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
    let (began, mut pause) = (server.clock.now(), notifier.rules.settings.retry_pause);
    while notifier.may_be_retried(&post, began, server.clock.now()) {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(notifier.rules.settings.retry_pause_max);
        notifier.locked().deliveries.retried += 1;
        if notifier.attempt(&post).await {
            return notifier.settle(&post, true);
        }
    }
    notifier.settle(&post, false);
}
