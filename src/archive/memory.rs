//! Row numbers of values that come again and again, so that most records meet no look-up.
//!
//! A value is known by 128 bits drawn from it, not by itself: a tenant's people, machines and programs, some hundred thousand, take a few
//! megabytes. Half of the bits are SipHash's under a key of this process, so nobody can make two values meet; the other half
//! cost next to nothing and make sure that no two meet by chance.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
};

use foldhash::fast;

/// Values of one generation. When there are as many, those that were not asked for since the generation before are forgotten:
/// emptied as a whole, a memory that is a little too small for a tenant would be of no use at all.
const GENERATION: usize = 65_536;

/// What a value is known by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Name(u64, u64);

#[derive(Default)]
pub(crate) struct Memory {
    keys: (RandomState, fast::RandomState),
    young: HashMap<Name, i64, fast::RandomState>,
    old: HashMap<Name, i64, fast::RandomState>,
}

impl Memory {
    pub(crate) fn name<T: Hash + ?Sized>(&self, value: &T) -> Name {
        Name(self.keys.0.hash_one(value), self.keys.1.hash_one(value))
    }

    pub(crate) fn get(&mut self, name: Name) -> Option<i64> {
        if let Some(id) = self.young.get(&name) {
            return Some(*id);
        }
        let id = self.old.remove(&name)?;
        self.put(name, id);
        Some(id)
    }

    pub(crate) fn put(&mut self, name: Name, id: i64) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_forgotten() {
        let mut memory = Memory::default();
        let (asked_for, not) = (memory.name("asked for"), memory.name("not"));
        memory.put(asked_for, 1);
        memory.put(not, 2);
        for n in 0..3 * GENERATION {
            let name = memory.name(&n);
            memory.put(name, 0);
            assert_eq!(memory.get(asked_for), Some(1));
        }
        assert_eq!(memory.get(not), None);
        assert!(memory.young.len() + memory.old.len() <= 2 * GENERATION);
    }
}
