//! The same entry points in the ordinary run: every seed, seeds with some bytes changed, and bytes from nowhere.

use std::{fs, path::Path};

use proptest::prelude::{ProptestConfig, any, prop, proptest};

use crate::fuzzing::{TARGETS, Target};

/// The seeds of a target; `fuzz/` is not part of a published package.
fn seeds((name, _): &Target) -> Option<Vec<(String, Vec<u8>)>> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        return None;
    }
    let mut seeds: Vec<_> = fs::read_dir(fuzz.join("seeds").join(name))
        .unwrap_or_else(|error| panic!("{name} has no seeds: {error}"))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(path).unwrap()))
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 3, "{name} has too few seeds");
    Some(seeds)
}

#[test]
fn every_seed_is_read_as_promised() {
    for target in &TARGETS {
        for (path, bytes) in seeds(target).unwrap_or_default() {
            let outcome = std::panic::catch_unwind(|| target.1(&bytes));
            assert!(outcome.is_ok(), "{path}");
        }
    }
}

/// A place to change, and what is put there.
type Change = (prop::sample::Index, Vec<u8>, u8);

fn change(bytes: &mut Vec<u8>, (place, new, removed): &Change) {
    let at = place.index(bytes.len() + 1);
    let end = bytes.len().min(at + usize::from(*removed % 8));
    bytes.splice(at..end, new.iter().copied());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_a_seed_breaks_a_promise(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..4), any::<u8>()), 1..6),
    ) {
        for target in &TARGETS {
            let Some(seeds) = seeds(target) else { continue };
            let mut bytes = which.get(&seeds).1.clone();
            for one in &changes {
                change(&mut bytes, one);
            }
            target.1(&bytes);
        }
    }

    #[test]
    fn no_bytes_whatever_break_a_promise(bytes in prop::collection::vec(any::<u8>(), 0..200), text: String) {
        for (_, read) in &TARGETS {
            read(&bytes);
            read(text.as_bytes());
        }
    }
}
