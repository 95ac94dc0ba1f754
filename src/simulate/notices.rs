//! What notifications say, and what goes wrong with them: dropped, doubled, late, overtaken, forged.

use std::time::Duration;

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        dice::{Dice, mix_text},
        json::Json,
        subscriptions::{Change, Subscription},
        timeline::Appearance,
    },
};

/// How notifications are sent. Shares are chances from 0 to 1; the same seed drops, doubles and delays the same ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Notifications {
    /// From visible to sent, in simulated time.
    pub latency: Age,
    /// How many items one POST has at most.
    pub batch_max: usize,
    /// Never sent.
    pub dropped: f64,
    /// Sent twice, the second time up to `late_by` later.
    pub doubled: f64,
    /// Sent `late_by` later, in simulated time.
    pub late: f64,
    pub late_by: Age,
    /// Sent behind the next one, which is waited for at most `late_by`.
    pub out_of_order: f64,
    /// The chance for each true item that a forged one comes with it, in the same POST or in one of its own.
    pub forged: f64,
    /// Spelled in another of the ways that were seen: the path as a function, the id in `resource` alone.
    pub respelled: f64,
    /// How long an answer is waited for, in real time: of validations and of notifications.
    pub answer_within: Duration,
    /// The pause before a POST that was not answered with 2xx is sent again, in real time. It doubles each time.
    pub retry_pause: Duration,
    pub retry_pause_max: Duration,
    /// How long it is tried again, in simulated time; then the items are lost.
    pub retry_for: Age,
    /// How long before a subscription's end `reauthorizationRequired` is sent, at most half of its life; in simulated time.
    pub reauthorize_before: Age,
    /// How long after it deliveries go on without an answer; then they are held.
    pub reauthorize_within: Age,
}

impl Default for Notifications {
    /// All are sent once, within seconds.
    fn default() -> Self {
        Self {
            latency: Age::seconds(5),
            batch_max: 10,
            dropped: 0.0,
            doubled: 0.0,
            late: 0.0,
            late_by: Age::minutes(90),
            out_of_order: 0.0,
            forged: 0.0,
            respelled: 0.0,
            answer_within: Duration::from_secs(10),
            retry_pause: Duration::from_secs(10),
            retry_pause_max: Duration::from_secs(300),
            retry_for: Age::hours(4),
            reauthorize_before: Age::hours(2),
            reauthorize_within: Age::minutes(30),
        }
    }
}

/// What is wrong with a forged notification. All name a record that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forgery {
    /// Another `clientState` of the same length.
    ClientState,
    /// No `clientState`.
    NoClientState,
    Tenant,
    Subscription,
    /// All is right but the record's id: only asking Graph tells.
    Record,
}

impl Forgery {
    pub const ALL: [Forgery; 5] =
        [Forgery::ClientState, Forgery::NoClientState, Forgery::Tenant, Forgery::Subscription, Forgery::Record];
}

/// What is sent to tell of the subscription itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifecycleEvent {
    ReauthorizationRequired,
    SubscriptionRemoved,
    Missed,
}

impl LifecycleEvent {
    fn name(self) -> &'static str {
        match self {
            LifecycleEvent::ReauthorizationRequired => "reauthorizationRequired",
            LifecycleEvent::SubscriptionRemoved => "subscriptionRemoved",
            LifecycleEvent::Missed => "missed",
        }
    }
}

/// One item for one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) subscription: String,
    pub(super) record: String,
    pub(super) change: Change,
    pub(super) spelling: Spelling,
    /// Lets the next one pass.
    pub(super) is_overtaken: bool,
}

/// The ways in which an item names its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Spelling {
    #[default]
    Usual,
    LeadingSlash,
    Function,
    /// No `resourceData`.
    ResourceAlone,
}

/// What becomes of a version's notice.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// When it is sent, and the notice; none when it is dropped, two when it is doubled.
    pub(super) sent: Vec<(Timestamp, Notice)>,
    pub(super) is_late: bool,
    /// What somebody else sends at the time.
    pub(super) forged: Option<Forged>,
}

/// A forged item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forged {
    pub(super) forgery: Forgery,
    pub(super) record: String,
    /// In a POST of its own, rather than among the true ones.
    pub(super) is_alone: bool,
}

impl Notifications {
    /// Throws for the notice of `change` that a version appeared.
    pub(super) fn fate(&self, seed: u64, of: &Appearance, change: Change, subscription: &str) -> Fate {
        let tags = [0x71ce, mix_text(&of.id), of.edition as u64, change as u64];
        let mut dice = Dice::of(seed, &tags);
        // Each is thrown for always, so that one setting does not change what another does.
        let [dropped, doubled, late, overtaken, forged, respelled] =
            [self.dropped, self.doubled, self.late, self.out_of_order, self.forged, self.respelled]
                .map(|share| dice.chance(share));
        let again_after = Age(dice.between(0, self.late_by.0.max(1)));
        let spelling = *dice.pick(&[Spelling::LeadingSlash, Spelling::Function, Spelling::ResourceAlone]);
        let spelling = if respelled { spelling } else { Spelling::Usual };
        let (subscription, record) = (subscription.to_owned(), of.id.clone());
        let notice = Notice { subscription, record, change, spelling, is_overtaken: overtaken };
        let due = of.at + self.latency + if late { self.late_by } else { Age(0) };
        let mut sent = Vec::new();
        if !dropped {
            sent.push((due, notice.clone()));
            if doubled {
                sent.push((due + again_after, Notice { is_overtaken: false, ..notice }));
            }
        }
        let forged = forged.then(|| Forged::thrown(*dice.pick(&Forgery::ALL), &mut dice));
        Fate { is_late: late && !sent.is_empty(), sent, forged }
    }
}

impl Forged {
    pub(super) fn thrown(forgery: Forgery, dice: &mut Dice) -> Self {
        Self { forgery, record: dice.guid(), is_alone: dice.chance(0.5) }
    }
}

/// The body of a POST out of its items.
pub(super) fn body(items: &[String]) -> String {
    Json::new_with(|json| {
        json.raw("{\"value\":[");
        json.list(items, |json, item| _ = json.raw(item));
        json.raw("]}");
    })
}

/// An item as the subscription's owner gets it.
pub(super) fn item(notice: &Notice, subscription: &Subscription, tenant: &str) -> String {
    let owner = Owner {
        subscription: &subscription.id,
        client_state: subscription.draft.client_state.as_deref(),
        expiry: subscription.expiry(),
        tenant,
    };
    owner.item(&notice.record, notice.change, notice.spelling)
}

/// An item that somebody else made up.
pub(super) fn forged_item(forged: &Forged, subscription: &Subscription, tenant: &str) -> String {
    let mut dice = Dice::of(mix_text(&forged.record), &[0xf0]);
    let (other_id, other_tenant) = (dice.guid(), dice.guid());
    let state = subscription.draft.client_state.as_deref();
    let guessed = state.filter(|state| !state.is_empty()).unwrap_or("a-secret-that-was-never-given");
    let other_state = other_text(guessed, &mut dice);
    let forgery = forged.forgery;
    let owner = Owner {
        subscription: if forgery == Forgery::Subscription { &other_id } else { &subscription.id },
        client_state: match forgery {
            Forgery::ClientState => Some(&other_state),
            Forgery::NoClientState => None,
            Forgery::Tenant | Forgery::Subscription | Forgery::Record => state,
        },
        expiry: subscription.expiry(),
        tenant: if forgery == Forgery::Tenant { &other_tenant } else { tenant },
    };
    owner.item(&forged.record, Change::Updated, Spelling::Usual)
}

/// Another text of the same length: one letter is a different one.
fn other_text(text: &str, dice: &mut Dice) -> String {
    let place = dice.index(text.chars().count());
    let other = |letter| if letter == 'x' { 'y' } else { 'x' };
    text.chars().enumerate().map(|(at, letter)| if at == place { other(letter) } else { letter }).collect()
}

/// What an item says about whom it is for.
struct Owner<'a> {
    subscription: &'a str,
    client_state: Option<&'a str>,
    expiry: Timestamp,
    tenant: &'a str,
}

impl Owner<'_> {
    fn item(&self, record: &str, change: Change, spelling: Spelling) -> String {
        let plain = format!("communications/callRecords/{record}");
        let resource = match spelling {
            Spelling::Usual | Spelling::ResourceAlone => plain.clone(),
            Spelling::LeadingSlash => format!("/{plain}"),
            Spelling::Function => format!("communications/callRecords('{record}')"),
        };
        // Here, as observed, the time has an offset.
        let expiry = (self.expiry + Age::hours(2)).to_seconds_text().replace('Z', "+02:00");
        Json::new_with(|json| {
            json.raw("{\"subscriptionId\":\"").raw(self.subscription).raw("\",\"clientState\":");
            json.text_or_null(self.client_state).raw(",\"changeType\":\"").raw(change.name());
            json.raw("\",\"resource\":").text(&resource);
            json.raw(",\"subscriptionExpirationDateTime\":\"").raw(&expiry).raw("\"");
            if spelling != Spelling::ResourceAlone {
                json.raw(",\"resourceData\":{\"@odata.type\":\"#microsoft.graph.callrecord\",\"@odata.id\":");
                json.text(&plain).raw(",\"id\":").text(record).raw("}");
            }
            json.raw(",\"tenantId\":").text(self.tenant).raw("}");
        })
    }
}

pub(super) fn lifecycle_item(event: LifecycleEvent, subscription: &Subscription, tenant: &str) -> String {
    Json::new_with(|json| {
        json.raw("{\"subscriptionId\":\"").raw(&subscription.id).raw("\",\"subscriptionExpirationDateTime\":");
        json.time(subscription.expiry()).raw(",\"tenantId\":").text(tenant).raw(",\"clientState\":");
        json.text_or_null(subscription.draft.client_state.as_deref());
        json.raw(",\"lifecycleEvent\":\"").raw(event.name()).raw("\"}");
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(settings: &Notifications, seed: u64) -> Vec<Fate> {
        let at = Timestamp::parse("2026-11-20T15:00:00Z").unwrap();
        (0..4000)
            .map(|n| Appearance { at, id: format!("record-{n}"), edition: 0 })
            .map(|of| settings.fate(seed, &of, Change::Updated, "subscription"))
            .collect()
    }

    #[test]
    fn faults_have_their_share_and_do_not_meddle_with_each_other() {
        let count = |fates: &[Fate], sent: usize| fates.iter().filter(|fate| fate.sent.len() == sent).count();
        let calm = fates(&Notifications::default(), 1);
        assert!(calm.iter().all(|fate| fate.sent.len() == 1 && !fate.is_late && fate.forged.is_none()));
        let dropping = Notifications { dropped: 0.05, ..Notifications::default() };
        let wild = Notifications { doubled: 0.1, late: 0.2, forged: 0.3, ..dropping.clone() };
        let (dropped, all) = (fates(&dropping, 1), fates(&wild, 1));
        assert!((150..250).contains(&count(&dropped, 0)), "{}", count(&dropped, 0));
        assert!((320..440).contains(&count(&all, 2)), "{}", count(&all, 2));
        assert!((650..850).contains(&all.iter().filter(|fate| fate.is_late).count()));
        for forgery in Forgery::ALL {
            let forged = all.iter().filter_map(|fate| fate.forged.as_ref());
            assert!((180..300).contains(&forged.filter(|forged| forged.forgery == forgery).count()));
        }
        let are_same = dropped.iter().zip(&all).all(|(one, other)| one.sent.is_empty() == other.sent.is_empty());
        assert!(are_same);
        let again = fates(&dropping, 2);
        assert!(dropped.iter().zip(&again).any(|(one, other)| one.sent.is_empty() != other.sent.is_empty()));
    }

    #[test]
    fn a_changed_secret_is_as_long_and_different() {
        for text in ["x", "secret", "żółć"] {
            let other = other_text(text, &mut Dice::of(1, &[]));
            assert!(other != text && other.chars().count() == text.chars().count(), "{other}");
        }
    }
}
