//! What tests do to subscriptions and notifications by hand, and what they may look at.

use std::sync::PoisonError;

use crate::{
    model::time::Timestamp,
    simulate::{Deliveries, Forgery, LifecycleEvent, Simulator, SubscriptionView},
};

impl Simulator {
    /// The subscriptions that there are, by id.
    pub fn subscriptions(&self) -> Vec<SubscriptionView> {
        let (now, notifier) = (self.now(), &self.server.notifier);
        let patience = notifier.settings.reauthorize_within;
        notifier.desk(now).subscriptions.iter().map(|known| known.view(now, patience)).collect()
    }

    /// Ends a subscription as Graph may, with a lifecycle event or without a word. False when there is none of this id.
    pub fn remove_subscription(&self, id: &str, event: Option<LifecycleEvent>) -> bool {
        self.server.notifier.remove(id, event, self.now())
    }

    /// Sends a lifecycle event for every subscription that has a place for it. `ReauthorizationRequired` wants its answer as if
    /// it had come by itself; `SubscriptionRemoved` removes nothing.
    pub fn send_lifecycle(&self, event: LifecycleEvent) {
        self.server.notifier.send_lifecycle(event, self.now());
    }

    /// Sends every subscription one notification of these records, whether they exist or not. No fault befalls it.
    pub fn notify_now<T: AsRef<str>>(&self, record_ids: &[T]) {
        let ids: Vec<_> = record_ids.iter().map(|id| id.as_ref().to_owned()).collect();
        self.server.notifier.notify_now(&ids, self.now());
    }

    /// Sends every subscription's receiver a forged notification, and gives the id that it names.
    pub fn forge_now(&self, forgery: Forgery) -> String {
        self.server.notifier.forge_now(forgery, self.now())
    }

    /// What was sent so far, and what came of it.
    pub fn deliveries(&self) -> Deliveries {
        self.server.notifier.deliveries(self.now())
    }

    /// The versions of a record that became visible since the simulator began, rising, and when, by the wall clock.
    pub fn became_visible(&self, id: &str) -> Vec<(i64, Timestamp)> {
        let Some(record) = self.server.world.find(id) else { return Vec::new() };
        let planted = self.server.planted.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied();
        (0..record.editions())
            .map(|place| record.edition(place))
            .filter_map(|(version, at)| Some((version, self.server.clock.wall_time_of(at)?)))
            .map(|(version, at)| (version, planted.map_or(at, |planted| at.max(planted))))
            .collect()
    }
}
