//! What a request brings, judged: which of its notifications are taken, and what becomes of the others.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::{
    archive::inbox::{Delivery, Secrets, Tally},
    model::{
        notification::{Lifecycle, MISSED_BEFORE, News, Notification},
        time::{Span, Timestamp},
    },
};

/// What is to be stored of a request, and how it is answered then.
#[derive(Clone, Debug, Default)]
pub(super) struct Judged {
    pub(super) delivery: Delivery,
    /// Whether every item was refused: whoever sends only such is not Graph, or has to send them again.
    pub(super) refused: bool,
}

/// Judges the items of one request.
pub(super) fn judge(items: Vec<Notification>, secrets: &Secrets, tenant_id: Option<&str>, now: Timestamp) -> Judged {
    let mut judged = Judged::default();
    let (all, mut refused) = (items.len(), 0);
    for item in items {
        if let Some(why) = refusal(&item, secrets, tenant_id) {
            judged.delivery.count(why);
            refused += 1;
            continue;
        }
        match item.news {
            News::Changed { id } => {
                judged.delivery.count(Tally::Accepted);
                judged.delivery.ids.push(id);
            }
            News::Lifecycle(lifecycle) => {
                judged.delivery.count(Tally::Lifecycle);
                let why = match lifecycle {
                    Lifecycle::ReauthorizationRequired => None,
                    Lifecycle::SubscriptionRemoved => Some("Graph removed the subscription"),
                    Lifecycle::Missed => Some("Graph says that notifications were missed"),
                };
                // Whoever keeps the subscription looks at it in any case.
                judged.delivery.reauthorize = true;
                judged.delivery.missed.extend(why.map(|why| (Span::new(now - MISSED_BEFORE, now), why.to_owned())));
            }
            News::Test | News::Unknown => judged.delivery.count(Tally::NotARecord),
        }
    }
    judged.refused = all > 0 && refused == all;
    judged
}

fn refusal(item: &Notification, secrets: &Secrets, tenant_id: Option<&str>) -> Option<Tally> {
    let kept = secrets.kept.iter().find(|(id, _)| *id == item.subscription_id);
    let Some(secret) = kept.map(|(_, secret)| secret).or(secrets.making.as_ref()) else {
        return Some(Tally::UnknownSubscription);
    };
    let given = item.client_state.as_deref().unwrap_or_default();
    if secret.is_empty() || verify_slices_are_equal(secret.as_bytes(), given.as_bytes()).is_err() {
        return Some(if kept.is_some() { Tally::WrongSecret } else { Tally::UnknownSubscription });
    }
    let is_ours = item.tenant_id.as_deref().zip(tenant_id).is_none_or(|(its, ours)| its.eq_ignore_ascii_case(ours));
    (!is_ours).then_some(Tally::WrongTenant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Age;

    fn secrets() -> Secrets {
        Secrets { kept: vec![("s1".into(), "secret".into())], making: Some("newer".into()) }
    }

    fn item(subscription: &str, secret: Option<&str>, tenant: Option<&str>, news: News) -> Notification {
        Notification {
            subscription_id: subscription.into(),
            client_state: secret.map(Into::into),
            tenant_id: tenant.map(Into::into),
            news,
        }
    }

    fn changed(id: &str) -> News {
        News::Changed { id: id.into() }
    }

    #[test]
    fn only_what_carries_the_secret_and_is_of_the_tenant_is_taken() {
        let items = vec![
            item("s1", Some("secret"), Some("T1"), changed("good")),
            item("s1", Some("secreT"), Some("t1"), changed("forged")),
            item("s1", None, Some("t1"), changed("bare")),
            item("s1", Some("secret"), Some("t2"), changed("elsewhere")),
            item("s2", Some("secret"), Some("t1"), changed("another's")),
            // Its subscription is being made.
            item("s3", Some("newer"), None, changed("first")),
            item("s1", Some("secret"), Some("t1"), News::Unknown),
        ];
        let judged = judge(items, &secrets(), Some("t1"), Timestamp(0));
        assert_eq!(judged.delivery.ids, ["good", "first"]);
        let of = |tally| judged.delivery.tallies.get(&tally).copied().unwrap_or(0);
        let counted = [Tally::Accepted, Tally::WrongSecret, Tally::WrongTenant, Tally::UnknownSubscription].map(of);
        assert_eq!((counted, of(Tally::NotARecord)), ([2, 2, 1, 1], 1));
        assert!(!judged.refused);
    }

    #[test]
    fn a_request_of_forgeries_alone_is_refused() {
        let forged = || item("s1", Some("guess"), None, changed("x"));
        assert!(judge(vec![forged(), forged()], &secrets(), None, Timestamp(0)).refused);
        assert!(!judge(vec![], &secrets(), None, Timestamp(0)).refused);
        // The secret of one subscription is none for another.
        let others = Secrets { making: None, ..secrets() };
        assert!(judge(vec![item("s3", Some("secret"), None, changed("x"))], &others, None, Timestamp(0)).refused);
        // Before anything is known, nothing is taken.
        let nameless = Secrets::default();
        assert!(judge(vec![item("", Some(""), None, changed("x"))], &nameless, None, Timestamp(0)).refused);
    }

    #[test]
    fn word_of_missed_notifications_is_word_of_time_to_list() {
        let lifecycle = |what| item("s1", Some("secret"), None, News::Lifecycle(what));
        let now = Timestamp::from_second(100_000);
        let judged = judge(vec![lifecycle(Lifecycle::Missed)], &secrets(), None, now);
        assert_eq!(judged.delivery.missed[0].0, Span::new(now - Age::hours(4), now));
        let judged = judge(vec![lifecycle(Lifecycle::ReauthorizationRequired)], &secrets(), None, now);
        assert!(judged.delivery.reauthorize && judged.delivery.missed.is_empty());
    }
}
