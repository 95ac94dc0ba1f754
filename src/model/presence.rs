//! When somebody was in a call: over all sessions in which they are caller or callee.

use std::collections::HashMap;

use crate::model::{
    rows::{Derived, Identity},
    time::Timestamp,
};

/// The time that somebody was in a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// The first start of a session of theirs, and the last end.
    pub joined: Option<Timestamp>,
    pub left: Option<Timestamp>,
    pub sessions: usize,
}

/// Everybody's, by [`who`].
#[must_use]
pub fn presences(derived: &Derived) -> HashMap<String, Presence> {
    let mut presences: HashMap<String, Presence> = HashMap::new();
    for session in &derived.sessions {
        let mut people: Vec<String> = [&session.caller, &session.callee]
            .into_iter()
            .flatten()
            .filter_map(|end| Some(who(end.identity.as_ref()?)))
            .collect();
        people.dedup();
        for person in people {
            let presence = presences.entry(person).or_default();
            presence.joined = [presence.joined, session.start].into_iter().flatten().min();
            presence.left = presence.left.max(session.end);
            presence.sessions += 1;
        }
    }
    presences
}

/// Tells people apart: by id without case, else by all that is said of them.
#[must_use]
pub fn who(identity: &Identity) -> String {
    let said = || {
        let Identity { set_key, display_name, user_principal_name, .. } = identity;
        [
            set_key.as_str(),
            display_name.as_deref().unwrap_or_default(),
            user_principal_name.as_deref().unwrap_or_default(),
        ]
        .join("\n")
    };
    identity.id.as_ref().map_or_else(said, |id| id.to_lowercase())
}
