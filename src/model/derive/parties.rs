//! Who took part: every identity once, with all its roles.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;

use crate::model::{
    kind::Roles,
    rows::{Endpoint, Identity, Party, Session},
};

/// Collects identities; the same one named again adds its roles and fills what was missing.
///
/// The same is who has the same id, compared without case and whatever key it stood under; without ids, who agrees in every
/// member.
#[derive(Debug, Default)]
pub(super) struct Parties {
    found: Vec<Party>,
    by_identity: HashMap<Key, usize, RandomState>,
    /// Names and addresses of one identity that differ from those kept: search shall find them too.
    other_readings: Vec<Identity>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Id(String),
    Whole(Identity),
}

impl Key {
    fn of(identity: &Identity) -> Self {
        match &identity.id {
            Some(id) => Key::Id(id.to_ascii_lowercase()),
            None => Key::Whole(identity.clone()),
        }
    }
}

impl Parties {
    pub(super) fn add_organizer(&mut self, organizer: Option<&Identity>) {
        if let Some(identity) = organizer {
            self.add(identity, Roles::ORGANIZER);
        }
    }

    pub(super) fn add_participants(&mut self, participants: &[Identity]) {
        for identity in participants {
            self.add(identity, Roles::PARTICIPANT);
        }
    }

    /// Adds callers and callees. Those of segments count where no session, organizer or participant names them: a segment's
    /// legs between servers say nothing of who called whom. Gives each endpoint's identity the set key of its party.
    pub(super) fn add_endpoints(&mut self, sessions: &mut [Session]) {
        for session in &mut *sessions {
            self.add_endpoint(session.caller.as_mut(), Roles::CALLER);
            self.add_endpoint(session.callee.as_mut(), Roles::CALLEE);
        }
        let of_sessions = self.found.len();
        for session in sessions {
            let Session { caller, callee, segments, .. } = session;
            for segment in segments {
                let ends =
                    [(&mut segment.caller, &*caller, Roles::CALLER), (&mut segment.callee, &*callee, Roles::CALLEE)];
                for (endpoint, of_session, role) in ends {
                    if let Some(at) = self.add_endpoint(
                        endpoint.as_mut().filter(|own| !is_added(own, of_session.as_ref())),
                        Roles::default(),
                    ) && at >= of_sessions
                    {
                        self.found[at].roles = self.found[at].roles.with(role);
                    }
                }
            }
        }
    }

    /// The parties, and what else they were called.
    pub(super) fn named(&self) -> impl Iterator<Item = (&Identity, Roles)> {
        let other_readings = self.other_readings.iter().map(|identity| (identity, Roles::default()));
        self.found.iter().map(|party| (&party.identity, party.roles)).chain(other_readings)
    }

    pub(super) fn into_vec(self) -> Vec<Party> {
        self.found
    }

    fn add_endpoint(&mut self, endpoint: Option<&mut Arc<Endpoint>>, role: Roles) -> Option<usize> {
        let endpoint = endpoint?;
        let identity = endpoint.identity.as_ref()?;
        let at = self.add(identity, role);
        let set_key = &self.found[at].identity.set_key;
        if *set_key != identity.set_key
            && let Some(identity) = &mut Arc::make_mut(endpoint).identity
        {
            identity.set_key.clone_from(set_key);
        }
        Some(at)
    }

    pub(super) fn add(&mut self, identity: &Identity, role: Roles) -> usize {
        let at = *self.by_identity.entry(Key::of(identity)).or_insert(self.found.len());
        match self.found.get_mut(at) {
            None => self.found.push(Party { identity: identity.clone(), roles: role }),
            Some(party) => {
                party.roles = party.roles.with(role);
                fill(&mut party.identity, identity);
                if differs(&party.identity, identity) {
                    self.other_readings.push(identity.clone());
                }
            }
        }
        at
    }
}

/// Whether an end of a segment is its session's, which was added, and so has nothing to say. A set key that was not known then may be by now.
fn is_added(own: &Arc<Endpoint>, of_session: Option<&Arc<Endpoint>>) -> bool {
    of_session.is_some_and(|of_session| Arc::ptr_eq(own, of_session))
        && own.identity.as_ref().is_some_and(|identity| !identity.set_key.is_empty())
}

/// Fills what `identity` lacks from what else is said of the same one.
fn fill(identity: &mut Identity, other: &Identity) {
    if identity.set_key.is_empty() {
        identity.set_key.clone_from(&other.set_key);
    }
    for (mine, theirs) in [
        (&mut identity.display_name, &other.display_name),
        (&mut identity.user_principal_name, &other.user_principal_name),
        (&mut identity.tenant_id, &other.tenant_id),
    ] {
        if mine.is_none() {
            mine.clone_from(theirs);
        }
    }
}

fn differs(kept: &Identity, other: &Identity) -> bool {
    let differ = |kept: &Option<String>, other: &Option<String>| other.is_some() && kept != other;
    differ(&kept.display_name, &other.display_name) || differ(&kept.user_principal_name, &other.user_principal_name)
}
