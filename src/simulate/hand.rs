//! What is done to a running simulator by hand: calls planted, people renamed, faults begun, notifications sent and looked at.

use std::sync::PoisonError;

use crate::{
    model::time::Timestamp,
    simulate::{
        Deliveries, Forgery, LifecycleEvent, LogKind, Planted, PlantedFaults, PlantedRow, Reshape, SignIn, Simulator,
        SubscriptionView, Weather, directory::What, routes::Trouble,
    },
};

impl Simulator {
    /// Adds a call made by hand; one of the same id is replaced.
    pub fn plant(&self, call: Planted) {
        self.trouble(&call.id, call.faults);
        let id = call.id.clone();
        self.server.planted.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), Timestamp::now());
        self.server.world.plant(call);
        if let Some(record) = self.server.world.find(&id) {
            self.server.notifier.planted(&record, self.now());
        }
    }

    /// Adds a row of a log made by hand.
    pub fn plant_row(&self, row: PlantedRow) {
        self.server.world.plant_row(row);
    }

    /// Gives somebody another name, address and mailbox from `at` on. Events before it keep the old name. False when nobody
    /// has this id.
    pub fn rename_user(&self, id: &str, display_name: &str, upn: &str, mail: Option<&str>, at: Timestamp) -> bool {
        let (name, upn, mail) = (display_name.to_owned(), upn.to_owned(), mail.map(str::to_owned));
        self.server.world.change_user(id, What::Renamed { name, upn, mail }, at, self.now())
    }

    /// Deletes somebody at `at`; an administrator could bring him back. His calls go on. False when nobody has this id.
    pub fn delete_user(&self, id: &str, at: Timestamp) -> bool {
        self.server.world.change_user(id, What::Deleted { for_good: false }, at, self.now())
    }

    /// Deletes somebody at `at`, the recycle bin passed over.
    pub fn delete_user_for_good(&self, id: &str, at: Timestamp) -> bool {
        self.server.world.change_user(id, What::Deleted { for_good: true }, at, self.now())
    }

    /// Lets logs vanish from now on, as [`Settings::gone`] does from the start; those not named come back.
    pub fn set_gone(&self, gone: &[(LogKind, u16)]) {
        self.server.odd_logs.lock().unwrap_or_else(PoisonError::into_inner).gone = gone.to_vec();
    }

    /// Lets logs look as no schema says from now on; those not named look as they should.
    pub fn set_reshaped(&self, reshaped: &[(LogKind, Reshape)]) {
        self.server.odd_logs.lock().unwrap_or_else(PoisonError::into_inner).reshaped = reshaped.to_vec();
    }

    /// Lets requests for a record fail from now on, whether the world made it or a test planted it.
    pub fn trouble(&self, id: &str, faults: PlantedFaults) {
        let mut troubles = self.server.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.insert(id.to_owned(), Trouble { faults, struck: 0 });
    }

    /// Changes the faults from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.server.sky.change(weather);
    }

    /// Makes every token worthless, as an administrator can.
    pub fn revoke_tokens(&self) {
        self.server.login.revoke_all();
    }

    /// Refuses the next requests of the login host with this AADSTS number.
    pub fn refuse_sign_in(&self, code: u32, times: u32) {
        self.server.login.plan_refusal(code, times);
    }

    /// Answers the next requests for a managed identity's token with these.
    pub fn trouble_managed_identity(&self, statuses: &[u16]) {
        self.server.machine.plan_trouble(statuses);
    }

    /// The tokens that were given, and what for.
    pub fn sign_ins(&self) -> Vec<SignIn> {
        self.server.login.sign_ins()
    }

    /// The subscriptions that there are, by id.
    pub fn subscriptions(&self) -> Vec<SubscriptionView> {
        let (now, notifier) = (self.now(), &self.server.notifier);
        let patience = notifier.rules.settings.reauthorize_within;
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
