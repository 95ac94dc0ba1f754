//! A package checked, tables and all: neither archive nor network is asked.

use std::{
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest;

use crate::{
    model::{id::Sha256, view::log::log},
    package::{
        self, Item,
        check::{Remade, Remaking, Summary},
        manifest::Manifest,
        name,
    },
    proof::note::PublicKey,
    tables::{Row, set::Set},
};

/// Examines the package in `folder`; `key` is the one that has to have signed it.
///
/// # Errors
/// As [`package::check::check`].
pub fn package(folder: &Path, key: Option<&PublicKey>) -> package::Result<Summary> {
    package::check::check(folder, key, &mut |manifest| Some(Box::new(Tables::new(manifest)?)))
}

/// The hash of what was written.
#[derive(Clone)]
struct Hashing(Arc<Mutex<digest::Context>>);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The tables of a package, made again for their hashes.
struct Tables {
    set: Set<'static>,
    files: Vec<(String, Hashing)>,
}

impl Tables {
    fn new(manifest: &Manifest) -> Option<Self> {
        let mut files = Vec::new();
        let set = Set::new(manifest.query.only_kind().and_then(log), &mut |file| {
            let hashing = Hashing(Arc::new(Mutex::new(digest::Context::new(&digest::SHA256))));
            files.push((format!("{}/{file}", name::TABLES), hashing.clone()));
            Ok(hashing)
        });
        Some(Self { set: set.ok()?, files })
    }
}

impl Remaking for Tables {
    fn item(&mut self, item: &Item<'_>) {
        // Hashing does not fail.
        let _ = self.set.row(&Row { hit: item.hit, json: item.json });
    }

    fn finish(self: Box<Self>) -> Remade {
        let _ = self.set.finish();
        let hash = |hashing: Hashing| Sha256::finish(hashing.0.lock().unwrap_or_else(PoisonError::into_inner).clone());
        self.files.into_iter().map(|(path, hashing)| (path, hash(hashing))).collect()
    }
}
